// SPDX-License-Identifier: Apache-2.0
#include "runtime/cpu/memory.h"

#include <cstdint>
#include <cstring>
#include <vector>

#include "runtime/planner.h"
#include "tests/support/test.h"

using namespace couplet;

TEST_CASE("cpu: pieces of memory are aligned, apart from each other and outlive their allocator") {
  std::vector<std::shared_ptr<float>> pieces;
  const std::vector<size_t> sizes = {4, 100, 1 << 20, size_t{9} << 20, 64, 0, size_t{7} << 20, size_t{3} << 20, 4096};
  {
    cpu::PieceAllocator allocator;
    for (const size_t bytes : sizes) pieces.push_back(allocator.Allocate(bytes));
  }
  for (size_t i = 0; i < sizes.size(); ++i) {
    REQUIRE(pieces[i] != nullptr);
    CHECK(reinterpret_cast<uintptr_t>(pieces[i].get()) % kArenaAlignment == 0);
    std::memset(pieces[i].get(), static_cast<int>(i + 1), sizes[i]);
  }
  for (size_t i = 0; i < sizes.size(); ++i) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(pieces[i].get());
    size_t wrong = 0;
    for (size_t k = 0; k < sizes[i]; ++k) wrong += bytes[k] != i + 1;
    CHECK(wrong == 0);
  }
}

TEST_CASE("cpu: memory of any size is aligned; more than there is gives null") {
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{4095}, size_t{2} << 20, (size_t{5} << 20) + 1}) {
    void* data = cpu::AllocateAligned(bytes);
    REQUIRE(data != nullptr);
    CHECK(reinterpret_cast<uintptr_t>(data) % kArenaAlignment == 0);
    std::memset(data, 1, bytes);
    cpu::FreeAligned(data, bytes);
  }
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  CHECK(cpu::AllocateAligned(size_t{1} << 62) == nullptr);
#endif
}
