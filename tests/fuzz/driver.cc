// libFuzzer's way in. One program serves every target: the name it is called by (a link) says which, so that the
// library is built and linked once.
// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/fuzz/targets.h"

namespace {
const couplet::fuzz::Target* target = nullptr;
}

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  if (*argc < 1) return 1;
  const std::string program = (*argv)[0];
  target = couplet::fuzz::FindTarget(program.substr(program.rfind('/') + 1));
  if (target != nullptr) return 0;
  std::fprintf(stderr, "%s: is called by no target's name\n", program.c_str());
  std::exit(2);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string fault = target->run({data, size});
  if (fault.empty()) return 0;
  std::fprintf(stderr, "%s: %s\n", target->name, fault.c_str());
  std::abort();
}
