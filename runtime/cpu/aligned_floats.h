// Numbers for vectors to load, aligned to kArenaAlignment. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>

#include "runtime/planner.h"

namespace couplet::cpu {

struct FreeAligned {
  void operator()(void* data) const { ::operator delete[](data, std::align_val_t{kArenaAlignment}); }
};
template <class T>
using AlignedArray = std::unique_ptr<T[], FreeAligned>;
using AlignedFloats = AlignedArray<float>;
// Not initialised.
template <class T = float>
AlignedArray<T> MakeAligned(size_t count) {
  return AlignedArray<T>(static_cast<T*>(::operator new[](std::max<size_t>(count, 1) * sizeof(T), std::align_val_t{kArenaAlignment})));
}

}  // namespace couplet::cpu
