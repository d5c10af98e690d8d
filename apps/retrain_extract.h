// retrain's way from a list of photos to vectors of them: the extractor with its progress, report and device.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "apps/retrain_options.h"
#include "apps/retrain_report.h"

namespace couplet {

// Vectors of every photo; those that cannot be read leave `set`.
Result<HeadData> ExtractVectors(const RetrainOptions& options, const Backbone& backbone, Backend& backend,
                                PhotoSet* set, RetrainReport* report);

// Whether `auto` may ask for a GPU: that more vectors are missing in the CPU's cache, or needed for distorted
// photos, than kVectorsWorthGpu. What a GPU has cached does not count, so that a second run over the same
// photos takes the same device, and with it gives the same bytes.
Result<bool> WorthAGpu(const RetrainOptions& options, const Backbone& backbone, const PhotoSet& set);

}  // namespace couplet
