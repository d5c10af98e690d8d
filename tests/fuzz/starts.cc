// Writes what each target starts from into FOLDER/TARGET.
// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <fstream>
#include <string>

#include "loaders/files.h"
#include "tests/fuzz/targets.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: starts FOLDER\n");
    return 2;
  }
  for (const couplet::fuzz::Target& target : couplet::fuzz::Targets()) {
    const std::string folder = couplet::JoinPath(argv[1], target.name);
    if (!couplet::MakeDirectories(folder).ok()) return 4;
    int number = 0;
    for (const std::string& start : target.starts())
      std::ofstream(couplet::JoinPath(folder, "start" + std::to_string(number++)), std::ios::binary) << start;
  }
  return 0;
}
