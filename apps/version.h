// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace couplet {

// "0.1.0"
std::string Version();
// What --version prints: version, commit, libraries, backends; several lines.
std::string VersionText(const std::string& program);

}  // namespace couplet
