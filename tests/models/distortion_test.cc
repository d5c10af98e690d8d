// SPDX-License-Identifier: Apache-2.0
#include "models/distortion.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "runtime/backend.h"
#include "tests/support/pictures.h"
#include "tests/support/test.h"

using namespace couplet;

namespace {

constexpr int kSize = 32;
const Normalization kPlain{127.5f, 127.5f, Normalization::Mode::kMultiply};

Image MakeImage(int width, int height) {
  Image image;
  image.entry.width = width;
  image.entry.height = height;
  image.pixels = test::MakePicture(width, height, 5, 0.3);
  return image;
}

std::vector<float> Run(const Image& image, const DistortionOptions& options, const DistortionDraw& draw) {
  std::vector<float> out(kSize * kSize * 3, NAN);
  Distort(image, options, kPlain, kSize, draw, out.data());
  return out;
}

}  // namespace

TEST_CASE("distortion: without any it gives the bits of the Preprocess layer") {
  const Image image = MakeImage(77, 45);
  const auto backend = MakeCpuBackend();
  const Layer layer{"pixels", {}, {1, kSize, kSize, 3}, PreprocessAttrs{kPlain}};
  const auto op = backend->prepare(layer, {}, {});
  REQUIRE(op.ok());
  const auto worker = backend->make_worker(1);
  REQUIRE(worker.ok());
  const auto state = (*op)->make_state();
  std::vector<float> expected(kSize * kSize * 3, NAN);
  const ImageBatch batch{image.pixels, {&image.entry, 1}};
  RunArgs args;
  args.images = &batch;
  args.dst = expected.data();
  auto scratch_buffer = backend->allocate((*op)->scratch_bytes() + 64);
  REQUIRE(scratch_buffer.ok());
  args.scratch = scratch_buffer->data();
  args.state = state.get();
  args.worker = worker->get();
  REQUIRE((*op)->run(args).ok());
  CHECK(Run(image, {}, {1, 2, 3}) == expected);
}

TEST_CASE("distortion: a mirrored photo is the plain one from right to left, in about half of the draws") {
  const Image image = MakeImage(60, 60);
  const auto plain = Run(image, {}, {});
  DistortionOptions flip;
  flip.flip_left_right = true;
  int mirrored = 0;
  for (uint32_t row = 0; row < 200; ++row) {
    const auto got = Run(image, flip, {9, row, 4});
    auto reversed = plain;
    for (int y = 0; y < kSize; ++y)
      for (int x = 0; x < kSize; ++x)
        for (int c = 0; c < 3; ++c)
          reversed[static_cast<size_t>((y * kSize + x) * 3 + c)] =
              plain[static_cast<size_t>((y * kSize + kSize - 1 - x) * 3 + c)];
    const bool is_mirrored = got == reversed;
    CHECK((is_mirrored || got == plain));
    mirrored += is_mirrored;
  }
  CHECK(mirrored > 70);
  CHECK(mirrored < 130);
}

TEST_CASE("distortion: brightness multiplies all pixels by one factor within its bounds") {
  const Image image = MakeImage(50, 40);
  const auto plain = Run(image, {}, {});
  DistortionOptions options;
  options.random_brightness = 20;
  double low = 2, high = 0;
  for (uint32_t row = 0; row < 100; ++row) {
    const auto got = Run(image, options, {1, row, 0});
    const auto factor_of = [&](size_t i) { return (got[i] * 127.5 + 127.5) / (plain[i] * 127.5 + 127.5); };
    const double factor = factor_of(0);
    for (size_t i = 0; i < got.size(); i += 37) CHECK(std::abs(factor_of(i) - factor) < 1e-4);
    low = std::min(low, factor);
    high = std::max(high, factor);
  }
  CHECK(low >= 0.8 - 1e-5);
  CHECK(low < 0.84);
  CHECK(high <= 1.2 + 1e-5);
  CHECK(high > 1.16);
}

TEST_CASE("distortion: a crop is a window of the larger resize, and every window is drawn") {
  // A photo of the precrop size itself is not resampled, so a window can be found in its pixels.
  constexpr int kPrecrop = 35;  // int(32 * 1.1)
  const Image image = MakeImage(kPrecrop, kPrecrop);
  DistortionOptions options;
  options.random_crop = 10;
  std::set<std::pair<int, int>> windows;
  for (uint32_t row = 0; row < 300; ++row) {
    const auto got = Run(image, options, {2, row, 1});
    std::pair<int, int> found{-1, -1};
    for (int top = 0; top <= kPrecrop - kSize; ++top)
      for (int left = 0; left <= kPrecrop - kSize; ++left) {
        bool equal = true;
        for (int y = 0; y < kSize && equal; ++y)
          for (int x = 0; x < kSize * 3 && equal; ++x) {
            const float byte = image.pixels[static_cast<size_t>(((top + y) * kPrecrop + left) * 3 + x)];
            equal = got[static_cast<size_t>(y * kSize * 3 + x)] == (byte - 127.5f) * (1.0f / 127.5f);
          }
        if (equal) found = {top, left};
      }
    REQUIRE(found.first >= 0);
    windows.insert(found);
  }
  CHECK(windows.size() == 16);  // 4 x 4 places
}
