// retrain's report: one HTML file that says how good the graph is, which photos it gets wrong, and what is odd about the
// photos themselves. It needs no network and no other file.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "apps/retrain_options.h"
#include "apps/retrain_report.h"
#include "models/backbone.h"

namespace couplet {

// From this cosine on two photos of different splits count as copies: scaled, cropped or exposed anew.
inline constexpr float kNearDuplicate = 0.97f;

// Figures are those of --json.
std::string ReportHtml(const RetrainOptions& options, const Backbone& backbone, const PhotoSet& set,
                       const RetrainReport& report);

}  // namespace couplet
