// SPDX-License-Identifier: Apache-2.0
#include "models/wilson.h"

#include "tests/support/test.h"

namespace couplet {
namespace {

TEST_CASE("wilson: the interval of known counts") {
  // The roots p of (right / n - p)^2 = z^2 p (1 - p) / n, solved to 12 digits with Python's decimal module.
  struct Case {
    int right, n;
    double low, high;
  };
  for (const Case& c : {Case{331, 362, 0.881011469293, 0.939015875249}, Case{0, 10, 0.0, 0.277532799863},
                        Case{10, 10, 0.722467200137, 1.0}, Case{81, 108, 0.660704648910, 0.822121671217}}) {
    CAPTURE(c.right);
    const Interval interval = WilsonInterval(c.right, c.n);
    CHECK(interval.low == doctest::Approx(c.low).epsilon(1e-9));
    CHECK(interval.high == doctest::Approx(c.high).epsilon(1e-9));
  }
}

TEST_CASE("wilson: of no photos nothing is known") {
  CHECK(WilsonInterval(0, 0).low == 0.0);
  CHECK(WilsonInterval(0, 0).high == 1.0);
}

}  // namespace
}  // namespace couplet
