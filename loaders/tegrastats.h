// What NVIDIA's tegrastats prints, a line an interval, on Jetson boards from the Nano and TX2 to Orin and Thor.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "loaders/device_sample.h"

namespace couplet {

// Fills what the line tells: RAM as host memory, GR3D (or GR3D_FREQ) as the GPU's load, the mean of the processors'
// loads (one that is off counts as idle), the GPU's temperature, and power. Power is the rail of the board's input
// where there is one (VDD_IN, POM_5V_IN), else the sum of the rails that are fed from it. Nothing when it is no line
// of tegrastats.
std::optional<DeviceSample> ParseTegrastats(std::string_view line);

}  // namespace couplet
