// SPDX-License-Identifier: Apache-2.0
#include "kernels/preprocess_first_conv.h"

#include <cstring>

#include "tests/kernels/preprocess_first_conv_cases.h"
#include "tests/kernels/preprocess_photos.h"
#include "tests/reference/convolution.h"
#include "tests/reference/small_ops.h"
#include "tests/support/kernel_run.h"
#include "tests/support/test.h"

using namespace couplet;
using namespace couplet::test;

namespace {

// A case with all that follows from it, on the host and on the device.
struct Beginning {
  PreprocessShape resize;
  FirstConvShape conv;
  PhotoBatch batch;
  std::vector<float> weights, bias;
  DeviceArray<uint8_t> device_bytes;
  DeviceArray<PhotoEntry> table;
  DeviceArray<float> device_weights, device_bias;

  explicit Beginning(const PreprocessFirstConvCase& c)
      : resize(c.resize),
        conv(c.conv),
        batch(c.photos, c.conv.ih, 61),
        device_bytes(batch.bytes),
        table(batch.table.size()),
        device_weights(27 * static_cast<size_t>(c.conv.oc)),
        device_bias(static_cast<size_t>(c.conv.oc)) {
    Values values(67);
    weights = values.Reals(device_weights.size());
    if (c.bias) bias = values.Reals(device_bias.size());
    device_weights.Write(weights);
    if (c.bias) device_bias.Write(bias);
    std::vector<PhotoEntry> entries(batch.table.size());
    std::memcpy(entries.data(), batch.table.data(), entries.size() * sizeof(PhotoEntry));
    table.Write(entries);
    resize.n = conv.n = static_cast<int>(entries.size());
    resize.oh = conv.ih;
    resize.ow = conv.iw;
  }
  const float* bias_data() const { return bias.empty() ? nullptr : device_bias.data(); }
  size_t pixels() const { return static_cast<size_t>(conv.n) * conv.oh * conv.ow; }
  size_t channels() const { return static_cast<size_t>(conv.oc); }
  size_t stride() const { return conv.dst_stride != 0 ? static_cast<size_t>(conv.dst_stride) : channels(); }

  template <class T>
  LaunchResult Launch(T* dst) const {
    return LaunchPreprocessFirstConv<T>(resize, conv, device_bytes.data(), table.data(),
                                        device_weights.data(), bias_data(), dst, TestStream());
  }
  template <class T>
  Output Run() const {
    return RunInSchedules<T>("preprocess_first_conv", pixels(), channels(), stride(),
                             [&](T* dst) { return Launch<T>(dst); });
  }
};

template <class T>
void TestBits() {
  for (const auto& c : kPreprocessFirstConvCases) {
    CAPTURE(c.name);
    const Beginning b(c);
    const Output fused = b.Run<T>();
    const DeviceArray<T> resized(static_cast<size_t>(b.conv.n) * b.conv.ih * b.conv.iw * 3);
    const DeviceArray<T> dst(b.pixels() * b.stride());
    REQUIRE(LaunchPreprocess<T>(b.resize, b.device_bytes.data(), b.table.data(), resized.data(),
                                TestStream()) == 0);
    REQUIRE(LaunchFirstConv<T>(b.conv, resized.data(), b.device_weights.data(), b.bias_data(), dst.data(),
                               TestStream()) == 0);
    const Output apart{b.pixels(), b.channels(), b.stride(), dst.Read()};
    size_t differ = 0;
    for (size_t pixel = 0; pixel < apart.pixels; ++pixel)
      for (int o = 0; o < b.conv.oc; ++o) differ += !SameBits(fused.at(pixel, o), apart.at(pixel, o));
    CHECK(differ == 0);
  }
}

TEST_CASE("kernel preprocess_first_conv: the bits of preprocess and first_conv, float") {
  TestBits<float>();
}
TEST_CASE("kernel preprocess_first_conv: the bits of preprocess and first_conv, half") {
  TestBits<__half>();
}

TEST_CASE("kernel preprocess_first_conv: against the definition") {
  for (const auto& c : kPreprocessFirstConvCases) {
    CAPTURE(c.name);
    const Beginning b(c);
    const auto& s = b.conv;
    std::vector<float> src;
    for (size_t n = 0; n < c.photos.size(); ++n)
      for (int y = 0; y < s.ih; ++y)
        for (int x = 0; x < s.iw; ++x)
          for (int channel = 0; channel < 3; ++channel)
            src.push_back(
                reference::NormalizedBy(reference::ResizedAt(b.batch.photos[n], c.photos[n].height,
                                                             c.photos[n].width, s.ih, s.iw, y, x, channel),
                                        b.resize.mean, b.resize.std, b.resize.divide));
    const Output got = b.Run<float>();
    const reference::ConvolutionCase conv = {s.ih, s.iw, 3, s.oc,      3,          3,    2,
                                             2,    1,    1, s.pad_top, s.pad_left, false};
    Mismatches mismatches;
    size_t pixel = 0;
    for (int n = 0; n < s.n; ++n)
      for (int y = 0; y < s.oh; ++y)
        for (int x = 0; x < s.ow; ++x, ++pixel)
          for (int o = 0; o < s.oc; ++o) {
            const auto sum = reference::ConvolutionAt(conv, src, b.weights, {}, b.bias, n, y, x, o);
            mismatches.Check<float>(got.at(pixel, o),
                                    reference::Clipped(sum.value, static_cast<reference::Clip>(s.activation)),
                                    28 * kEpsilon * sum.magnitude, pixel, o);
          }
    mismatches.Report();
  }
}

TEST_CASE("kernel preprocess_first_conv: shapes it does not take") {
  Beginning b(kPreprocessFirstConvCases[0]);
  const DeviceArray<float> dst(8);
  CHECK(b.Launch(dst.data()) == kLaunchOk);
  b.resize.oh = 2;  // not what the convolution takes
  CHECK(b.Launch(dst.data()) == kLaunchInvalidValue);
  b.resize.oh = 1;
  b.conv.oc = kFirstConvMaxChannels + 1;
  CHECK(b.Launch(dst.data()) == kLaunchInvalidValue);
}

}  // namespace
