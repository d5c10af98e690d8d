// The CPU kernels on another instruction set: NEON, in an emulator. The whole suite there is make check-arm64's.
// SPDX-License-Identifier: Apache-2.0
#include <filesystem>

#include "tests/boards/layer_bits.h"
#include "tests/support/emulator.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

TEST_CASE("arm64: NEON gives the bits that this processor's vectors give") {
  const std::string program = "build/arm64/tests/layer_bits";
  if (test::Emulated() || !std::filesystem::exists(program))
    COUPLET_SKIP("needs build/arm64/tests/layer_bits, which make tests builds after make deps-arm64");
  const auto arm64 = test::RunProcess({"qemu-aarch64-static", "-L", "build/arm64/sysroot", program});
  REQUIRE_MESSAGE(arm64.code == 0, arm64.err);
  CHECK(arm64.out == test::LayerBits());
}

}  // namespace
}  // namespace couplet
