// SPDX-License-Identifier: Apache-2.0
#include "kernels/philox.h"

#include <array>

#include "tests/support/test.h"

using namespace couplet;

namespace {
std::array<uint32_t, 4> Words(const Philox4& block) { return {block.v[0], block.v[1], block.v[2], block.v[3]}; }
}  // namespace

TEST_CASE("philox: known answers of Random123 (kat_vectors, philox4x32 10)") {
  using Answer = std::array<uint32_t, 4>;
  CHECK(Words(Philox4x32(0, 0, 0, 0, 0)) == Answer{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u});
  CHECK(Words(Philox4x32(UINT64_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX)) ==
        Answer{0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu});
  // pi's digits: counter 243f6a88 85a308d3 13198a2e 03707344, key a4093822 299f31d0
  CHECK(Words(Philox4x32(0x299f31d0a4093822u, 0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u)) ==
        Answer{0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u});
}

TEST_CASE("philox: a draw's address is row, step, stream under the seed") {
  CHECK(Words(Philox(0x0123456789abcdefu, 7, 11, kStreamWeights)) ==
        Words(Philox4x32(0x0123456789abcdefu, 7, 11, 3, 0)));
  CHECK(Words(Philox(1, 0, 0, 0)) != Words(Philox(0, 1, 0, 0)));
}
