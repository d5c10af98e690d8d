// SPDX-License-Identifier: Apache-2.0
#include "kernels/depthwise.h"

#include "tests/kernels/clip_src.h"
#include "tests/kernels/depthwise_run.h"

namespace couplet {
namespace {

constexpr const char* kName = "depthwise";

TEST_CASE("kernel depthwise: any window, stride, dilation and multiplier [threads]") {
  for (const test::DepthwiseCase& c : test::DepthwiseCases()) {
    const test::DepthwiseLauncher<float> floats = Depthwise;
    const test::DepthwiseLauncher<__half> halves = Depthwise;
    test::RunDepthwise<float>(kName, floats, c, true);
    test::RunDepthwise<__half>(kName, halves, c, true);
    test::RunDepthwise<float>(kName, floats, c, false);
    test::RunDepthwise<__half>(kName, halves, c, false, false);
  }
}

TEST_CASE("kernel depthwise: shapes that make no sense") {
  const DepthwiseShape good = test::SameDepthwise(1, 6, 6, 8, 1, Activation::kNone);
  const auto refused = [](const DepthwiseShape& s) {
    const float* null = nullptr;
    return Depthwise(s, null, null, null, static_cast<float*>(nullptr), test::TestStream()) ==
           kLaunchInvalidValue;
  };
  for (int DepthwiseShape::*field :
       {&DepthwiseShape::n, &DepthwiseShape::ih, &DepthwiseShape::iw, &DepthwiseShape::ic,
        &DepthwiseShape::oh, &DepthwiseShape::ow, &DepthwiseShape::oc, &DepthwiseShape::kh,
        &DepthwiseShape::kw, &DepthwiseShape::sh, &DepthwiseShape::sw, &DepthwiseShape::dh,
        &DepthwiseShape::dw}) {
    DepthwiseShape bad = good;
    bad.*field = 0;
    CHECK(refused(bad));
  }
  DepthwiseShape bad = good;
  bad.oc = 12;
  CHECK(refused(bad));
  bad = good, bad.dst_stride = 7;
  CHECK(refused(bad));
  bad = good, bad.pad_top = -1;
  CHECK(refused(bad));
}

TEST_CASE("kernel depthwise: a source clipped on reading gives what one clipped before gives") {
  const auto launch = [](const DepthwiseShape& s, const auto* src, const float* weights, const float* bias,
                         auto* dst) { return Depthwise(s, src, weights, bias, dst, test::TestStream()); };
  test::CheckDepthwiseClipsSource<float>("depthwise", 2, launch);
  test::CheckDepthwiseClipsSource<__half>("depthwise", 2, launch);
}

}  // namespace
}  // namespace couplet
