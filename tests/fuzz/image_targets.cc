// The photo decoders, each behind its own magic number: other formats' bytes are turned away before they cost time.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "loaders/image.h"
#include "loaders/image_cost.h"
#include "tests/fuzz/targets.h"
#include "tests/support/image_files.h"

namespace couplet::fuzz {
namespace {

// Small, or a changed size would take the time of a thousand other inputs.
DecodeOptions SmallLimits() {
  DecodeOptions options;
  options.max_pixels = 300'000;
  options.max_pixels_buffered = 200'000;
  return options;
}

// All pixels, or a reason; a thumbnail of what there is.
std::string RunWith(Input bytes, const DecodeOptions& options) {
  Image image;
  DecodeCostBytes(bytes, options);
  const Status status = DecodeImage(bytes, options, &image);
  if (!status.ok()) return image.entry.width == 0 ? NotOneLine(status, "") : "an error, and an image";
  if (image.entry.width < 1 || image.entry.height < 1) return "an image without pixels";
  const int64_t rows = image.entry.paired_rows > 0 ? 2 * image.entry.paired_rows : image.entry.height;
  if (int64_t{image.entry.width} * image.entry.height > options.max_pixels) return "more pixels than allowed";
  if (static_cast<int64_t>(image.pixels.size()) < rows * image.entry.width * 3) return "pixels are missing";
  uint32_t sum = 0;  // a sanitizer sees what was never written
  for (const uint8_t byte : image.pixels) sum += byte;
  std::vector<uint8_t> thumbnail;
  const Status made = MakeThumbnail(image, 1 + static_cast<int>(sum % 96), &thumbnail);
  return made.ok() ? "" : "no thumbnail: " + made.message();
}

std::string Run(Input bytes, std::string_view magic) {
  if (bytes.size() < magic.size() || std::memcmp(bytes.data(), magic.data(), magic.size()) != 0) return "";
  DecodeOptions options = SmallLimits();
  // The last byte chooses the options, so that a seed is a whole file.
  const uint8_t choice = bytes.back();
  options.alpha = static_cast<AlphaMode>(choice % 3);
  options.apply_exif = choice % 2 == 1;
  options.resize_rows = choice / 8 % 4 * 5;
  return RunWith(bytes, options);
}

// The checksum of every chunk put right; the decoder is behind it.
std::vector<uint8_t> WithGoodChecksums(Input bytes) {
  std::vector<uint8_t> png(bytes.begin(), bytes.end());
  for (size_t at = 8; at + 12 <= png.size();) {
    const size_t length = static_cast<size_t>(png[at]) << 24 | png[at + 1] << 16 | png[at + 2] << 8 | png[at + 3];
    if (length > png.size() - at - 12) break;
    const uint32_t crc = test::Crc32(Input(png).subspan(at + 4, length + 4));
    for (size_t i = 0; i < 4; ++i) png[at + 8 + length + i] = static_cast<uint8_t>(crc >> (24 - 8 * i));
    at += length + 12;
  }
  return png;
}

std::string AsText(const test::Bytes& bytes) { return {bytes.begin(), bytes.end()}; }

constexpr int kWidth = 13, kHeight = 9;

}  // namespace

std::string RunJpeg(Input bytes) { return Run(bytes, "\xff\xd8\xff"); }
std::string RunBmp(Input bytes) { return Run(bytes, "BM"); }
std::string RunGif(Input bytes) { return Run(bytes, "GIF8"); }
std::string RunPng(Input bytes) {
  const std::string fault = Run(bytes, "\x89PNG\r\n\x1a\n");
  return fault.empty() ? Run(WithGoodChecksums(bytes), "\x89PNG\r\n\x1a\n") : fault;
}

std::vector<std::string> JpegStarts() {
  std::vector<std::string> starts;
  for (const int components : {1, 3, 4})
    for (const bool progressive : {false, true}) {
      test::JpegForm form;
      form.components = components;
      form.progressive = progressive;
      form.orientation = 2 + static_cast<int>(starts.size());
      form.quality = 50;
      starts.push_back(AsText(MakeJpeg(test::NoisyPixels(kWidth, kHeight, components), kWidth, kHeight, form)));
    }
  return starts;
}

std::vector<std::string> PngStarts() {
  std::vector<std::string> starts;
  for (const auto& [color_type, depth, channels] :
       {std::array{0, 1, 1}, {0, 16, 1}, {2, 8, 3}, {2, 16, 3}, {3, 2, 1}, {3, 8, 1}, {4, 8, 2}, {6, 16, 4}}) {
    test::PngForm form;
    form.color_type = color_type;
    form.depth = depth;
    form.extra_chunks = true;
    if (color_type == 3) form.palette = test::NoisyPixels(10, 1, 3);
    if (color_type == 3) form.transparency = {0, 100, 255};
    if (color_type == 2) form.transparency = {0, 1, 0, 2, 0, 3};
    const int row_bytes = (kWidth * depth * channels + 7) / 8;
    starts.push_back(AsText(MakePng(test::NoisyPixels(row_bytes, kHeight, 1), kWidth, kHeight, form)));
  }
  return starts;
}

std::vector<std::string> BmpStarts() {
  std::vector<std::string> starts;
  for (const int bits : {1, 4, 8, 16, 24, 32})
    for (const uint32_t header_bytes : {12u, 40u, 108u}) {
      test::BmpForm form;
      form.bits = bits;
      form.header_bytes = header_bytes;
      if (bits <= 8) form.palette = test::NoisyPixels(header_bytes == 12 ? 3 : 4, 1 << bits, 1);
      if (bits == 16 && header_bytes != 12) form.compression = 3;
      form.masks = {0xf800, 0x07e0, 0x001f, 0};
      const int row_bytes = (kWidth * bits + 31) / 32 * 4;
      starts.push_back(AsText(MakeBmp(test::NoisyPixels(row_bytes, kHeight, 1), kWidth, kHeight, form)));
    }
  for (const uint32_t compression : {1u, 2u}) {
    test::BmpForm runs;
    runs.bits = compression == 1 ? 8 : 4;
    runs.compression = compression;
    runs.palette = test::NoisyPixels(4, 1 << runs.bits, 1);
    // Runs, literals, a jump, and the end.
    test::Bytes data;
    for (int row = 0; row < kHeight; ++row)
      for (const int byte : {5, 3, 0, 4, 1, 2, 3, 4, 0, 2, 1, 0, 3, 7, 0, 0}) data.push_back(static_cast<uint8_t>(byte));
    data.push_back(0);
    data.push_back(1);
    starts.push_back(AsText(MakeBmp(data, kWidth, kHeight, runs)));
  }
  return starts;
}

std::vector<std::string> GifStarts() {
  std::vector<std::string> starts;
  test::Bytes indices = test::NoisyPixels(kWidth, kHeight, 1);
  for (uint8_t& index : indices) index %= 8;
  for (const bool interlaced : {false, true}) {
    test::GifForm form;
    form.interlaced = interlaced;
    form.transparent = interlaced ? 3 : -1;
    form.comment = interlaced;
    form.canvas_width = form.canvas_height = interlaced ? 20 : 0;
    form.left = interlaced ? 2 : 0;
    starts.push_back(AsText(MakeGif(indices, test::NoisyPixels(8, 1, 3), kWidth, kHeight, form)));
  }
  return starts;
}

}  // namespace couplet::fuzz
