// What we use of NVIDIA's libraries is what each JetPack has; and the check sees what is too new, or unknown.
// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <fstream>

#include "loaders/files.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

test::ProcessResult Check(const std::string& root) {
  return test::RunProcess({"python3", "tests/boards/api_subset.py", root});
}
bool NoPython() { return test::RunProcess({"python3", "-c", ""}).code != 0; }

TEST_CASE("api subset: nothing is newer than JetPack 4.6, 5, 6 and 7 have") {
  if (NoPython()) COUPLET_SKIP("needs python3");
  const auto result = Check(".");
  CHECK_MESSAGE(result.code == 0, result.out, result.err);
  CHECK_HAS(result.out, "JetPack 4.6: ");
}

TEST_CASE("api subset: a call that is too new is seen, unless an #if keeps it from the old toolkit") {
  if (NoPython()) COUPLET_SKIP("needs python3");
  const test::TempDir dir;
  REQUIRE(MakeDirectories(dir / "runtime/cuda").ok());
  const auto check = [&](const std::string& source) {
    std::ofstream(dir / "runtime/cuda/a.cc") << source;
    return Check(dir.path());
  };
  CHECK(check("// cudaGraphInstantiateWithFlags(1)\nauto a = \"cublasSetWorkspace\"; cudaMalloc(1);\n").code == 0);
  const auto newer = check("cudaGraphInstantiateWithFlags(&made, graph, 0);\n");
  CHECK(newer.code == 1);
  CHECK_HAS(newer.out, "runtime/cuda/a.cc: cudaGraphInstantiateWithFlags came with cuda 11.4; JetPack 4.6 has 10.2");
  CHECK(check("#if CUDART_VERSION >= 11040\ncudaGraphInstantiateWithFlags(1);\n#else\ncudaMalloc(1);\n#endif\n").code == 0);
  CHECK(check("#if CUDART_VERSION >= 11040\n#else\ncudaGraphInstantiateWithFlags(1);\n#endif\n").code == 1);
  CHECK(check("#if CUDART_VERSION < 11040\ncudaMalloc(1);\n#else\ncudaGraphInstantiateWithFlags(1);\n#endif\n").code == 0);
  CHECK_HAS(check("cudaNobodyKnows(1);\n").out, "cudaNobodyKnows is not in tests/boards/api_versions.tsv");
}

}  // namespace
}  // namespace couplet
