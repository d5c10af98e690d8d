// What make check-instructions makes of two tables of counts.
// SPDX-License-Identifier: Apache-2.0
#include <fstream>
#include <string>

#include "tests/support/test.h"

namespace couplet {
namespace {

test::ProcessResult Compare(const std::string& golden, const std::string& now) {
  const test::TempDir dir;
  std::ofstream(dir / "golden") << "# compiler 12\n" << golden;
  std::ofstream(dir / "now") << now;
  return test::RunProcess({"sh", "tests/check_instructions.sh", "compare", dir / "golden", dir / "now"});
}

TEST_CASE("instructions: up to 3 % is no difference") {
  const auto result = Compare("1000\tdecode\n500\ta step, 2 x 3\n", "1029\tdecode\n486\ta step, 2 x 3\n");
  CHECK_MESSAGE(result.code == 0, result.out, result.err);
  CHECK(result.out == "2 stages counted, all within 3 % of the golden file\n");
}

TEST_CASE("instructions: more, fewer, new and lost stages are named") {
  const std::string golden = "1000\tdecode\n500\ta step, 2 x 3\n";
  const auto more = Compare(golden, "1031\tdecode\n500\ta step, 2 x 3\n");
  CHECK(more.code == 1);
  CHECK_HAS(more.out, "decode: 1031 instructions, 1.031 times the golden 1000");
  CHECK_HAS(more.out, "make keep-instructions");
  const auto fewer = Compare(golden, "1000\tdecode\n484\ta step, 2 x 3\n");
  CHECK(fewer.code == 1);
  CHECK_HAS(fewer.out, "a step, 2 x 3: 484 instructions, 0.968 times the golden 500");
  const auto other = Compare(golden, "1000\tdecode\n500\tresize\n");
  CHECK(other.code == 1);
  CHECK_HAS(other.out, "resize: 500 instructions; the golden file does not have it");
  CHECK_HAS(other.out, "a step, 2 x 3: in the golden file, not counted");
}

TEST_CASE("instructions: other versions than every golden file's are skipped by name") {
  const test::TempDir dir;
  const auto result = test::RunProcess({"sh", "-c", "PATH='" + dir.path() + "':$PATH; printf '#!/bin/sh\\n' > '" + dir.path() +
                                                        "/valgrind'; chmod +x '" + dir.path() + "/valgrind'; "
                                                        "sh tests/check_instructions.sh check /nowhere '" + dir.path() + "'"});
  CHECK(result.code == 77);
  CHECK_HAS(result.out, "skipped: no golden file for these versions");
}

}  // namespace
}  // namespace couplet
