// float32 to half and back, element by element.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/launch.h"

namespace couplet {

struct ConvertShape {
  int64_t count = 0;  // elements of src and dst
};

// Rounds to nearest, ties to even; what half cannot hold becomes infinite. kLaunchInvalidValue for count <=
// 0. src and dst do not overlap.
LaunchResult LaunchConvert(const ConvertShape& shape, const float* src, __half* dst, DeviceStream stream);
LaunchResult LaunchConvert(const ConvertShape& shape, const __half* src, float* dst, DeviceStream stream);

}  // namespace couplet
