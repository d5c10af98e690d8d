// SPDX-License-Identifier: Apache-2.0
#include "kernels/im2col.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tests/kernels/im2col_cases.h"
#include "tests/reference/small_ops.h"
#include "tests/support/kernel_run.h"
#include "tests/support/test.h"
#include "tests/support/values.h"

using namespace couplet;
using namespace couplet::test;

namespace {

// Elements in front of src and of dst: where one doesn't begin at 16 bytes, no 16 bytes can be moved.
struct Offsets {
  size_t src = 0, dst = 0;
};

template <class T>
void TestCase(const Im2colCase& c, const Offsets& offsets = {}) {
  CAPTURE(c.name);
  Im2colShape s = c.shape;
  // Of a model's sizes the first rows: every other case has an end.
  if (std::string(c.name).starts_with("Inception")) s.oh = std::min(s.oh, 2);
  Values values(31);
  auto src = Rounded<T>(values.Reals(static_cast<size_t>(s.n) * s.ih * s.iw * s.ic));
  auto placed = src;
  placed.insert(placed.begin(), offsets.src, 0.5f);
  const DeviceArray<T> input(placed);
  const size_t rows = static_cast<size_t>(s.n) * s.oh * s.ow, columns = static_cast<size_t>(s.kh) * s.kw * s.ic;
  std::vector<float> want;
  for (int n = 0; n < s.n; ++n)
    for (int y = 0; y < s.oh; ++y)
      for (int x = 0; x < s.ow; ++x)
        for (int ky = 0; ky < s.kh; ++ky)
          for (int kx = 0; kx < s.kw; ++kx)
            for (int i = 0; i < s.ic; ++i)
              want.push_back(reference::PaddedAt(src, s.ih, s.iw, s.ic, s.pad_top, s.pad_left, n, y * s.sh + ky * s.dh,
                                                 x * s.sw + kx * s.dw, i));
  REQUIRE(want.size() == rows * columns);
  ForEachSchedule("im2col", [&] {
    const DeviceArray<T> dst(offsets.dst + want.size());
    REQUIRE(LaunchIm2col<T>(s, At(input.data(), offsets.src), At(dst.data(), offsets.dst), TestStream()) == kLaunchOk);
    CHECK(dst.intact());
    const auto got = dst.Read();
    const auto begin = got.begin() + static_cast<ptrdiff_t>(offsets.dst);
    CHECK(std::all_of(got.begin(), begin, [](float f) { return std::isnan(f); }));
    const size_t at = static_cast<size_t>(std::mismatch(want.begin(), want.end(), begin).first - want.begin());
    CHECK_MESSAGE(at == want.size(), "row ", at / columns, ", column ", at % columns, " is another value");
  });
}

template <class T>
void TestCases() {
  for (const auto& c : kIm2colCases) TestCase<T>(c);
  TestCase<T>(kIm2colCases[2], {.src = 1});
  TestCase<T>(kIm2colCases[2], {.dst = 1});
}

TEST_CASE("kernel im2col: every case against the definition, float") {
  TestCases<float>();
}
TEST_CASE("kernel im2col: every case against the definition, half") {
  TestCases<__half>();
}

TEST_CASE("kernel im2col: shapes it does not take") {
  const DeviceArray<float> src(std::vector<float>(64)), dst(256);
  const Im2colShape good = {1, 2, 2, 4, 2, 2, 3, 3, 1, 1, 1, 1, 1, 1};
  const auto launch = [&](const auto& change) {
    Im2colShape s = good;
    change(s);
    return LaunchIm2col<float>(s, src.data(), dst.data(), TestStream());
  };
  CHECK(launch([](Im2colShape&) {}) == kLaunchOk);
  for (int Im2colShape::*size : {&Im2colShape::n, &Im2colShape::ih, &Im2colShape::iw, &Im2colShape::ic, &Im2colShape::oh,
                                 &Im2colShape::ow, &Im2colShape::kh, &Im2colShape::kw, &Im2colShape::sh, &Im2colShape::sw,
                                 &Im2colShape::dh, &Im2colShape::dw})
    CHECK(launch([size](Im2colShape& s) { s.*size = 0; }) == kLaunchInvalidValue);
  CHECK(launch([](Im2colShape& s) { s.pad_top = -1; }) == kLaunchInvalidValue);
  CHECK(launch([](Im2colShape& s) { s.pad_left = -1; }) == kLaunchInvalidValue);
  CHECK(launch([](Im2colShape& s) { s.n = 65536; }) == kLaunchInvalidValue);
  CHECK(launch([](Im2colShape& s) { s.oh = 65536; }) == kLaunchInvalidValue);
  CHECK(launch([](Im2colShape& s) { s.iw = 1 << 29; }) == kLaunchInvalidValue);
  CHECK(launch([](Im2colShape& s) { s.ow = 1 << 26; }) == kLaunchInvalidValue);
  CHECK(launch([](Im2colShape& s) { s.kh = s.kw = 1 << 16; }) == kLaunchInvalidValue);
  CHECK(launch([](Im2colShape& s) { s.sw = 1 << 22; }) == kLaunchInvalidValue);
  CHECK(launch([](Im2colShape& s) { s.dh = 1 << 30; }) == kLaunchInvalidValue);
}

}  // namespace
