// What this build's own CPU kernels make of seeded inputs, as text: made on two instruction sets, it shows whether they
// give equal bits.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace couplet::test {

// A line a layer: its name, a hash of its result's bits, and three of its values. Convolutions of every form that the
// networks have, pools, the mean, photos into pixels.
std::string LayerBits();

}  // namespace couplet::test
