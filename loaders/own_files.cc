// SPDX-License-Identifier: Apache-2.0
#include "loaders/own_files.h"

#include <fmt/format.h>

#include "loaders/files.h"
#include "runtime/program_folder.h"

namespace couplet {

Result<std::string> FindOwnFile(const std::string& name) {
  const std::string folder = ProgramFolder();
  // Programs are built into build/, build/asan/, build/tests/, build/asan/tests/ and build/tests/standin/.
  for (const char* place : {"/../share/couplet/", "/../weights/", "/../../weights/", "/../../../weights/"})
    if (std::string path = folder + place + name; FileExists(path)) return path;
  return IoError(fmt::format("{}, which comes with Couplet, is neither in {}/../share/couplet nor in weights/ above {}; "
                             "run make install, or call the program where it was built", name, folder, folder));
}

}  // namespace couplet
