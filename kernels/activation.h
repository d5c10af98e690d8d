// The activations that layers and kernels can end with. C++14, no toolkit header.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace couplet {

enum class Activation { kNone, kRelu, kRelu6 };

}  // namespace couplet
