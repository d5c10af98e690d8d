// Label files: one label a line. Written as retrain.py does ('\n' after every label), read with or without.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "runtime/status.h"

namespace couplet {

Result<std::vector<std::string>> ReadLabels(const std::string& path);
std::string FormatLabels(std::span<const std::string> labels);

}  // namespace couplet
