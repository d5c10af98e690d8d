// SPDX-License-Identifier: Apache-2.0
#include "apps/report_page.h"

#include <fmt/format.h>

#include "apps/html.h"
#include "apps/report_sections.h"

namespace couplet {

std::string Percent(double fraction) { return fmt::format("{:.1f} %", fraction * 100); }

std::string Count(size_t count, const std::string& one) { return fmt::format("{} {}{}", count, one, count == 1 ? "" : "s"); }

std::string ReportHtml(const RetrainOptions& options, const Backbone& backbone, const PhotoSet& set,
                       const RetrainReport& report) {
  const ReportInput in{options, backbone, set, report};
  PhotoAlbum album(set, report, options.image_dir);
  std::string body = HeadlineSection(in);
  body += CurvesSection(in);
  body += ConfusionSection(in);
  body += ClassesSection(in);
  // The galleries first: what is left of the budget of thumbnails is for the matrix's cells.
  body += MistakesSection(in, album);
  body += WrongLabelsSection(in, album);
  body += DuplicatesSection(in, album);
  body += BalanceSection(in);
  body += LeftOutSection(in);
  body += RunSection(in);
  const std::string title = fmt::format("{}: {}", options.image_dir, report.architecture);
  return HtmlPage(title, body, CellPhotosJson(in, album));
}

}  // namespace couplet
