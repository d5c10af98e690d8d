// Label files: one label a line. Written as retrain.py does ('\n' after every label), read with or without.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "runtime/status.h"

namespace couplet {

// CRLF and a byte order mark are tolerated, white space at the end of a line is cut, line breaks at the end
// of the file are not labels. A blank line between labels is an empty label: the line's number is what
// counts. Errors name the file: kIo when it cannot be opened; kBadInput over 16 MiB, no labels, not text.
Result<std::vector<std::string>> ReadLabels(const std::string& path);
std::string FormatLabels(std::span<const std::string> labels);

}  // namespace couplet
