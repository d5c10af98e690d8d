// What tests of kernels share: run in every schedule into poisoned memory, hold the runs to the same bits,
// compare.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "tests/support/device_memory.h"
#include "tests/support/test.h"

namespace couplet::test {

constexpr double kEpsilon = 0x1p-24;  // of one float32 rounding

inline bool SameBits(float a, float b) {
  return std::memcmp(&a, &b, sizeof a) == 0;
}

// Element i of an array on the device; __half has no size here.
template <class T>
T* At(T* array, size_t i) {
  using Stored = typename HostElement<T>::Stored;
  return reinterpret_cast<T*>(reinterpret_cast<Stored*>(array) + i);
}

// Dense pixels laid out `stride` channels apart, NaN between them: what is read there shows.
inline std::vector<float> Spread(const std::vector<float>& dense, size_t channels, size_t stride) {
  const size_t pixels = dense.size() / channels;
  std::vector<float> spread(pixels * stride, NAN);
  for (size_t p = 0; p < pixels; ++p)
    for (size_t c = 0; c < channels; ++c) spread[p * stride + c] = dense[p * channels + c];
  return spread;
}

// What a kernel wrote to [pixels, channels], `stride` elements from pixel to pixel.
struct Output {
  size_t pixels = 0, channels = 0, stride = 0;
  std::vector<float> values;  // [pixels * stride], NaN where nothing was written

  float at(size_t pixel, int channel) const { return values[pixel * stride + static_cast<size_t>(channel)]; }
  bool outside_untouched() const {
    for (size_t i = 0; i < values.size(); ++i)
      if (i % stride >= channels && !std::isnan(values[i])) return false;
    return true;
  }
};

// Runs launch(T* dst) once in each schedule. Every run must succeed, stay inside its memory and inside the
// slice, and give the bits of the first.
template <class T, class LaunchFunction>
Output RunInSchedules(const std::string& kernel, size_t pixels, size_t channels, size_t stride,
                      const LaunchFunction& launch) {
  Output first;
  bool same = true;
  ForEachSchedule(kernel, [&] {
    const DeviceArray<T> dst(pixels * stride);
    CHECK(launch(dst.data()) == kLaunchOk);
    Output got{pixels, channels, stride, dst.Read()};
    CHECK(dst.intact());
    CHECK(got.outside_untouched());
    if (first.values.empty()) {
      first = got;
    } else {
      same =
          same && std::memcmp(first.values.data(), got.values.data(), got.values.size() * sizeof(float)) == 0;
    }
  });
  CHECK_MESSAGE(same, "another schedule gives other bits");
  return first;
}

// Compares values with what they should be, counts what differs and keeps the first.
class Mismatches {
 public:
  // bound 0: `got` is `want` rounded to float32 and then to T. Otherwise |got - want| <= bound and T's own
  // rounding.
  template <class T>
  void Check(float got, double want, double bound, size_t pixel, int channel) {
    const float exact = Rounded<T>(static_cast<float>(want));
    double allowed = bound;
    if (bound > 0.0 && sizeof(typename HostElement<T>::Stored) == 2)
      allowed += kUnitRoundoff<T> * (std::fabs(want) + bound) + 0x1p-25;  // half's subnormals are 2^-24 apart
    // NaN must fail: it makes both comparisons false.
    if (bound == 0.0 ? got == exact : std::fabs(static_cast<double>(got) - want) <= allowed) return;
    if (count_++ == 0)
      first_ = fmt::format("pixel {} channel {}: {} instead of {} +- {}", pixel, channel, got, want, allowed);
  }
  void Report() const { CHECK_MESSAGE(count_ == 0, count_, " values differ; ", first_); }

 private:
  size_t count_ = 0;
  std::string first_;
};

}  // namespace couplet::test
