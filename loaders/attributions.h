// LICENSE.txt of the codelab's photos: who took which.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "runtime/status.h"

namespace couplet {

// What scripts.show_image writes under a photo `<root>/<class>/<file>`: "Image by <photographer>", from the line
// "<class>/<file> CC-BY by <photographer> - <address>" of <root>/LICENSE.txt. kIo: no such file or photo. kBadInput: the
// photo is not in it.
Result<std::string> PhotoCaption(const std::string& photo);

}  // namespace couplet
