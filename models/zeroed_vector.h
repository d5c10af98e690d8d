// A vector of all photos' values. They begin as the zeros that calloc gives, as the system clears memory of this size anyway, page
// by page as it is touched: std::vector would go through all of it once more. Pages are large ones where the system has them: a
// page fault for every 4 KB, a photo's vector each, would cost as much as reading it from the store.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>
#include <utility>
#include <vector>

#include "runtime/large_pages.h"

namespace couplet {

template <class T>
struct ZeroedMemory {
  using value_type = T;

  ZeroedMemory() = default;
  template <class Other>
  ZeroedMemory(const ZeroedMemory<Other>&) {}  // NOLINT: implicit on purpose, as allocators are

  T* allocate(size_t count) {
    void* const memory = std::calloc(count, sizeof(T));
    if (memory == nullptr) throw std::bad_alloc();
    AskForLargePages(memory, count * sizeof(T));
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, size_t /*count*/) { std::free(memory); }

  template <class U>
  void construct(U* /*at*/) {}  // is zero already
  template <class U, class... Args>
  void construct(U* at, Args&&... args) {
    ::new (static_cast<void*>(at)) U(std::forward<Args>(args)...);
  }

  template <class Other>
  bool operator==(const ZeroedMemory<Other>&) const { return true; }
};

// Not to be made smaller and larger again: what was there before would still be.
using ZeroedVector = std::vector<float, ZeroedMemory<float>>;

}  // namespace couplet
