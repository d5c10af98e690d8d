// Chooses the decoder by the first bytes, names what is not an image we read, and holds what the decoders
// share.
// SPDX-License-Identifier: Apache-2.0
#include "loaders/image.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <string_view>

#include <fmt/format.h>

#include "loaders/image_internal.h"

namespace couplet {

// Raise it with any change that can change a pixel.
const char* const kDecoderVersion = "decode-1";

namespace internal {
namespace {

struct Magic {
  std::string_view bytes;
  size_t offset;
  const char* name;
  bool picture = true;
};

using std::string_view_literals::operator""sv;

// Formats people have, and we don't read.
constexpr Magic kForeign[] = {
    {"WEBP"sv, 8, "WebP"},
    {"II*\0"sv, 0, "TIFF"},
    {"MM\0*"sv, 0, "TIFF"},
    {"ftypavif"sv, 4, "AVIF"},
    {"ftypavis"sv, 4, "AVIF"},
    {"ftyphei"sv, 4, "HEIC"},
    {"ftyphev"sv, 4, "HEIC"},
    {"ftypmif1"sv, 4, "HEIC"},
    {"ftyp"sv, 4, "a video", false},
    {"\0\0\0\x0cjP  "sv, 0, "JPEG 2000"},
    {"\xff\x4f\xff\x51"sv, 0, "JPEG 2000"},
    {"\0\0\0\x0cJXL "sv, 0, "JPEG XL"},
    {"\xff\x0a"sv, 0, "JPEG XL"},
    {"8BPS"sv, 0, "a Photoshop document"},
    {"\0\0\1\0"sv, 0, "an icon"},
    {"%PDF"sv, 0, "PDF"},
    {"PK\3\4"sv, 0, "a zip archive", false},
    {"\x1f\x8b"sv, 0, "gzip data", false},
};

bool HasMagic(Bytes bytes, const Magic& magic) {
  return bytes.size() >= magic.offset + magic.bytes.size() &&
         std::memcmp(bytes.data() + magic.offset, magic.bytes.data(), magic.bytes.size()) == 0;
}
bool StartsWith(Bytes bytes, std::string_view prefix) {
  return HasMagic(bytes, {prefix, 0, ""});
}

std::string DescribeForeign(Bytes bytes) {
  if (bytes.empty()) return "an empty file";
  for (const Magic& magic : kForeign)
    if (HasMagic(bytes, magic)) return std::string(magic.name) + (magic.picture ? ": convert it to JPEG or PNG" : "");
  const Bytes head = bytes.first(std::min<size_t>(bytes.size(), 512));
  // UTF-8 counts as text, control characters other than white space do not.
  const bool text = std::all_of(head.begin(), head.end(), [](uint8_t c) {
    return c >= 0x20 ? c != 0x7f && c < 0xf8 : c == '\t' || c == '\n' || c == '\r' || c == '\f';
  });
  if (!text) return "unknown data";
  return head[0] == '<' ? "HTML, SVG or XML text" : "text";
}

}  // namespace

Status CheckPixels(const char* format, int64_t width, int64_t height, int64_t max_pixels) {
  if (width <= 0 || height <= 0) return BadInput(fmt::format("{} of {}x{} pixels", format, width, height));
  // width * height may not fit.
  if (width <= max_pixels / height) return {};
  return BadInput(fmt::format("{} of {}x{} pixels, over the limit of {:.4g} million", format, width, height,
                              static_cast<double>(max_pixels) * 1e-6));
}

SourceRows ResizeSourceRows(int in_rows, int out_rows, int y) {
  const float scale = static_cast<float>(in_rows) / static_cast<float>(out_rows);
  const float source = static_cast<float>(y) * scale;
  const int lower = std::min(static_cast<int>(std::floor(source)), in_rows - 1);
  return {lower, std::min(lower + 1, in_rows - 1)};
}

}  // namespace internal

Status DecodeImage(std::span<const uint8_t> bytes, const DecodeOptions& options, Image* image) {
  using namespace internal;
  image->entry = {};
  image->warnings = 0;
  try {
    if (StartsWith(bytes, "\xff\xd8\xff")) return DecodeJpeg(bytes, options, image);
    if (StartsWith(bytes, "\x89PNG\r\n\x1a\n")) return DecodePng(bytes, options, image);
    if (StartsWith(bytes, "GIF87a") || StartsWith(bytes, "GIF89a")) return DecodeGif(bytes, options, image);
    if (StartsWith(bytes, "BM")) return DecodeBmp(bytes, options, image);
  } catch (const std::bad_alloc&) {
    return BadInput("not enough memory to decode the image");
  }
  return BadInput("expected a JPEG, PNG, GIF or BMP image, found " + DescribeForeign(bytes));
}

}  // namespace couplet
