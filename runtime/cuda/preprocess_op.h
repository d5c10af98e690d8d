// Photos to network input: one copy of the packed bytes and one of their table, then the preprocess kernel.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "runtime/cuda/op.h"

namespace couplet::cuda {

// `dst`: of one photo, three channels. The bytes go through device memory that a worker's state owns. It
// grows to the biggest batch seen, up to a limit; a batch beyond that goes in several parts.
OpResult MakePreprocess(const Device& device, const std::string& layer, const Shape& dst,
                        const Normalization& normalization, int max_batch);

}  // namespace couplet::cuda
