// The files that come with Couplet: the default backbone and the names of its classes.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "runtime/status.h"

namespace couplet {

inline constexpr const char* kImageNetLabels = "imagenet_labels.txt";  // 1001 lines, "background" first

// Path of a file that lies in weights/ of the sources, found from where the program lies: in ../share/couplet, where
// `make install` puts it, else in weights/ of a folder above, where the program was built. kIo: it is in neither.
Result<std::string> FindOwnFile(const std::string& name);

}  // namespace couplet
