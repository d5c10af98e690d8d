// What make check-jetson judges by: spills, shared memory, registers, and how much of a multiprocessor a kernel fills.
// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>

#include <fstream>

#include "tests/support/test.h"

namespace couplet {
namespace {

std::string Python(const std::string& expression) {
  const auto result = test::RunProcess(
      {"python3", "-B", "-c", "import sys; sys.path.insert(0, 'tests/boards'); import jetson, compare_codelab; print(" + expression + ")"});
  return result.code == 0 ? result.out : result.err;
}
bool NoPython() { return test::RunProcess({"python3", "-c", ""}).code != 0; }

TEST_CASE("jetson: a spill, too much shared memory, too many registers and threads are faults; what fits is none") {
  if (NoPython()) COUPLET_SKIP("needs python3");
  const auto judge = [](const std::string& row) { return Python("jetson.judge([('k', " + row + ")])"); };
  CHECK(judge("'TX2', 32, 49152, 0") == "[]\n");
  CHECK_HAS(judge("'TX2', 32, 0, 8"), "TX2: k spills 8 bytes");
  CHECK_HAS(judge("'TX2', 32, 49153, 0"), "a block has 49152");
  CHECK(judge("'AGX Orin', 32, 49153, 0") == "[]\n");
  CHECK_HAS(judge("'Nano', 256, 0, 0"), "does not fit");
  const test::TempDir dir;
  std::ofstream(dir / "a.cuh") << "constexpr int kSomeThreads = 1024;\nconstexpr int kWideThreads = 1025;\n";
  CHECK_HAS(Python("jetson.too_wide('" + dir.path() + "')"), "kWideThreads is 1025, a block has 1024 threads at most");
  CHECK(Python("len(jetson.too_wide('" + dir.path() + "'))") == "1\n");
  CHECK(Python("jetson.too_wide('kernels')") == "[]\n");
}

TEST_CASE("jetson: occupancy is what NVIDIA's own table says") {
  if (NoPython()) COUPLET_SKIP("needs python3");
  const auto percent = [](const std::string& arguments) { return Python("jetson.occupancy(jetson.BOARDS[" + arguments + ")"); };
  CHECK(percent("1], 32, 0") == "100\n");      // 8 blocks of 256
  CHECK(percent("1], 40, 0") == "75\n");       // registers for 6
  CHECK(percent("1], 33, 0") == "75\n");      // registers come in eights a thread
  CHECK(percent("1], 32, 20480") == "37\n");   // shared memory for 3
  CHECK(percent("3], 32, 0") == "100\n");      // 6 blocks are all of Orin's 1536
  CHECK(percent("3], 128, 0") == "33\n");
}

TEST_CASE("jetson: a MobileNet's layers add up to the multiply-adds and weights that are published") {
  if (NoPython()) COUPLET_SKIP("needs python3");
  CHECK(Python("[round(sum(l[i] for l in jetson.mobilenet(1.0, 224)) / 1e6, 1) for i in (1, 2)]") == "[568.7, 4.2]\n");
  CHECK(Python("round(sum(l[1] for l in jetson.mobilenet(0.25, 128)) / 1e6)") == "14\n");
}

TEST_CASE("jetson: the old g++ that TX2's nvcc wants is not given an option that it lacks; one that CXX is, is") {
  if (test::RunProcess({"make", "--version"}).code != 0) COUPLET_SKIP("needs make");
  const test::TempDir dir;
  const std::string compiler = dir / "g++", nvcc = dir / "nvcc";
  for (const std::string& program : {compiler, nvcc}) {
    std::ofstream(program) << "#!/bin/sh\n[ \"$1\" != -dumpmachine ] || echo aarch64-linux-gnu\n";
    REQUIRE(chmod(program.c_str(), 0755) == 0);
  }
  const auto commands = [&](const std::string& old) {
    const auto made = test::RunProcess({"make", "-n", "OUT=" + dir.path(), "CXX=" + compiler, "NVCC=" + nvcc, "ARCHS=62", old, "kernels"}, {"MAKEFLAGS="});
    CHECK_MESSAGE(made.code == 0, made.err);
    return made.out;
  };
  const std::string with_old = commands("NVCC_CXX=g++-8");
  CHECK_HAS(with_old, nvcc + " -ccbin g++-8 -std=c++14");
  CHECK_HAS(with_old, "arch=compute_62,code=sm_62");
  CHECK(with_old.find("-mbranch-protection") == std::string::npos);  // came with g++ 9
  CHECK_HAS(commands("NVCC_CXX="), "-Xcompiler -mbranch-protection=standard");
}

TEST_CASE("jetson: the codelab's two runs: a graph's nodes are read off its bytes, and no number is far from all") {
  if (NoPython()) COUPLET_SKIP("needs python3");
  // node {name: "a" op: "Mul"}, versions, node {name: "b" op: "Add" input: "a"}.
  CHECK(Python("compare_codelab.nodes(b'\\x0a\\x08\\x0a\\x01a\\x12\\x03Mul\\x22\\x02\\x08\\x15\\x0a\\x0b\\x0a\\x01b\\x12\\x03Add\\x1a\\x01a')") ==
        "[('a', 'Mul'), ('b', 'Add')]\n");
  // And a vector that is not a number is no vector within bounds.
  CHECK(Python("[compare_codelab.farthest([1, x, 5], [2, 4, 5]) for x in (7.0, float('nan'))]") == "[3.0, nan]\n");
}

}  // namespace
}  // namespace couplet
