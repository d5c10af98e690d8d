// PNG, BMP and GIF: lossless, so every pixel is known.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <vector>

#include "loaders/image.h"
#include "tests/support/decode.h"
#include "tests/support/image_files.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

using test::Bytes;
using test::Decode;
using test::DecodeError;
using test::MakeBmp;
using test::MakeGif;
using test::MakePng;
using test::NoisyPixels;
using test::PixelsOf;

DecodeOptions Alpha(AlphaMode mode) {
  DecodeOptions options;
  options.alpha = mode;
  return options;
}

int Blended(int value, int alpha, int background) {
  return (value * alpha + background * (255 - alpha) + 127) / 255;
}

// `bits` of sample `i` in packed rows of `samples` samples.
int Sample(const Bytes& rows, int row_bytes, int bits, int y, int i) {
  const int bit = i * bits;
  return rows[static_cast<size_t>(y * row_bytes + bit / 8)] >> (8 - bits - bit % 8) & ((1 << bits) - 1);
}

TEST_CASE("image: PNG of all colour types at 8 and 16 bits") {
  const int width = 13, height = 7;
  for (const int depth : {8, 16})
    for (const int color_type : {0, 2, 4, 6}) {
      CAPTURE(depth);
      CAPTURE(color_type);
      const int channels = color_type == 0 ? 1 : color_type == 2 ? 3 : color_type == 4 ? 2 : 4;
      const int step = depth / 8;  // 16 bits: the high byte counts
      const Bytes rows = NoisyPixels(width * step, height, channels);
      test::PngForm form;
      form.color_type = color_type;
      form.depth = depth;
      form.extra_chunks = depth == 8;
      const Bytes bytes = MakePng(rows, width, height, form);
      for (const AlphaMode mode : {AlphaMode::kDrop, AlphaMode::kWhite, AlphaMode::kBlack}) {
        Bytes expected;
        for (int i = 0; i < width * height; ++i)
          for (int c = 0; c < 3; ++c) {
            const auto sample = [&](int channel) {
              return int{rows[static_cast<size_t>((i * channels + channel) * step)]};
            };
            const int value = sample(channels >= 3 ? c : 0);
            const bool blend = mode != AlphaMode::kDrop && channels % 2 == 0;
            expected.push_back(static_cast<uint8_t>(
                blend ? Blended(value, sample(channels - 1), mode == AlphaMode::kWhite ? 255 : 0) : value));
          }
        CHECK(PixelsOf(Decode(bytes, Alpha(mode))) == expected);
      }
    }
}

TEST_CASE("image: PNG grey and palette below 8 bits") {
  const int width = 11, height = 5;
  for (const int depth : {1, 2, 4, 8})
    for (const int color_type : {0, 3}) {
      CAPTURE(depth);
      CAPTURE(color_type);
      const int row_bytes = (width * depth + 7) / 8;
      const Bytes rows = NoisyPixels(row_bytes, height, 1);
      test::PngForm form;
      form.color_type = color_type;
      form.depth = depth;
      if (color_type == 3) form.palette = NoisyPixels(1 << depth, 1, 3, 9);
      Bytes expected;
      for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
          const int value = Sample(rows, row_bytes, depth, y, x);
          for (int c = 0; c < 3; ++c)
            expected.push_back(color_type == 3 ? form.palette[static_cast<size_t>(value * 3 + c)]
                                               : static_cast<uint8_t>(value * 255 / ((1 << depth) - 1)));
        }
      CHECK(PixelsOf(Decode(MakePng(rows, width, height, form))) == expected);
    }
}

TEST_CASE("image: PNG transparency by table and by colour") {
  test::PngForm form;
  form.color_type = 3;
  form.palette = {10, 20, 30, 40, 50, 60, 70, 80, 90};
  form.transparency = {0, 128};
  const Bytes indices = MakePng(Bytes{0, 1, 2}, 3, 1, form);
  CHECK(PixelsOf(Decode(indices)) == form.palette);
  const auto mix = [](int value) { return static_cast<uint8_t>(Blended(value, 128, 255)); };
  CHECK(PixelsOf(Decode(indices, Alpha(AlphaMode::kWhite))) ==
        Bytes{255, 255, 255, mix(40), mix(50), mix(60), 70, 80, 90});
  form = {};
  form.transparency = {0, 1, 0, 2, 0, 3};
  const Bytes keyed = MakePng(Bytes{1, 2, 3, 3, 2, 1}, 2, 1, form);
  CHECK(PixelsOf(Decode(keyed)) == Bytes{1, 2, 3, 3, 2, 1});
  CHECK(PixelsOf(Decode(keyed, Alpha(AlphaMode::kWhite))) == Bytes{255, 255, 255, 3, 2, 1});
  CHECK(PixelsOf(Decode(keyed, Alpha(AlphaMode::kBlack))) == Bytes{0, 0, 0, 3, 2, 1});
}

TEST_CASE("image: PNG palette index past the palette is black") {
  test::PngForm form;
  form.color_type = 3;
  form.palette = {10, 20, 30};
  CHECK(PixelsOf(Decode(MakePng(Bytes{0, 1, 255}, 3, 1, form))) == Bytes{10, 20, 30, 0, 0, 0, 0, 0, 0});
}

TEST_CASE("image: PNG that is not whole or not sound") {
  test::PngForm form;
  const Bytes rows = NoisyPixels(9, 9, 3);
  const Bytes good = MakePng(rows, 9, 9, form);
  CHECK(PixelsOf(Decode(good)) == rows);
  Bytes bad = good;
  bad[good.size() / 2] ^= 1;
  CHECK(DecodeError(bad) == "corrupt PNG: a checksum does not match");
  CHECK(DecodeError(Bytes(good.begin(), good.end() - 1)) == "premature end of PNG data");
  CHECK(DecodeError(Bytes(good.begin(), good.begin() + 8)) == "premature end of PNG data");
  // Rows too short for the width in the header.
  CHECK(DecodeError(MakePng(rows, 10, 9, form)) == "corrupt or unsupported PNG: not enough pixels");
  form.color_type = 3;
  CHECK(DecodeError(MakePng(Bytes{0}, 1, 1, form)) == "corrupt PNG: no proper palette");
  form.palette = {1, 2};
  CHECK(DecodeError(MakePng(Bytes{0}, 1, 1, form)) == "corrupt PNG: no proper palette");
  for (const auto& [color_type, depth] : {std::pair{2, 4}, {3, 16}, {1, 8}, {5, 8}, {7, 8}, {0, 3}, {6, 1}}) {
    CAPTURE(color_type);
    form = {};
    form.color_type = color_type;
    form.depth = depth;
    CHECK(DecodeError(MakePng(Bytes(8, 0), 1, 1, form)).starts_with("corrupt PNG: colour type"));
  }
  CHECK(DecodeError(MakePng({}, 0, 5)) == "PNG of 0x5 pixels");
}

TEST_CASE("image: BMP with a palette, of every depth and header") {
  const int width = 11, height = 6;
  for (const int bits : {1, 4, 8})
    for (const uint32_t header_bytes : {12u, 40u, 52u, 56u, 64u, 108u, 124u})
      for (const bool top_down : {false, true}) {
        if (top_down && header_bytes == 12) continue;
        CAPTURE(bits);
        CAPTURE(header_bytes);
        CAPTURE(top_down);
        const int entry = header_bytes == 12 ? 3 : 4;
        test::BmpForm form;
        form.bits = bits;
        form.header_bytes = header_bytes;
        form.top_down = top_down;
        form.palette = NoisyPixels(entry, 1 << bits, 1, 4);
        form.gap = header_bytes == 40 ? 6 : 0;
        const int row_bytes = (width * bits + 31) / 32 * 4;
        const Bytes data = NoisyPixels(row_bytes, height, 1);
        Bytes expected;
        for (int y = 0; y < height; ++y)
          for (int x = 0; x < width; ++x) {
            const int index = Sample(data, row_bytes, bits, top_down ? y : height - 1 - y, x);
            for (int c = 2; c >= 0; --c)
              expected.push_back(form.palette[static_cast<size_t>(index * entry + c)]);
          }
        CHECK(PixelsOf(Decode(MakeBmp(data, width, height, form))) == expected);
      }
}

TEST_CASE("image: BMP palette index past the palette is black, not memory") {
  test::BmpForm form;
  form.bits = 8;
  form.palette = {30, 20, 10, 0};
  CHECK(PixelsOf(Decode(MakeBmp(Bytes{0, 1, 255, 0}, 3, 1, form))) == Bytes{10, 20, 30, 0, 0, 0, 0, 0, 0});
  form.compression = 1;
  CHECK(PixelsOf(Decode(MakeBmp(Bytes{1, 0, 2, 255, 0, 1}, 3, 1, form))) ==
        Bytes{10, 20, 30, 0, 0, 0, 0, 0, 0});
}

TEST_CASE("image: BMP in true colour") {
  const Bytes data24 = {3, 2, 1, 6, 5, 4, 0, 0, 9, 8, 7, 12, 11, 10, 0, 0};  // rows padded to 4 bytes
  const Bytes bottom_up = {7, 8, 9, 10, 11, 12, 1, 2, 3, 4, 5, 6};
  test::BmpForm form;
  for (const uint32_t header_bytes : {12u, 40u, 108u, 124u})
    for (const int gap : {0, 10}) {
      form.header_bytes = header_bytes;
      form.gap = gap;
      CHECK(PixelsOf(Decode(MakeBmp(data24, 2, 2, form))) == bottom_up);
    }
  form = {};
  form.top_down = true;
  CHECK(PixelsOf(Decode(MakeBmp(data24, 2, 2, form))) == Bytes{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  // 32 bits: alpha counts only if it says something.
  form = {};
  form.bits = 32;
  const Bytes data32 = {3, 2, 1, 0, 6, 5, 4, 128};
  CHECK(PixelsOf(Decode(MakeBmp(data32, 2, 1, form))) == Bytes{1, 2, 3, 4, 5, 6});
  CHECK(PixelsOf(Decode(MakeBmp(data32, 2, 1, form), Alpha(AlphaMode::kBlack))) == Bytes{0, 0, 0, 2, 3, 3});
  const Bytes no_alpha = {3, 2, 1, 0, 6, 5, 4, 0};
  CHECK(PixelsOf(Decode(MakeBmp(no_alpha, 2, 1, form), Alpha(AlphaMode::kWhite))) == Bytes{1, 2, 3, 4, 5, 6});
  // 16 bits, 5-5-5 unless masks say otherwise.
  form.bits = 16;
  const Bytes data16 = {0x1f, 0x7c, 0xe0, 0x03};
  CHECK(PixelsOf(Decode(MakeBmp(data16, 2, 1, form))) == Bytes{255, 0, 255, 0, 255, 0});
  form.compression = 3;
  form.masks = {0xf800, 0x07e0, 0x001f, 0};
  for (const uint32_t header_bytes : {40u, 52u, 56u, 108u}) {
    CAPTURE(header_bytes);
    form.header_bytes = header_bytes;
    CHECK(PixelsOf(Decode(MakeBmp(Bytes{0x1f, 0xf8, 0xe0, 0x07}, 2, 1, form))) ==
          Bytes{255, 0, 255, 0, 255, 0});
  }
}

TEST_CASE("image: BMP in runs") {
  test::BmpForm form;
  form.bits = 8;
  form.compression = 1;
  form.palette = Bytes(4 * 16, 0);
  for (size_t i = 0; i < 16; ++i)
    form.palette[i * 4] = form.palette[i * 4 + 1] = form.palette[i * 4 + 2] = static_cast<uint8_t>(i * 10);
  const auto indices = [&](const Bytes& data, int width, int height) {
    const Bytes pixels = PixelsOf(Decode(MakeBmp(data, width, height, form)));
    Bytes values;
    for (size_t i = 0; i < pixels.size(); i += 3) values.push_back(pixels[i] / 10);
    return values;
  };
  // A run, three as they are (padded), end of row; then a jump two right and one up, and the end.
  CHECK(indices({3, 5, 0, 3, 1, 2, 3, 0, 0, 0, 0, 2, 2, 1, 1, 9, 0, 1}, 6, 3) ==
        Bytes{0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 5, 5, 1, 2, 3});
  CHECK(indices({2, 7}, 2, 1) == Bytes{7, 7});        // the end mark may be missing
  CHECK(indices({9, 7, 0, 1}, 2, 1) == Bytes{7, 7});  // past the row's end: cut
  form.bits = 4;
  form.compression = 2;
  CHECK(indices({5, 0x12, 0, 3, 0x34, 0x50, 0, 1}, 8, 1) == Bytes{1, 2, 1, 2, 1, 3, 4, 5});
  CHECK(DecodeError(MakeBmp(Bytes{2, 1}, 8, 1, form)) == "premature end of BMP data");
  CHECK(DecodeError(MakeBmp(Bytes{0, 9, 1}, 8, 1, form)) == "premature end of BMP data");
  form.top_down = true;
  CHECK(DecodeError(MakeBmp(Bytes{0, 1}, 1, 1, form)) ==
        "unsupported BMP: 4 bits a pixel with compression 2");
}

TEST_CASE("image: BMP headers that claim too much or make no sense") {
  test::BmpForm form;
  CHECK(DecodeError(MakeBmp({}, 20000, 1, form)) == "BMP of 20000x1 pixels, over the limit of 16384 a side");
  CHECK(DecodeError(MakeBmp({}, 16000, 16000, form)) ==
        "BMP of 16000x16000 pixels, over the limit of 40 million");
  CHECK(DecodeError(MakeBmp({}, -5, 5, form)) == "BMP of -5x5 pixels");
  CHECK(DecodeError(MakeBmp({}, 5, INT32_MIN, form)).find("limit") != std::string::npos);
  CHECK(DecodeError(MakeBmp(Bytes(15), 2, 2, form)) == "premature end of BMP data");
  Bytes inside = MakeBmp(Bytes(16), 2, 2, form);
  inside[10] = 20;
  CHECK(DecodeError(inside) == "corrupt BMP: pixels begin inside the header");
  inside[10] = 255;
  CHECK(DecodeError(inside) == "premature end of BMP data");
  inside[14] = 41;
  CHECK(DecodeError(inside) == "unsupported BMP: a header of 41 bytes");
  form.bits = 2;
  CHECK(DecodeError(MakeBmp(Bytes(16), 2, 2, form)) == "unsupported BMP: 2 bits a pixel with compression 0");
  form.bits = 24;
  form.compression = 4;  // a JPEG inside
  CHECK(DecodeError(MakeBmp(Bytes(16), 2, 2, form)) == "unsupported BMP: 24 bits a pixel with compression 4");
  CHECK(DecodeError({'B', 'M'}) == "premature end of BMP data");
}

TEST_CASE("image: GIF, plain, interlaced, with other blocks before the frame") {
  const Bytes palette = NoisyPixels(8, 1, 3, 5);
  for (const auto& [width, height] : {std::pair{1, 1}, {5, 1}, {1, 9}, {9, 17}, {40, 33}}) {
    Bytes indices = NoisyPixels(width, height, 1);
    for (uint8_t& index : indices) index %= 8;
    Bytes expected;
    for (const uint8_t index : indices)
      expected.insert(expected.end(), palette.begin() + index * 3, palette.begin() + index * 3 + 3);
    test::GifForm form;
    CHECK(PixelsOf(Decode(MakeGif(indices, palette, width, height, form))) == expected);
    form.comment = true;
    CHECK(PixelsOf(Decode(MakeGif(indices, palette, width, height, form))) == expected);
    // Interlaced files hold rows 0, 8, 16, ..., then 4, 12, ..., then 2, 6, ..., then 1, 3, ...
    Bytes woven;
    for (const auto& [first, step] : {std::pair{0, 8}, {4, 8}, {2, 4}, {1, 2}})
      for (int y = first; y < height; y += step)
        woven.insert(woven.end(), indices.begin() + y * width, indices.begin() + (y + 1) * width);
    form.interlaced = true;
    CHECK(PixelsOf(Decode(MakeGif(woven, palette, width, height, form))) == expected);
  }
}

TEST_CASE("image: GIF transparency and a frame smaller or larger than its canvas") {
  const Bytes palette = NoisyPixels(8, 1, 3, 5);
  const Bytes one(palette.begin() + 3, palette.begin() + 6), two(palette.begin() + 6, palette.begin() + 9);
  const auto join = [](std::initializer_list<Bytes> parts) {
    Bytes all;
    for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
    return all;
  };
  const Bytes black(3, 0), white(3, 255);
  test::GifForm form;
  form.transparent = 1;
  const Bytes clear = MakeGif(Bytes{1, 2}, palette, 2, 1, form);
  CHECK(PixelsOf(Decode(clear)) == join({black, two}));
  CHECK(PixelsOf(Decode(clear, Alpha(AlphaMode::kWhite))) == join({white, two}));
  form = {};
  form.canvas_width = 3;
  form.canvas_height = 2;
  form.left = form.top = 1;
  Image image;
  image.pixels.assign(1000, 99);  // what an earlier photo left
  const Bytes small = MakeGif(Bytes{1, 2}, palette, 2, 1, form);
  REQUIRE(DecodeImage(small, {}, &image).ok());
  CHECK(PixelsOf(image) == join({black, black, black, black, one, two}));
  CHECK(PixelsOf(Decode(small, Alpha(AlphaMode::kWhite))) == join({white, white, white, white, one, two}));
  form.canvas_width = form.canvas_height = 1;
  form.left = form.top = 0;
  const Image grown = Decode(MakeGif(Bytes{1, 2}, palette, 2, 1, form));
  CHECK(grown.entry.width == 2);
  CHECK(PixelsOf(grown) == join({one, two}));
}

TEST_CASE("image: GIF that is cut or claims too much") {
  const Bytes palette(24, 7);
  const Bytes good = MakeGif(Bytes(100, 1), palette, 10, 10);
  CHECK(PixelsOf(Decode(good)) == Bytes(300, 7));
  CHECK(DecodeError(Bytes(good.begin(), good.end() - 10)) == "premature end of GIF data");
  CHECK(PixelsOf(Decode(Bytes(good.begin(), good.end() - 1))) == Bytes(300, 7));  // the frame is whole
  test::GifForm form;
  form.canvas_width = form.canvas_height = 60000;
  CHECK(DecodeError(MakeGif(Bytes(1, 1), palette, 1, 1, form)) ==
        "GIF of 60000x60000 pixels, over the limit of 40 million");
  Bytes out_of_range = good;
  out_of_range[10] = 0xf0;  // two colours, where index 1 exists and 2 does not
  out_of_range.erase(out_of_range.begin() + 13, out_of_range.begin() + 13 + 18);
  CHECK(PixelsOf(Decode(out_of_range)) == Bytes(300, 7));
  Bytes no_frame(good.begin(), good.begin() + 13 + 24);
  no_frame.push_back(';');
  CHECK(DecodeError(no_frame) == "GIF without a frame");
  Bytes no_colors = good;
  no_colors[10] = 0x70;  // no table for all frames
  no_colors.erase(no_colors.begin() + 13, no_colors.begin() + 13 + 24);
  CHECK(DecodeError(no_colors) == "corrupt GIF: no colour table");
}

}  // namespace
}  // namespace couplet
