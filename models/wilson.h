// How sure a share is that was counted on n photos.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace couplet {

struct Interval {
  double low = 0.0, high = 1.0;
};

// Wilson's score interval at 95 % for `right` of `n` (Wilson 1927, "Probable inference, the law of succession, and
// statistical inference"): fractions; all of [0, 1] when n is 0. Unlike the normal interval it stays within [0, 1] and
// has a width where all or none are right.
Interval WilsonInterval(int right, int n);

}  // namespace couplet
