// Tests of another machine's programs, in an emulator: $COUPLET_EMULATOR is the program that runs others of this build
// (make check-arm64).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdlib>
#include <string>

namespace couplet::test {

// It has memory, threads and a clock of its own, which some tests are about.
inline bool Emulated() { return std::getenv("COUPLET_EMULATOR") != nullptr; }

// What a shell's command has before a program of this build.
inline std::string EmulatorPrefix() { return Emulated() ? std::string(std::getenv("COUPLET_EMULATOR")) + " " : ""; }

}  // namespace couplet::test
