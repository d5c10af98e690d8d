// SPDX-License-Identifier: Apache-2.0
#include "runtime/program_folder.h"

#include <unistd.h>

#include <array>
#include <string_view>

namespace couplet {

std::string ProgramFolder() {
  std::array<char, 4096> path;
  const ssize_t length = readlink("/proc/self/exe", path.data(), path.size());
  if (length <= 0 || static_cast<size_t>(length) == path.size()) return ".";
  const std::string_view program(path.data(), static_cast<size_t>(length));
  return std::string(program.substr(0, program.rfind('/')));
}

}  // namespace couplet
