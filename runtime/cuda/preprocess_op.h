// Photos to network input: one copy of the packed bytes and one of their table, then the preprocess kernel.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "kernels/first_conv.h"
#include "runtime/cuda/op.h"

namespace couplet::cuda {

// `dst`: of one photo, three channels. The bytes go through the worker's scratch, a batch in as many parts as that
// takes. A photo that alone is too big for it, wider than 4,096 pixels or so, is read from page-locked memory, where BatchLine
// puts it. Only one that is not there, as it is larger than a slot (64 MB: two rows for each of 299, 37,000 pixels wide), gets
// memory during a run, which the worker keeps.
OpResult MakePreprocess(const Device& device, const std::string& layer, const Shape& dst,
                        const Normalization& normalization, int max_batch);
// The same and a first convolution of it, in one kernel: no network input is ever written. `conv` as first_conv takes
// it; weights [3, 3, 3, oc] with batch norm folded in, bias [oc] or empty.
OpResult MakePreprocessFirstConv(const Device& device, const std::string& layers, const Shape& input,
                                 const Normalization& normalization, int max_batch, const FirstConvShape& conv,
                                 const std::vector<float>& weights, const std::vector<float>& bias);

}  // namespace couplet::cuda
