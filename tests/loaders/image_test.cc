// Dispatch, JPEG, rows kept for a resize, EXIF, thumbnails, and the shared awkward files.
// SPDX-License-Identifier: Apache-2.0
#include "loaders/image.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "loaders/files.h"
#include "loaders/hash.h"
#include "tests/support/awkward_photos.h"
#include "tests/support/decode.h"
#include "tests/support/image_files.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

using test::Bytes;
using test::Decode;
using test::DecodeError;
using test::LoadBytes;
using test::MakeJpeg;
using test::PixelsOf;

// Pixels of [height, width, 3] turned a quarter clockwise, and mirrored left to right.
Bytes Turned(const Bytes& in, int width, int height) {
  Bytes out(in.size());
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      std::memcpy(&out[(x * height + height - 1 - y) * 3], &in[(y * width + x) * 3], 3);
  return out;
}
Bytes Mirrored(const Bytes& in, int width, int height) {
  Bytes out(in.size());
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      std::memcpy(&out[(y * width + width - 1 - x) * 3], &in[(y * width + x) * 3], 3);
  return out;
}

// The rows of a full decode that TensorFlow's legacy bilinear resize reads, as ImageEntry::paired_rows has
// them.
Bytes RowsForResize(const Bytes& full, int width, int height, int out_rows) {
  Bytes rows;
  const float scale = static_cast<float>(height) / static_cast<float>(out_rows);
  for (int y = 0; y < out_rows; ++y) {
    const int lower = static_cast<int>(std::floor(static_cast<float>(y) * scale));
    for (const int row : {lower, std::min(lower + 1, height - 1)})
      rows.insert(rows.end(), full.begin() + row * width * 3, full.begin() + (row + 1) * width * 3);
  }
  return rows;
}

TEST_CASE("image: the pixels TensorFlow decodes") {
  COUPLET_NEEDS_SHARED(shared);
  std::ifstream golden("tests/golden/tensorflow_decode.tsv");
  int compared = 0;
  Image image;
  for (std::string line; std::getline(golden, line);) {
    std::istringstream fields(line);
    std::string path, op, width, height, hash;
    std::getline(fields, path, '\t');
    fields >> op >> width >> height >> hash;
    // TensorFlow shows palette indices as grey, and has no RLE.
    if (path == "nasty/bmp_rle8.bmp" || path == "nasty/bmp_topdown.bmp") continue;
    CAPTURE(path);
    const Status status = DecodeImage(LoadBytes(shared + "/data/" + path), {}, &image);
    ++compared;
    CHECK(status.ok() == (width != "error"));
    if (!status.ok() || width == "error") continue;
    CHECK(std::to_string(image.entry.width) == width);
    CHECK(std::to_string(image.entry.height) == height);
    CHECK(ToHex(Sha256(std::as_bytes(std::span<const uint8_t>(PixelsOf(image))))) == hash);
  }
  CHECK(compared == 85);
}

TEST_CASE("image: every shared awkward file has its outcome") {
  COUPLET_NEEDS_SHARED(shared);
  const auto& outcomes = test::AwkwardPhotos();
  const auto names = ListDirectory(shared + "/data/nasty");
  REQUIRE(names.ok());
  size_t seen = 0;
  Image image;  // one for all: what one file leaves must not show in the next
  for (const std::string& name : *names) {
    if (name == "EXPECTED.tsv") continue;
    ++seen;
    CAPTURE(name);
    REQUIRE(outcomes.count(name) == 1);
    const Status status = DecodeImage(LoadBytes(shared + "/data/nasty/" + name), {}, &image);
    const std::string size = std::to_string(image.entry.width) + "x" + std::to_string(image.entry.height);
    CHECK((status.ok() ? size : status.message()) == outcomes.at(name));
    CHECK(image.warnings == 0);
    if (status.ok()) CHECK(image.entry.paired_rows == 0);
  }
  CHECK(seen == outcomes.size());
}

TEST_CASE("image: shared awkward files that must show the same picture") {
  COUPLET_NEEDS_SHARED(shared);
  const std::string nasty = shared + "/data/nasty/";
  const Bytes reference = PixelsOf(Decode(LoadBytes(nasty + "baseline_reference.jpg")));
  for (const char* name : {"jpeg_progressive_photo.jpg", "jpeg_trailing_garbage.jpg",
                           "name with spaces, \u0439\u0446\u0443\u043a & \u82b1.JPG"}) {
    CAPTURE(name);
    CHECK(PixelsOf(Decode(LoadBytes(nasty + name))) == reference);
  }
  CHECK(PixelsOf(Decode(LoadBytes(nasty + "jpeg_arithmetic.jpg"))) ==
        PixelsOf(Decode(LoadBytes(nasty + "jpeg_baseline_ijg.jpg"))));
  const Bytes gray = PixelsOf(Decode(LoadBytes(nasty + "jpeg_gray_photo.jpg")));
  bool equal = true;
  for (size_t i = 0; i < gray.size(); i += 3)
    equal = equal && gray[i] == gray[i + 1] && gray[i] == gray[i + 2];
  CHECK(equal);
  CHECK(*std::max_element(gray.begin(), gray.end()) - *std::min_element(gray.begin(), gray.end()) > 100);
  // The same 8-bit picture, once as runs.
  CHECK(PixelsOf(Decode(LoadBytes(nasty + "bmp_rle8.bmp"))) ==
        PixelsOf(Decode(LoadBytes(nasty + "bmp_topdown.bmp"))));
}

TEST_CASE("image: EXIF orientation of shared files on request") {
  COUPLET_NEEDS_SHARED(shared);
  DecodeOptions exif;
  exif.apply_exif = true;
  const Bytes turned = LoadBytes(shared + "/data/nasty/jpeg_exif_orient6.jpg");
  const Image as_stored = Decode(turned), as_shown = Decode(turned, exif);
  CHECK(as_shown.entry.width == 600);
  CHECK(as_shown.entry.height == 450);
  CHECK(PixelsOf(as_shown) == Turned(PixelsOf(as_stored), 450, 600));
  const Bytes bad = LoadBytes(shared + "/data/nasty/jpeg_bad_exif.jpg");
  CHECK(PixelsOf(Decode(bad, exif)) == PixelsOf(Decode(bad)));
}

TEST_CASE("image: what is not an image is named") {
  const auto found = [](std::string_view start) {
    Bytes bytes(64, 1);
    std::copy(start.begin(), start.end(), bytes.begin());
    const std::string error = DecodeError(bytes);
    const std::string prefix = "expected a JPEG, PNG, GIF or BMP image, found ";
    CHECK(error.starts_with(prefix));
    return error.substr(prefix.size());
  };
  using std::string_view_literals::operator""sv;
  CHECK(found("RIFF....WEBPVP8 ") == "WebP: convert it to JPEG or PNG");
  CHECK(found("II*\0"sv) == "TIFF: convert it to JPEG or PNG");
  CHECK(found("MM\0*"sv) == "TIFF: convert it to JPEG or PNG");
  CHECK(found("\0\0\0\x18"
              "ftypheic"sv) == "HEIC: convert it to JPEG or PNG");
  CHECK(found("\0\0\0\x18"
              "ftypavif"sv) == "AVIF: convert it to JPEG or PNG");
  CHECK(found("\0\0\0\x18"
              "ftypmp42"sv) == "a video");
  CHECK(found("\0\0\0\x0c"
              "JXL \r\n"sv) == "JPEG XL: convert it to JPEG or PNG");
  CHECK(found("8BPS") == "a Photoshop document: convert it to JPEG or PNG");
  CHECK(found("%PDF-1.4") == "PDF: convert it to JPEG or PNG");
  CHECK(found("RIFF....WAVE") == "unknown data");
  CHECK(DecodeError({'<', 'h', 't', 'm', 'l', '>'}).ends_with("found HTML, SVG or XML text"));
  CHECK(DecodeError({'h', 'i', '\n'}).ends_with("found text"));
  CHECK(DecodeError({0xff, 0xd8}).ends_with("found unknown data"));
  CHECK(DecodeError({}).ends_with("found an empty file"));
}

TEST_CASE("image: JPEG of every size and colour space decodes to what went in") {
  // At quality 100 a flat picture comes through exactly, up to the rounding of the colour space.
  const std::pair<int, int> sizes[] = {{1, 1}, {1, 2000}, {2000, 1}, {7, 9}, {8, 8}, {16, 17}, {33, 65}};
  for (const auto& [width, height] : sizes) {
    CAPTURE(width);
    CAPTURE(height);
    for (const bool progressive : {false, true}) {
      test::JpegForm form;
      form.quality = 100;
      form.progressive = progressive;
      const size_t count = static_cast<size_t>(width) * static_cast<size_t>(height);
      form.components = 1;
      CHECK(PixelsOf(Decode(MakeJpeg(Bytes(count, 77), width, height, form))) == Bytes(count * 3, 77));
      form.components = 3;
      const Image image = Decode(MakeJpeg(Bytes(count * 3, 200), width, height, form));
      CHECK(image.entry.width == width);
      CHECK(image.entry.height == height);
      CHECK(image.warnings == 0);
      CHECK(PixelsOf(image) == Bytes(count * 3, 200));
    }
  }
}

TEST_CASE("image: CMYK is turned into RGB by TensorFlow's formulas") {
  const int c = 40, m = 120, y = 200, k = 90;
  Bytes pixels;
  for (int i = 0; i < 16 * 16; ++i)
    for (const int value : {c, m, y, k}) pixels.push_back(static_cast<uint8_t>(value));
  test::JpegForm form;
  form.components = 4;
  form.quality = 100;
  const Bytes adobe = PixelsOf(Decode(MakeJpeg(pixels, 16, 16, form)));
  CHECK(adobe[0] == k * c / 255);
  CHECK(adobe[1] == k * m / 255);
  CHECK(adobe[2] == k * y / 255);
  form.adobe = false;
  const Bytes plain = PixelsOf(Decode(MakeJpeg(pixels, 16, 16, form)));
  CHECK(plain[0] == (255 - k) * (255 - c) / 255);
  CHECK(plain[1] == (255 - k) * (255 - m) / 255);
  CHECK(plain[2] == (255 - k) * (255 - y) / 255);
  CHECK(plain.size() == 16 * 16 * 3);
}

TEST_CASE("image: JPEG warnings are counted, data that ends early is an error") {
  const Bytes whole = MakeJpeg(test::NoisyPixels(64, 64, 3), 64, 64);
  // A marker in the middle of the data: libjpeg warns and goes on in grey.
  Bytes early_end = whole;
  early_end[whole.size() / 2] = 0xff;
  early_end[whole.size() / 2 + 1] = 0xd9;
  const Image damaged = Decode(early_end);
  CHECK(damaged.warnings > 0);
  CHECK(Decode(whole).warnings == 0);
  CHECK(DecodeError(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(whole.size() / 2))) ==
        "premature end of JPEG data");
  // All rows are there, the end marker is not: TensorFlow refuses that too.
  CHECK(DecodeError(Bytes(whole.begin(), whole.end() - 2)) == "premature end of JPEG data");
  Bytes trailing = whole;
  trailing.insert(trailing.end(), 100, 0xab);
  CHECK(PixelsOf(Decode(trailing)) == PixelsOf(Decode(whole)));
}

TEST_CASE("image: JPEG claims are held to the limits before memory is taken") {
  Bytes bytes = MakeJpeg(test::NoisyPixels(16, 16, 3), 16, 16);
  const Bytes start_of_frame = {0xff, 0xc0, 0, 17, 8};
  const auto frame = std::search(bytes.begin(), bytes.end(), start_of_frame.begin(), start_of_frame.end());
  REQUIRE(frame != bytes.end());
  const auto claim = [&](int width, int height) {
    frame[5] = static_cast<uint8_t>(height >> 8);
    frame[6] = static_cast<uint8_t>(height);
    frame[7] = static_cast<uint8_t>(width >> 8);
    frame[8] = static_cast<uint8_t>(width);
  };
  claim(10001, 10000);
  CHECK(DecodeError(bytes) == "JPEG of 10001x10000 pixels, over the limit of 100 million");
  // With rows to be kept, even what is allowed takes little.
  claim(10000, 10000);
  DecodeOptions options;
  options.resize_rows = 128;
  Image image;
  const Status status = DecodeImage(bytes, options, &image);
  CHECK(image.pixels.capacity() <= size_t{2} * 128 * 10000 * 3);
  CHECK((status.ok() ? image.warnings > 0 : !status.message().empty()));
  claim(16, 16);
  options.max_pixels = 255;
  CHECK(DecodeError(bytes, options) == "JPEG of 16x16 pixels, over the limit of 0.000255 million");
  options.max_pixels = 256;
  CHECK(DecodeImage(bytes, options, &image).ok());
  // Progressive files are held to both limits.
  test::JpegForm form;
  form.progressive = true;
  const Bytes progressive = MakeJpeg(test::NoisyPixels(16, 16, 3), 16, 16, form);
  CHECK(DecodeError(progressive, {.max_pixels = 1000, .max_pixels_buffered = 255})
            .starts_with("progressive JPEG of 16x16"));
  CHECK(DecodeError(progressive, {.max_pixels = 255, .max_pixels_buffered = 1000})
            .starts_with("progressive JPEG of 16x16"));
  CHECK(DecodeImage(progressive, {.max_pixels = 256, .max_pixels_buffered = 256}, &image).ok());
}

TEST_CASE("image: a progressive JPEG of endless scans is refused") {
  test::JpegForm form;
  form.progressive = true;
  const Bytes bytes = MakeJpeg(test::NoisyPixels(16, 16, 3), 16, 16, form);
  // The first scan again and again before the end marker.
  const auto scan_at = [&](size_t from) {
    for (size_t i = from; i + 1 < bytes.size(); ++i)
      if (bytes[i] == 0xff && bytes[i + 1] == 0xda) return i;
    return bytes.size();
  };
  const size_t last = [&] {
    size_t at = scan_at(0);
    while (scan_at(at + 1) < bytes.size()) at = scan_at(at + 1);
    return at;
  }();
  const Bytes scan(bytes.begin() + static_cast<std::ptrdiff_t>(last), bytes.end() - 2);
  Bytes bomb(bytes.begin(), bytes.end() - 2);
  for (int i = 0; i < 200; ++i) bomb.insert(bomb.end(), scan.begin(), scan.end());
  bomb.insert(bomb.end(), {0xff, 0xd9});
  CHECK(DecodeError(bomb) == "progressive JPEG of more than 100 scans");
}

TEST_CASE("image: EXIF orientation, all eight") {
  const int width = 40, height = 24;
  const Bytes pixels = test::NoisyPixels(width, height, 3);
  const Bytes stored = PixelsOf(Decode(MakeJpeg(pixels, width, height)));
  DecodeOptions exif;
  exif.apply_exif = true;
  for (int orientation = 1; orientation <= 8; ++orientation) {
    CAPTURE(orientation);
    test::JpegForm form;
    form.orientation = orientation;
    const Bytes bytes = MakeJpeg(pixels, width, height, form);
    CHECK(PixelsOf(Decode(bytes)) == stored);  // ignored unless asked for
    // Mirror first (even ones up to 4 and odd ones from 5), then so many quarter turns clockwise.
    const bool mirror = orientation == 2 || orientation == 4 || orientation == 5 || orientation == 7;
    const int turns[] = {0, 0, 0, 2, 2, 3, 1, 1, 3};
    Bytes expected = mirror ? Mirrored(stored, width, height) : stored;
    int w = width, h = height;
    for (int i = 0; i < turns[orientation]; ++i) {
      expected = Turned(expected, w, h);
      std::swap(w, h);
    }
    const Image image = Decode(bytes, exif);
    CHECK(image.entry.width == w);
    CHECK(image.entry.height == h);
    CHECK(PixelsOf(image) == expected);
    // And with only the rows that a resize reads.
    for (const int rows : {1, 5, 7, 11}) {
      CAPTURE(rows);
      DecodeOptions some = exif;
      some.resize_rows = rows;
      const Image kept = Decode(bytes, some);
      REQUIRE(kept.entry.paired_rows == (h > 2 * rows ? rows : 0));
      CHECK(PixelsOf(kept) == (h > 2 * rows ? RowsForResize(expected, w, h, rows) : expected));
    }
  }
  // Nonsense is no orientation.
  for (const int orientation : {9, 255}) {
    test::JpegForm form;
    form.orientation = orientation;
    CHECK(PixelsOf(Decode(MakeJpeg(pixels, width, height, form), exif)) == stored);
  }
}

TEST_CASE("image: rows kept for a resize are those of a full decode") {
  for (const int components : {1, 3, 4})
    for (const bool progressive : {false, true})
      for (const int height : {1, 31, 64, 65, 66, 97, 128, 300, 1001}) {
        test::JpegForm form;
        form.components = components;
        form.progressive = progressive;
        const int width = 37;
        const Bytes bytes = MakeJpeg(test::NoisyPixels(width, height, components), width, height, form);
        const Bytes full = PixelsOf(Decode(bytes));
        for (const int rows : {1, 3, 32, 48, 96}) {
          CAPTURE(components);
          CAPTURE(progressive);
          CAPTURE(height);
          CAPTURE(rows);
          DecodeOptions options;
          options.resize_rows = rows;
          const Image kept = Decode(bytes, options);
          CHECK(kept.entry.width == width);
          CHECK(kept.entry.height == height);
          REQUIRE(kept.entry.paired_rows == (height > 2 * rows ? rows : 0));
          CHECK(PixelsOf(kept) == (height > 2 * rows ? RowsForResize(full, width, height, rows) : full));
        }
      }
}

TEST_CASE("image: rows kept of shared photos") {
  COUPLET_NEEDS_SHARED(shared);
  const auto names = ListDirectory(shared + "/data/flower_photos/roses");
  REQUIRE(names.ok());
  for (size_t i = 0; i < names->size(); i += 25) {
    CAPTURE((*names)[i]);
    const Bytes bytes = LoadBytes(shared + "/data/flower_photos/roses/" + (*names)[i]);
    const Image full = Decode(bytes);
    for (const int rows : {96, 128}) {
      DecodeOptions options;
      options.resize_rows = rows;
      const Image kept = Decode(bytes, options);
      if (full.entry.height > 2 * rows)
        CHECK(PixelsOf(kept) == RowsForResize(PixelsOf(full), full.entry.width, full.entry.height, rows));
      else
        CHECK(PixelsOf(kept) == PixelsOf(full));
    }
  }
}

TEST_CASE("image: memory is reused from photo to photo") {
  const Bytes large = MakeJpeg(test::NoisyPixels(200, 100, 3), 200, 100);
  const Bytes small = MakeJpeg(test::NoisyPixels(20, 10, 3), 20, 10);
  Image image;
  REQUIRE(DecodeImage(large, {}, &image).ok());
  const uint8_t* memory = image.pixels.data();
  REQUIRE(DecodeImage(small, {}, &image).ok());
  REQUIRE(DecodeImage(large, {}, &image).ok());
  CHECK(image.pixels.data() == memory);
}

TEST_CASE("image: thumbnails keep proportions and mean colour") {
  struct Case {
    int width, height, max_side, thumb_width, thumb_height;
  };
  const Case cases[] = {{320, 240, 96, 96, 72}, {240, 320, 96, 72, 96}, {50, 40, 96, 50, 40},
                        {1000, 1, 96, 96, 1},   {1, 1, 96, 1, 1},       {97, 96, 96, 96, 95},
                        {5000, 4100, 1, 1, 1}};  // a column's sum takes more than 16 bits, the box's more than 31
  for (const Case& c : cases) {
    CAPTURE(c.width);
    CAPTURE(c.height);
    Image image;
    image.entry.width = c.width;
    image.entry.height = c.height;
    image.pixels.assign(static_cast<size_t>(c.width * c.height * 3), 130);
    Bytes jpeg;
    REQUIRE(MakeThumbnail(image, c.max_side, &jpeg).ok());
    const Image thumb = Decode(jpeg);
    CHECK(thumb.entry.width == c.thumb_width);
    CHECK(thumb.entry.height == c.thumb_height);
    const Bytes pixels = PixelsOf(thumb);
    CHECK(
        std::all_of(pixels.begin(), pixels.end(), [](uint8_t value) { return std::abs(value - 130) <= 1; }));
  }
}

TEST_CASE("image: thumbnails average areas, also when only some rows were kept") {
  // Upper half dark, lower half bright, in stripes of one pixel whose mean is 40 and 200.
  const int width = 256, height = 512;
  Bytes pixels;
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width * 3; ++x)
      pixels.push_back(static_cast<uint8_t>((y < height / 2 ? 40 : 200) + (x / 3 % 2 == 0 ? 20 : -20)));
  test::JpegForm form;
  form.quality = 100;
  const Bytes bytes = MakeJpeg(pixels, width, height, form);
  for (const int rows : {0, 32, 128}) {
    CAPTURE(rows);
    DecodeOptions options;
    options.resize_rows = rows;
    Bytes jpeg;
    REQUIRE(MakeThumbnail(Decode(bytes, options), 64, &jpeg).ok());
    const Image thumb = Decode(jpeg);
    REQUIRE(thumb.entry.width == 32);
    REQUIRE(thumb.entry.height == 64);
    for (const int y : {4, 12, 51, 59})
      for (const int x : {0, 13, 31})
        CHECK(std::abs(thumb.pixels[static_cast<size_t>(y * 32 + x) * 3] - (y < 32 ? 40 : 200)) <= 6);
  }
}

}  // namespace
}  // namespace couplet
