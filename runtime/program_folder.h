// Where the running program lies: what comes with it is looked for from there, not from the working folder.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace couplet {

// Without a slash at its end; "." where the system does not tell.
std::string ProgramFolder();

}  // namespace couplet
