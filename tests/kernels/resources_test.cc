// What the kernels ask of a GPU: registers and shared memory as in the golden file, no spills, C++14.
// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/test.h"

namespace couplet {
namespace {

namespace fs = std::filesystem;

test::ProcessResult Check(const std::string& folder, const std::string& golden) {
  return test::RunProcess({"sh", "tests/kernel_resources.sh", "check", folder, golden});
}

TEST_CASE("kernels: registers and shared memory are the golden file's, and nothing spills") {
  const fs::path folder = fs::read_symlink("/proc/self/exe").parent_path().parent_path() / "obj/kernels";
  const auto result = Check(folder.string(), "tests/golden/kernel_resources.tsv");
  if (result.code == 77) COUPLET_SKIP("nvcc built no kernels");
  CHECK_MESSAGE(result.code == 0, result.out, result.err);
}

// What ptxas writes of one kernel.
void WriteLog(const std::string& path, int registers, int shared, int spilled) {
  std::ofstream(path)
      << "ptxas info    : Compiling entry function '_ZN7couplet6KernelIfLi2EEEvi' for 'sm_90'\n"
      << "    0 bytes stack frame, " << spilled << " bytes spill stores, " << spilled
      << " bytes spill loads\n"
      << "ptxas info    : Used " << registers << " registers, used 1 barriers, " << shared << " bytes smem\n";
}

TEST_CASE("kernels: the check of registers sees a change and a spill") {
  const test::TempDir dir;
  CHECK(Check(dir.path(), dir / "golden").code == 77);
  std::ofstream(dir / "toolkit") << "nvcc V1\n";
  std::ofstream(dir / "golden")
      << "nvcc V1\nKernel<float, 2>\tsm_75\t30\t0\t0\nKernel<float, 2>\tsm_90\t40\t128\t0\n";
  std::ofstream(dir / "other") << "nvcc V2\nKernel<float, 2>\tsm_90\t10\t128\t0\n";
  const std::string log = dir / "kernel.cu.ptxas";
  WriteLog(log, 40, 128, 0);
  const auto good = Check(dir.path(), dir / "golden");
  CHECK_MESSAGE(good.code == 0, good.out, good.err);
  CHECK(Check(dir.path(), dir / "other").code == 0);  // another ptxas: its own numbers
  WriteLog(log, 41, 128, 0);
  CHECK(Check(dir.path(), dir / "golden").code == 1);
  WriteLog(log, 40, 256, 0);
  CHECK(Check(dir.path(), dir / "golden").code == 1);
  WriteLog(log, 40, 128, 8);
  CHECK_HAS(Check(dir.path(), dir / "golden").out, "spills 16 bytes on sm_90: Kernel<float, 2>");
  CHECK(Check(dir.path(), dir / "other").code == 1);
}

}  // namespace
}  // namespace couplet
