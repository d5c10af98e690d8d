// SPDX-License-Identifier: Apache-2.0
#include "kernels/depthwise3x3.h"

#include "tests/kernels/clip_src.h"
#include "tests/kernels/depthwise_run.h"

namespace couplet {
namespace {

constexpr const char* kName = "depthwise3x3";
using test::DepthwiseCase;

template <typename T>
void Run(const DepthwiseCase& c, bool exact, bool with_bias = true, int rows = 0) {
  INFO("walks of ", rows);
  test::RunDepthwise<T>(
      kName,
      [rows](const DepthwiseShape& shape, const T* src, const float* weights, const float* bias, T* dst,
             DeviceStream stream) { return Depthwise3x3(shape, src, weights, bias, dst, stream, rows); },
      c, exact, with_bias);
}
// Small problems choose walks of one row; here they take longer ones too, some beyond the image's end.
int SomeRows(size_t i) {
  return std::vector<int>{0, 2, 3, 4, 8, 5}[i % 6];
}

TEST_CASE("kernel depthwise3x3: integers, exactly") {
  size_t i = 0;
  for (const DepthwiseCase& c : test::Depthwise3x3Cases()) {
    Run<float>(c, true, true, SomeRows(i));
    Run<__half>(c, true, true, SomeRows(i++ + 3));
  }
}

TEST_CASE("kernel depthwise3x3: reals") {
  size_t i = 0;
  for (const DepthwiseCase& c : test::Depthwise3x3Cases()) {
    Run<float>(c, false, true, SomeRows(i));
    Run<__half>(c, false, true, SomeRows(i++ + 1));
  }
}

TEST_CASE("kernel depthwise3x3: no bias") {
  Run<float>({"no bias", test::SameDepthwise(1, 9, 9, 8, 1, Activation::kNone)}, false, false);
  Run<__half>({"no bias", test::SameDepthwise(1, 9, 9, 8, 2, Activation::kNone)}, false, false);
}

TEST_CASE("kernel depthwise3x3: MobileNet's layers, every width") {
  for (const int percent : {25, 50, 75, 100})
    for (const DepthwiseCase& c : test::MobileNetDepthwiseCases(1, percent, percent == 25 ? 128 : 224)) {
      Run<float>(c, false, true, percent == 100 ? 8 : 0);
      Run<__half>(c, false, true, percent == 50 ? 8 : 0);
    }
}

TEST_CASE(
    "kernel depthwise3x3: a photo's numbers do not depend on its batch, and the generic kernel's are the "
    "same") {
  const DepthwiseShape one = test::SameDepthwise(1, 14, 14, 32, 1, Activation::kNone);
  DepthwiseShape many = one;
  many.n = 5;
  test::Values values(3);
  const auto photo = values.Reals(14 * 14 * 32), weights = values.Reals(9 * 32), bias = values.Reals(32);
  std::vector<float> photos;
  for (int n = 0; n < many.n; ++n) photos.insert(photos.end(), photo.begin(), photo.end());
  const test::DeviceArray<float> src(photos), w(weights), b(bias);
  test::ForEachSchedule(kName, [&] {
    test::DeviceArray<float> alone(photo.size()), together(photos.size()), generic(photo.size());
    REQUIRE(Depthwise3x3(one, src.data(), w.data(), b.data(), alone.data(), test::TestStream()) == 0);
    REQUIRE(Depthwise3x3(many, src.data(), w.data(), b.data(), together.data(), test::TestStream()) == 0);
    REQUIRE(Depthwise(one, src.data(), w.data(), b.data(), generic.data(), test::TestStream()) == 0);
    const auto a = alone.Read(), t = together.Read();
    CHECK(generic.Read() == a);
    for (int rows = 1; rows <= 15; ++rows) {
      test::DeviceArray<float> walked(photo.size());
      REQUIRE(Depthwise3x3(one, src.data(), w.data(), b.data(), walked.data(), test::TestStream(), rows) ==
              0);
      CHECK(walked.Read() == a);
    }
    for (size_t n = 0; n < static_cast<size_t>(many.n); ++n)
      CHECK(std::equal(a.begin(), a.end(), t.begin() + static_cast<std::ptrdiff_t>(n * a.size())));
  });
}

TEST_CASE("kernel depthwise3x3: pointers that are not aligned to vectors") {
  const DepthwiseShape s = test::SameDepthwise(1, 6, 6, 8, 1, Activation::kNone);
  test::Values values(5);
  const auto src = values.Integers(6 * 6 * 8 + 1, -4, 4), weights = values.Integers(9 * 8 + 1, -3, 3),
             bias = values.Integers(8 + 1, -5, 5);
  const auto want = reference::DepthwiseConvolution(
      {1, 6, 6, 8, 6, 6, 1, 3, 3, 1, 1, 1, 1, 1, 1}, {src.begin() + 1, src.end()},
      {weights.begin() + 1, weights.end()}, {bias.begin() + 1, bias.end()});
  const test::DeviceArray<float> a(src), w(weights), b(bias);
  test::ForEachSchedule(kName, [&] {
    test::DeviceArray<float> dst(6 * 6 * 8 + 1);
    REQUIRE(Depthwise3x3(s, a.data() + 1, w.data() + 1, b.data() + 1, dst.data() + 1, test::TestStream()) ==
            0);
    const auto got = dst.Read();
    CHECK(std::isnan(got[0]));
    test::CheckEqual({got.begin() + 1, got.end()}, want.values);
    // One of them is enough for single elements.
    test::DeviceArray<float> aligned(6 * 6 * 8);
    CHECK(Depthwise3x3(s, a.data(), w.data() + 1, b.data(), aligned.data(), test::TestStream()) == 0);
    CHECK(Depthwise3x3(s, a.data(), w.data(), b.data() + 1, aligned.data(), test::TestStream()) == 0);
    CHECK(Depthwise3x3(s, a.data() + 1, w.data(), b.data(), aligned.data(), test::TestStream()) == 0);
  });
}

TEST_CASE("kernel depthwise3x3: a photo, some threads [threads]") {
  for (const int stride : {1, 2}) {
    Run<float>({"small", test::SameDepthwise(2, 9, 7, 8, stride, Activation::kRelu6)}, true, true, 3);
    Run<__half>({"small", test::SameDepthwise(2, 9, 7, 16, stride, Activation::kRelu6)}, true, true, 2);
  }
}

TEST_CASE("kernel depthwise3x3: what it does not take") {
  const DepthwiseShape good = test::SameDepthwise(1, 6, 6, 8, 1, Activation::kNone);
  const auto refused = [](const DepthwiseShape& s) {
    const float* null = nullptr;
    return Depthwise3x3(s, null, null, null, static_cast<float*>(nullptr), test::TestStream()) ==
           kLaunchInvalidValue;
  };
  for (int DepthwiseShape::*field :
       {&DepthwiseShape::n, &DepthwiseShape::ih, &DepthwiseShape::iw, &DepthwiseShape::ic,
        &DepthwiseShape::oh, &DepthwiseShape::ow, &DepthwiseShape::oc}) {
    DepthwiseShape bad = good;
    bad.*field = 0;
    CHECK(refused(bad));
  }
  DepthwiseShape bad = good;
  bad.sh = bad.sw = 3;
  CHECK(refused(bad));
  bad = good, bad.sw = 2;
  CHECK(refused(bad));
  bad = good, bad.kw = 5;
  CHECK(refused(bad));
  bad = good, bad.dh = 2;
  CHECK(refused(bad));
  bad = good, bad.oc = 16;
  CHECK(refused(bad));
  bad = good, bad.dst_stride = 7;
  CHECK(refused(bad));
  bad = good, bad.pad_left = -1;
  CHECK(refused(bad));
  CHECK(Depthwise3x3(good, static_cast<const float*>(nullptr), nullptr, nullptr, nullptr, test::TestStream(),
                     -1) == kLaunchInvalidValue);
  bad = good, bad.n = bad.oh = bad.ow = 40000;
  CHECK(refused(bad));
}

TEST_CASE("kernel depthwise3x3: a source clipped on reading gives what one clipped before gives") {
  const auto launch = [](const DepthwiseShape& s, const auto* src, const float* weights, const float* bias,
                         auto* dst) { return Depthwise3x3(s, src, weights, bias, dst, test::TestStream()); };
  test::CheckDepthwiseClipsSource<float>("depthwise3x3", 3, launch);
  test::CheckDepthwiseClipsSource<__half>("depthwise3x3", 3, launch);
}

}  // namespace
}  // namespace couplet
