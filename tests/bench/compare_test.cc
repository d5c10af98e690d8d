// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/compare.h"

#include <fmt/format.h>

#include "tests/support/test.h"

namespace couplet::bench {
namespace {

std::string Run(double flops, const std::string& rows) {
  return fmt::format(R"({{"fma_flops": {}, "decode_photos_per_s": 3000, "rows": [{}]}})", flops, rows);
}

TEST_CASE("bench: two runs beside each other") {
  const auto text = CompareRuns(
      Run(2e11, R"({"name": "vectors", "unit": "photos/s", "median": 1000, "rounds": [990, 1000, 1010]},
                   {"name": "steps", "unit": "s", "median": 0.2, "rounds": [0.1, 0.2, 0.3]},
                   {"name": "gone", "unit": "s", "median": 7, "rounds": [7]})"),
      "old.json",
      Run(1e11, R"({"name": "vectors", "unit": "photos/s", "median": 1500, "rounds": [1400, 1500, 1600]},
                   {"name": "steps", "unit": "s", "median": 0.16, "rounds": [0.15, 0.16, 0.17]},
                   {"name": "new", "unit": "ms", "median": 9, "rounds": [9]})"));
  REQUIRE(text.ok());
  CHECK(*text ==
        "                                                       then          now   faster\n"
        "the machine: GFLOP/s of FMA                             200          100   0.500x\n"
        "the machine: photos/s decoded                          3000         3000   1.000x\n"
        "vectors, photos/s                                      1000         1500   1.500x\n"
        "steps, s                                                0.2         0.16   1.250x  within the rounds\n"
        "new                                                       -            9\n"
        "gone                                                      7            -\n");
}

TEST_CASE("bench: something else than an earlier run is named") {
  for (const char* before : {"", "[]", "{\"rows\": 3}", R"({"fma_flops": 1, "decode_photos_per_s": 1, "rows": [{}]})"}) {
    CAPTURE(before);
    const auto text = CompareRuns(before, "old.json", Run(1, ""));
    REQUIRE(!text.ok());
    CHECK_HAS(text.status().message(), "old.json: not what make bench writes");
    CHECK_HAS(text.status().message(), "give --compare a build/bench.json kept from before");
  }
}

}  // namespace
}  // namespace couplet::bench
