// Files cut at every length and with bytes changed: an image or one line, within memory. Sanitizers see the
// rest. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "loaders/image.h"
#include "tests/support/decode.h"
#include "tests/support/image_files.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

using test::Bytes;
using test::MakeBmp;
using test::MakeGif;
using test::MakeJpeg;
using test::MakePng;
using test::NoisyPixels;

struct Seed {
  std::string name;
  Bytes bytes;
};

// One small file for each way through the decoders.
std::vector<Seed> Seeds() {
  std::vector<Seed> seeds;
  const int width = 21, height = 18;
  for (const int components : {1, 3, 4})
    for (const bool progressive : {false, true}) {
      test::JpegForm form;
      form.components = components;
      form.progressive = progressive;
      form.orientation = 6;
      form.quality = 60;
      seeds.push_back({"jpeg", MakeJpeg(NoisyPixels(width, height, components), width, height, form)});
    }
  for (const auto& [color_type, depth, channels] :
       {std::array{0, 1, 1}, {2, 8, 3}, {3, 4, 1}, {4, 16, 2}, {6, 8, 4}}) {
    test::PngForm form;
    form.color_type = color_type;
    form.depth = depth;
    form.extra_chunks = true;
    if (color_type == 3) form.palette = NoisyPixels(10, 1, 3);
    if (color_type == 3) form.transparency = {0, 100, 255};
    const int row_bytes = (width * depth * channels + 7) / 8;
    seeds.push_back({"png", MakePng(NoisyPixels(row_bytes, height, 1), width, height, form)});
  }
  for (const int bits : {1, 4, 8, 16, 24, 32}) {
    test::BmpForm form;
    form.bits = bits;
    if (bits <= 8) form.palette = NoisyPixels(4, 1 << bits, 1);
    if (bits == 16) form.compression = 3;
    form.masks = {0xf800, 0x07e0, 0x001f, 0};
    seeds.push_back(
        {"bmp", MakeBmp(NoisyPixels((width * bits + 31) / 32 * 4, height, 1), width, height, form)});
  }
  test::BmpForm runs;
  runs.bits = 8;
  runs.compression = 1;
  runs.palette = NoisyPixels(4, 256, 1);
  seeds.push_back({"bmp runs", MakeBmp(NoisyPixels(300, 1, 1), width, height, runs)});
  for (const bool interlaced : {false, true}) {
    test::GifForm form;
    form.interlaced = interlaced;
    form.transparent = 3;
    form.comment = true;
    Bytes indices = NoisyPixels(width, height, 1);
    for (uint8_t& index : indices) index %= 8;
    seeds.push_back({"gif", MakeGif(indices, NoisyPixels(8, 1, 3), width, height, form)});
  }
  return seeds;
}

DecodeOptions SmallLimits() {
  DecodeOptions options;
  options.max_pixels = 1'000'000;  // a changed size would else take long to decode
  options.max_pixels_buffered = 500'000;
  return options;
}

// An image with all its pixels, or a reason.
void CheckOutcome(const Bytes& bytes, const DecodeOptions& options, Image* image) {
  const Status status = DecodeImage(bytes, options, image);
  if (!status.ok()) {
    CHECK(status.code() == Code::kBadInput);
    CHECK(!status.message().empty());
    CHECK(status.message().find('\n') == std::string::npos);
    CHECK(image->entry.width == 0);
    return;
  }
  const int64_t rows = image->entry.paired_rows > 0 ? 2 * image->entry.paired_rows : image->entry.height;
  CHECK(image->entry.width > 0);
  CHECK(int64_t{image->entry.width} * image->entry.height <= options.max_pixels);
  CHECK(static_cast<int64_t>(image->pixels.size()) >= rows * image->entry.width * 3);
}

TEST_CASE("image: cut at every length") {
  Image image;
  const DecodeOptions options = SmallLimits();
  for (const Seed& seed : Seeds()) {
    CAPTURE(seed.name);
    REQUIRE((DecodeImage(seed.bytes, options, &image).ok() || seed.name == "bmp runs"));
    size_t decoded = 0;
    for (size_t length = 0; length < seed.bytes.size(); ++length) {
      CAPTURE(length);
      // A block of its own, so that a sanitizer sees the byte after it.
      const Bytes cut(seed.bytes.begin(), seed.bytes.begin() + static_cast<std::ptrdiff_t>(length));
      CheckOutcome(cut, options, &image);
      decoded += image.entry.width > 0;
    }
    // What may be missing: GIF's end, and the second byte of JPEG's end mark (as in TensorFlow).
    CHECK(decoded <= (seed.name == "gif"        ? 2u
                      : seed.name == "jpeg"     ? 1u
                      : seed.name == "bmp runs" ? 300u
                                                : 0u));
  }
}

TEST_CASE("image: bytes changed at random") {
  std::mt19937 random(20180601);
  Image image;
  DecodeOptions options = SmallLimits();
  for (const Seed& seed : Seeds()) {
    CAPTURE(seed.name);
    for (int round = 0; round < 250; ++round) {
      CAPTURE(round);
      Bytes bytes = seed.bytes;
      for (uint32_t i = 0; i <= random() % 4; ++i)
        bytes[random() % bytes.size()] = static_cast<uint8_t>(random());
      options.alpha = static_cast<AlphaMode>(random() % 3);
      options.apply_exif = random() % 2 == 0;
      options.resize_rows = static_cast<int>(random() % 3) * 4;
      CheckOutcome(bytes, options, &image);
    }
  }
}

// Chunks whose checksums were put right, so that the changes get past them to the decoder.
TEST_CASE("image: PNG bytes changed under good checksums") {
  std::mt19937 random(7);
  Image image;
  DecodeOptions options = SmallLimits();
  for (int round = 0; round < 1500; ++round) {
    CAPTURE(round);
    test::PngForm form;
    form.color_type = static_cast<int>(random() % 8);
    form.depth = 1 << random() % 5;
    form.palette = NoisyPixels(1, static_cast<int>(random() % 300), 3, round);
    form.transparency = NoisyPixels(1, static_cast<int>(random() % 10), 1, round);
    if (random() % 2 == 0) form.transparency.clear();
    Bytes rows = NoisyPixels(static_cast<int>(1 + random() % 40), 6, 1, round);
    options.alpha = static_cast<AlphaMode>(random() % 3);
    CheckOutcome(MakePng(rows, static_cast<int>(1 + random() % 20), 6, form), options, &image);
  }
}

TEST_CASE("image: a file over 64 MiB is not handed to the lossless decoders") {
  for (const char* magic : {"\x89PNG\r\n\x1a\n", "BM"}) {
    Bytes bytes((64 << 20) + 1);
    std::copy_n(magic, std::string(magic).size(), bytes.begin());
    CHECK(test::DecodeError(bytes).find("over the limit of 64 MiB") != std::string::npos);
  }
}

}  // namespace
}  // namespace couplet
