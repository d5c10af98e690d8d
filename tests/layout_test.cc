// The rules of the tree itself: who may include whom.
// SPDX-License-Identifier: Apache-2.0
#include <fstream>
#include <string>

#include "loaders/files.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

test::ProcessResult CheckIncludes(const std::string& root) {
  return test::RunProcess({"sh", "tests/check_includes.sh", root});
}

TEST_CASE("layout: apps -> models -> loaders -> runtime -> kernels, never back") {
  const auto result = CheckIncludes(".");
  CHECK_MESSAGE(result.code == 0, result.out, result.err);
}

TEST_CASE("layout: the check sees each rule broken") {
  struct Breach {
    std::string path, line;
  };
  const std::vector<Breach> breaches = {
      {"kernels/a.cuh", "#include \"runtime/shape.h\""}, {"runtime/a.h", "#include \"loaders/files.h\""},
      {"runtime/cpu/a.cc", "# include \"models/catalog.h\""}, {"loaders/a.cc", "  #include \"apps/cli.h\""},
      {"models/a.cc", "#include \"../apps/cli.h\""},      {"apps/a.cc", "#include \"tests/support/test.h\""},
      {"runtime/a.cc", "#include <dnnl.hpp>"},            {"loaders/a.h", "#include <oneapi/dnnl/dnnl.hpp>"},
      {"models/a.cc", "size_t n = t.dims()[0] * 4;"},     {"runtime/a.cc", "auto n = 2 * shape.dims[i];"},
      {"runtime/cpu/a.cc", "HWY_EXPORT(Kernel);"},
  };
  for (const auto& breach : breaches) {
    CAPTURE(breach.path);
    const test::TempDir dir;
    const std::string path = dir / breach.path;
    REQUIRE(MakeDirectories(path.substr(0, path.rfind('/'))).ok());
    std::ofstream(path) << breach.line << "\n";
    const auto result = CheckIncludes(dir.path());
    CHECK(result.code == 1);
    CHECK_HAS(result.out, breach.line);
  }
  const test::TempDir dir;
  REQUIRE(MakeDirectories(dir / "runtime/cpu").ok());
  std::ofstream(dir / "runtime/cpu/a.cc") << "#include <dnnl.hpp>\n#include \"kernels/a.h\"\n";
  CHECK(CheckIncludes(dir.path()).code == 0);
}

}  // namespace
}  // namespace couplet
