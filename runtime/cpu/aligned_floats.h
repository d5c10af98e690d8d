// Floats for vectors to load, aligned to kArenaAlignment. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>

#include "runtime/planner.h"

namespace couplet::cpu {

struct FreeAligned {
  void operator()(float* data) const { ::operator delete[](data, std::align_val_t{kArenaAlignment}); }
};
using AlignedFloats = std::unique_ptr<float[], FreeAligned>;
// Not initialised.
inline AlignedFloats MakeAligned(size_t count) {
  return AlignedFloats(static_cast<float*>(
      ::operator new[](std::max<size_t>(count, 1) * sizeof(float), std::align_val_t{kArenaAlignment})));
}

}  // namespace couplet::cpu
