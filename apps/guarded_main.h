// The frame around every program's main().
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace couplet {

// Runs a program's own part of main(). What is thrown and nobody catches, here or on another thread, ends with one line and
// a documented code: 3 when memory ran out, else 1. Never a core dump, never an exception's own words.
int GuardedMain(const char* program, int (*run)(int argc, char** argv), int argc, char** argv) noexcept;

}  // namespace couplet
