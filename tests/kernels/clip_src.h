// For kernels that clip their source on reading: the same bits as from a source that was clipped before.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "kernels/depthwise.h"
#include "tests/support/kernel_run.h"
#include "tests/support/test.h"
#include "tests/support/values.h"

namespace couplet::test {

// run(clips, source) is the kernel's Output. Of `count` numbers of the source many lie above 6.
template <class T, class RunKernel>
void CheckClipsSource(size_t count, const RunKernel& run) {
  Values values(3);
  std::vector<float> src = values.Reals(count);
  for (float& x : src) x *= 20.0f;
  src = Rounded<T>(src);
  std::vector<float> clipped = src;
  for (float& x : clipped) x = std::min(x, 6.0f);
  REQUIRE(clipped != src);
  const Output got = run(true, src), want = run(false, clipped);
  REQUIRE(got.values.size() == want.values.size());
  int different = 0;
  for (size_t i = 0; i < got.values.size(); ++i)
    if (std::isnan(want.values[i]) || !SameBits(got.values[i], want.values[i])) ++different;
  CHECK(different == 0);
}

// launch(shape, src, weights, bias, dst): a depthwise kernel with a window of `window` x `window`.
template <class T, class LaunchDepthwise>
void CheckDepthwiseClipsSource(const std::string& kernel, int window, const LaunchDepthwise& launch) {
  for (const int channels : {8, 5})
    for (const int stride : {1, 2}) {
      INFO(kernel, ": ", channels, " channels, stride ", stride);
      DepthwiseShape s{};
      s.n = 2, s.ih = 7, s.iw = 6, s.ic = s.oc = channels;
      s.kh = s.kw = window, s.sh = s.sw = stride, s.dh = s.dw = 1, s.pad_top = s.pad_left = 1;
      s.oh = (s.ih + 2 - window) / stride + 1, s.ow = (s.iw + 2 - window) / stride + 1;
      const size_t c = static_cast<size_t>(channels), pixels = size_t{2} * s.oh * s.ow;
      Values values(5);
      const DeviceArray<float> weights(values.Reals(static_cast<size_t>(window * window) * c));
      const DeviceArray<float> bias(values.Reals(c));
      CheckClipsSource<T>(size_t{2} * s.ih * s.iw * c, [&](bool clips, const std::vector<float>& from) {
        s.clip_src = clips;
        const DeviceArray<T> src(from);
        return RunInSchedules<T>(kernel, pixels, c, c, [&](T* dst) {
          return launch(s, static_cast<const T*>(src.data()), static_cast<const float*>(weights.data()),
                        static_cast<const float*>(bias.data()), dst);
        });
      });
    }
}

}  // namespace couplet::test
