// Convolutions and pools by oneDNN. onednn.cc is the only file that knows the library; it serves its versions
// 2 and 3.
//
// A primitive runs on the calling thread and computes one photo or one band of its rows (bands.h), and run() walks
// the batch: a photo's values cannot depend on the batch or on the number of threads. The library would split a photo
// over threads itself, but it chooses its blocking, and with it the order in which products are added, by their number
// (seen with 8 threads on Inception's mixed_3/conv), which costs the promise of equal bytes.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "runtime/backend.h"
#include "runtime/cpu/convolution.h"

namespace couplet::cpu {

// `threads`: that a run may use. It changes no bit.
Result<std::unique_ptr<PreparedOp>> MakeConvolution(const Convolution& convolution, int threads);
// `src`, `dst`: of one photo.
Result<std::unique_ptr<PreparedOp>> MakePool(std::string_view layer, const Shape& src, const Shape& dst,
                                             const PoolAttrs& attrs);

// "oneDNN 2.6.3, AVX-512"
std::string LibraryDescription();

}  // namespace couplet::cpu
