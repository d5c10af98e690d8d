// Kernels that clip their source on reading: the same bits as from a source that was clipped before.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>

#include "kernels/depthwise3x3.h"
#include "kernels/global_average.h"
#include "tests/support/kernel_run.h"
#include "tests/support/test.h"
#include "tests/support/values.h"

using namespace couplet;
using namespace couplet::test;

namespace {

// A value in five lies above 6.
template <class T>
std::vector<float> Source(size_t count) {
  Values values(3);
  std::vector<float> src = values.Reals(count);
  for (float& x : src) x *= 10.0f;
  return Rounded<T>(src);
}

std::vector<float> Clipped(std::vector<float> src) {
  for (float& x : src) x = std::min(x, 6.0f);
  return src;
}

void CheckSame(const Output& got, const Output& want) {
  REQUIRE(got.values.size() == want.values.size());
  int different = 0;
  for (size_t i = 0; i < got.values.size(); ++i)
    if (std::isnan(want.values[i]) || !SameBits(got.values[i], want.values[i])) ++different;
  CHECK(different == 0);
}

template <class T>
void CheckDepthwise(int channels, int stride, int window) {
  CAPTURE(channels);
  CAPTURE(stride);
  CAPTURE(window);
  DepthwiseShape s{};
  s.n = 2, s.ih = 7, s.iw = 6, s.ic = s.oc = channels;
  s.kh = s.kw = window, s.sh = s.sw = stride, s.dh = s.dw = 1, s.pad_top = s.pad_left = 1;
  s.oh = (7 + 2 - window) / stride + 1, s.ow = (6 + 2 - window) / stride + 1;
  Values values(5);
  const size_t c = static_cast<size_t>(channels);
  const auto src = Source<T>(2 * 7 * 6 * c);
  const DeviceArray<float> weights(values.Reals(static_cast<size_t>(window * window) * c)),
      bias(values.Reals(c));
  const auto run = [&](bool clips, const std::vector<float>& from) {
    s.clip_src = clips;
    const DeviceArray<T> input(from);
    const std::string kernel = window == 3 ? "depthwise3x3" : "depthwise";
    return RunInSchedules<T>(kernel, 2 * static_cast<size_t>(s.oh) * s.ow, c, c, [&](T* dst) {
      return window == 3 ? Depthwise3x3(s, input.data(), weights.data(), bias.data(), dst, TestStream())
                         : Depthwise(s, input.data(), weights.data(), bias.data(), dst, TestStream());
    });
  };
  CheckSame(run(true, src), run(false, Clipped(src)));
}

template <class T>
void CheckGlobalAverage(int channels) {
  CAPTURE(channels);
  GlobalAverageShape s;
  s.n = 2, s.pixels = 49, s.c = channels;
  const auto src = Source<T>(2 * 49 * static_cast<size_t>(channels));
  const auto run = [&](bool clips, const std::vector<float>& from) {
    s.clip_src = clips;
    const DeviceArray<T> input(from);
    return RunInSchedules<T>(
        "global_average", 2, static_cast<size_t>(channels), static_cast<size_t>(channels),
        [&](T* dst) { return LaunchGlobalAverage<T>(s, input.data(), dst, TestStream()); });
  };
  CheckSame(run(true, src), run(false, Clipped(src)));
}

template <class T>
void CheckAll() {
  for (const int channels : {8, 5}) {
    for (const int stride : {1, 2})
      for (const int window : {3, 2}) CheckDepthwise<T>(channels, stride, window);
    CheckGlobalAverage<T>(channels);
  }
}

TEST_CASE("kernel depthwise, depthwise3x3, global_average: clipping on reading, float") {
  CheckAll<float>();
}
TEST_CASE("kernel depthwise, depthwise3x3, global_average: clipping on reading, half") {
  CheckAll<__half>();
}

}  // namespace
