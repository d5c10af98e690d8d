// What this processor can compute at best: the ceiling that layers and benchmarks are held against.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace couplet::cpu {

// fp32 FLOP/s of independent fused multiply-adds in registers, summed over `threads` threads, measured for so long.
double MeasureFmaPeak(int threads, double seconds);
// Of one thread, the best of slices of two milliseconds: what other programs take of the processor is left out.
double BestFmaPeak(double seconds);

}  // namespace couplet::cpu
