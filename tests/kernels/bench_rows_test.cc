// The rows of the kernels' benchmark launch, and name kernels that exist.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "tests/bench/kernels/rows.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

TEST_CASE("kernels: rows of the benchmark launch, and every kernel has one") {
  std::set<std::string> kernels, names, all;
  for (const auto& entry : std::filesystem::directory_iterator("kernels"))
    if (entry.path().extension() == ".cu") all.insert(entry.path().stem());
  all.erase("head_steps");  // a run of steps is timed as training
  auto rows = bench::AllRows(1);
  std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.bytes < b.bytes; });
  std::map<std::string, int> launched;
  for (const bench::KernelRow& row : rows) {
    CAPTURE(row.kernel);
    CAPTURE(row.name);
    CHECK(names.insert(row.kernel + ": " + row.name).second);
    CHECK(row.bytes > 0.0);
    kernels.insert(row.kernel);
    // The smallest two of each kernel: the kernel's own test runs the others' shapes.
    if (launched[row.kernel]++ < 2) CHECK(row.prepare()(test::TestStream()) == kLaunchOk);
  }
  CHECK(kernels == all);
}

}  // namespace
}  // namespace couplet
