// One layer through the CPU backend, with guarded output and scratch.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "runtime/backend.h"
#include "runtime/graph.h"

namespace couplet::test {

// Values that the layer makes of `srcs` (one a source, n photos each). Fails the running test when prepare()
// refuses or a guard is broken. `images`: for Preprocess. `backend`: null for the one this
// build takes.
std::vector<float> RunLayer(const Layer& layer, const std::vector<Shape>& shapes,
                            const std::vector<std::vector<float>>& srcs, int n = 1, int threads = 1,
                            const ImageBatch* images = nullptr, Backend* backend = nullptr);
// As RunLayer, of an op that is prepared already and gives `per_photo` values of each photo.
std::vector<float> RunOp(const PreparedOp& op, int64_t per_photo, const std::vector<std::vector<float>>& srcs, int n, int threads,
                         Backend& backend, const ImageBatch* images = nullptr);

// What prepare() says when it refuses; "" when it does not.
std::string Refusal(const Layer& layer, const std::vector<Shape>& shapes);

}  // namespace couplet::test
