// What this machine can do at best, measured: the ceilings that every benchmark row is held against.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace couplet::bench {

// Bytes/s copied from one 64 MiB buffer to another, summed over `threads` threads.
double MeasureCopyRate(int threads, double seconds);

}  // namespace couplet::bench
