// The rows of the kernels' benchmark launch, and name kernels that exist.
// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <set>

#include "tests/bench/kernels/rows.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

TEST_CASE("kernels: every row of the benchmark launches, and each kernel of layers has one") {
  std::set<std::string> kernels, names;
  for (const bench::KernelRow& row : bench::LayerRows(1)) {
    CAPTURE(row.kernel);
    CAPTURE(row.name);
    CHECK(std::filesystem::exists("kernels/" + row.kernel + ".cuh"));
    CHECK(names.insert(row.kernel + row.name).second);
    CHECK(row.bytes > 0.0);
    CHECK(row.prepare()(test::TestStream()) == kLaunchOk);
    kernels.insert(row.kernel);
  }
  CHECK(kernels == std::set<std::string>{"bias_activation", "concat_slice", "convert", "first_conv",
                                         "global_average", "pad", "pool", "preprocess",
                                         "preprocess_first_conv", "softmax"});
}

}  // namespace
}  // namespace couplet
