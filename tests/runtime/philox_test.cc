// SPDX-License-Identifier: Apache-2.0
#include "runtime/philox.h"

#include "tests/support/test.h"

using namespace couplet;

TEST_CASE("philox: known answers of Random123 (kat_vectors, philox4x32 10)") {
  const Philox4 zero = Philox(0, 0, 0, 0);
  CHECK(zero.v[0] == 0x6627e8d5u);
  CHECK(zero.v[1] == 0xe169c58du);
  CHECK(zero.v[2] == 0xbc57ac4cu);
  CHECK(zero.v[3] == 0x9b00dbd8u);
}
