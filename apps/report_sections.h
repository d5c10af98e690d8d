// The parts of retrain's report; report_page.cc puts them in order. All give HTML.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "apps/report_album.h"
#include "apps/retrain_options.h"
#include "apps/retrain_report.h"
#include "models/backbone.h"

namespace couplet {

struct ReportInput {
  const RetrainOptions& options;
  const Backbone& backbone;
  const PhotoSet& set;
  const RetrainReport& report;
};

// "91.4 %", "-" for none.
std::string Percent(double fraction);
// "3 photos", "1 photo"
std::string Count(size_t count, const std::string& one);

// report_answers.cc: how good it is.
std::string HeadlineSection(const ReportInput& in);
std::string CurvesSection(const ReportInput& in);
std::string ConfusionSection(const ReportInput& in);
std::string ClassesSection(const ReportInput& in);
// report_photos.cc: which photos, and what is odd about them.
std::string MistakesSection(const ReportInput& in, PhotoAlbum& album);
std::string DuplicatesSection(const ReportInput& in, PhotoAlbum& album);
std::string WrongLabelsSection(const ReportInput& in, PhotoAlbum& album);
std::string LeftOutSection(const ReportInput& in);
std::string BalanceSection(const ReportInput& in);
// JSON for page.js: the test photos, each with its cell of the confusion matrix.
std::string CellPhotosJson(const ReportInput& in, PhotoAlbum& album);
// report_run.cc: what would repeat it.
std::string RunSection(const ReportInput& in);

}  // namespace couplet
