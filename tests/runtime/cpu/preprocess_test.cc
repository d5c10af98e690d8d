// SPDX-License-Identifier: Apache-2.0

#include <cstring>

#include "runtime/cpu/dispatch.h"
#include "tests/reference/resize.h"
#include "tests/support/run_layer.h"
#include "tests/support/test.h"
#include "tests/support/values.h"

using namespace couplet;
using namespace couplet::test;

namespace {

// The table a decoder that keeps only the needed rows would store: lower and upper source row of each output
// row.
std::vector<uint8_t> PairRows(const std::vector<uint8_t>& rgb, int ih, int iw, int oh) {
  std::vector<uint8_t> paired;
  const size_t row_bytes = static_cast<size_t>(iw) * 3;
  for (int y = 0; y < oh; ++y) {
    const reference::Axis at = reference::SourceOf(y, ih, oh);
    for (const int row : {at.lo, at.hi}) {
      const auto first = rgb.begin() + static_cast<long>(static_cast<size_t>(row) * row_bytes);
      paired.insert(paired.end(), first, first + static_cast<long>(row_bytes));
    }
  }
  return paired;
}

Layer PreprocessLayer(int h, int w, Normalization normalization) {
  return {.name = "input", .inputs = {}, .shape = {1, h, w, 3}, .attrs = PreprocessAttrs{normalization}};
}

struct Sizes {
  int ih, iw, oh, ow;
};

void CheckPhoto(const Sizes& s, const Normalization& normalization) {
  CAPTURE(s.ih);
  CAPTURE(s.iw);
  CAPTURE(s.oh);
  CAPTURE(s.ow);
  const bool divide = normalization.mode == Normalization::Mode::kDivide;
  const std::vector<uint8_t> rgb =
      Values(21).Bytes(static_cast<size_t>(s.ih) * static_cast<size_t>(s.iw) * 3);
  const std::vector<uint8_t> paired = PairRows(rgb, s.ih, s.iw, s.oh);
  // Two photos, the second with its rows paired, at odd offsets; the block ends where the last photo does, so
  // that the address sanitizer sees a read past it.
  std::vector<uint8_t> bytes(1, 99);
  bytes.insert(bytes.end(), rgb.begin(), rgb.end());
  bytes.insert(bytes.end(), paired.begin(), paired.end());
  bytes.shrink_to_fit();
  const std::vector<ImageEntry> entries = {
      {.width = s.iw, .height = s.ih, .offset = 1},
      {.width = s.iw, .height = s.ih, .offset = 1 + rgb.size(), .paired_rows = s.oh}};
  const ImageBatch batch = {bytes, entries};
  const std::vector<float> got = RunLayer(PreprocessLayer(s.oh, s.ow, normalization), {}, {}, 2, 1, &batch);
  int wrong = 0;
  size_t i = 0;
  for (int n = 0; n < 2; ++n)
    for (int y = 0; y < s.oh; ++y)
      for (int x = 0; x < s.ow; ++x)
        for (int c = 0; c < 3; ++c) {
          const float value = reference::ResizedAt(rgb, s.ih, s.iw, s.oh, s.ow, y, x, c);
          const float want = reference::NormalizedBy(value, normalization.mean, normalization.std, divide);
          if (std::memcmp(&got[i++], &want, sizeof want) != 0) ++wrong;
        }
  CHECK(wrong == 0);
}

constexpr Normalization kMobileNet = {127.5f, 127.5f, Normalization::Mode::kMultiply};
constexpr Normalization kLabelImage = {128.0f, 128.0f, Normalization::Mode::kDivide};
constexpr Normalization kOdd = {3.3f, 0.7f, Normalization::Mode::kDivide};

void CheckPhotos() {
  for (const Sizes& s : {Sizes{240, 320, 128, 128}, Sizes{333, 500, 224, 224}, Sizes{7, 5, 19, 23},
                         Sizes{31, 37, 9, 11}, Sizes{1, 1, 8, 8}, Sizes{1, 9, 5, 4}, Sizes{9, 1, 4, 5},
                         Sizes{16, 16, 16, 16}, Sizes{16, 33, 16, 7}, Sizes{2, 2, 1, 1}, Sizes{3, 4, 3, 5}})
    for (const Normalization& normalization : {kMobileNet, kLabelImage, kOdd}) CheckPhoto(s, normalization);
}

}  // namespace

TEST_CASE("cpu: preprocessing gives TensorFlow's bits on every instruction set of this machine") {
  CheckPhotos();
  for (const cpu::Simd simd : {cpu::Simd::kBaseline, cpu::Simd::kAvx2, cpu::Simd::kAvx512}) {
    INFO("instruction set ", cpu::Name(simd));
    cpu::LimitSimd(simd);
    CheckPhotos();
  }
}

TEST_CASE("cpu: preprocessing keeps a photo that has the network's size, and spans black to white") {
  const std::vector<uint8_t> rgb = {0, 255, 127, 128, 1, 254};
  const std::vector<ImageEntry> entries = {{.width = 2, .height = 1}};
  const ImageBatch batch = {rgb, entries};
  CHECK(RunLayer(PreprocessLayer(1, 2, {0.0f, 1.0f, Normalization::Mode::kMultiply}), {}, {}, 1, 1, &batch) ==
        std::vector<float>{0, 255, 127, 128, 1, 254});
  CHECK(RunLayer(PreprocessLayer(1, 2, kMobileNet), {}, {}, 1, 1, &batch)[1] == 1.0f);
}

TEST_CASE("cpu: preprocessing refuses a batch whose table does not fit its bytes") {
  const auto backend = MakeCpuBackend();
  auto op = backend->prepare(PreprocessLayer(8, 8, kMobileNet), {}, {});
  REQUIRE(op.ok());
  std::vector<float> dst(8 * 8 * 3), scratch((*op)->scratch_bytes() / 4 + 1);
  const std::vector<uint8_t> bytes(300);
  const auto run = [&](ImageEntry entry) {
    const ImageBatch batch = {bytes, std::span(&entry, 1)};
    return (*op)->run({.src = {}, .images = &batch, .dst = dst.data(), .scratch = scratch.data()}).message();
  };
  CHECK(run({.width = 10, .height = 10}).empty());
  CHECK(run({.width = 10, .height = 11}) == "photo 0 of the batch reaches past its 300 bytes");
  CHECK(run({.width = 10, .height = 10, .offset = 1}) == "photo 0 of the batch reaches past its 300 bytes");
  CHECK(run({.width = 10, .height = 10, .offset = SIZE_MAX}) ==
        "photo 0 of the batch reaches past its 300 bytes");
  CHECK(run({.width = 0, .height = 10}) == "photo 0 of the batch is 0 x 10 pixels");
  CHECK(run({.width = 3, .height = 100, .paired_rows = 9}) ==
        "photo 0 of the batch is stored for 9 rows, the network takes 8");
}
