// Small JPEGs of photos for reports.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <cstdio>  // jpeglib.h needs it
#include <cstdlib>
#include <cstring>
#include <vector>

#include <fmt/format.h>
#include <jpeglib.h>

#include "loaders/image_internal.h"

namespace couplet {
namespace {

constexpr int kQuality = 80;
constexpr int kTileSide = 48, kMostSpriteSide = 8192;
constexpr uint8_t kTileGrey = 128;

struct ErrorManager {
  jpeg_error_mgr base;
  jmp_buf jump;
};

// libjpeg is C, through which nothing may be thrown: a jump is its documented way out.
[[noreturn]] void ExitByJump(j_common_ptr cinfo) {
  std::longjmp(reinterpret_cast<ErrorManager*>(cinfo->err)->jump, 1);  // NOLINT(cert-err52-cpp)
}
void PrintNothing(j_common_ptr) {}

struct Compressor {
  jpeg_compress_struct cinfo{};
  ErrorManager errors{};
  unsigned char* out = nullptr;
  unsigned long out_bytes = 0;

  Compressor() {
    cinfo.err = jpeg_std_error(&errors.base);
    errors.base.error_exit = ExitByJump;
    errors.base.output_message = PrintNothing;
  }
  ~Compressor() {
    jpeg_destroy_compress(&cinfo);
    std::free(out);
  }
  Compressor(const Compressor&) = delete;
  Compressor& operator=(const Compressor&) = delete;

  // Owns nothing with a destructor: libjpeg may leave it by longjmp.
  bool Compress(uint8_t* pixels, int width, int height) {
    if (setjmp(errors.jump) != 0) return false;  // NOLINT(cert-err52-cpp)
    jpeg_create_compress(&cinfo);
    jpeg_mem_dest(&cinfo, &out, &out_bytes);
    cinfo.image_width = static_cast<JDIMENSION>(width);
    cinfo.image_height = static_cast<JDIMENSION>(height);
    cinfo.input_components = 3;
    cinfo.in_color_space = JCS_RGB;
    jpeg_set_defaults(&cinfo);
    jpeg_set_quality(&cinfo, kQuality, TRUE);
    jpeg_start_compress(&cinfo, TRUE);
    while (cinfo.next_scanline < cinfo.image_height) {
      JSAMPROW row = pixels + size_t{3} * cinfo.image_width * cinfo.next_scanline;
      jpeg_write_scanlines(&cinfo, &row, 1);
    }
    jpeg_finish_compress(&cinfo);
    return true;
  }
};

// Box `i` of `boxes` over `length` source pixels: whole pixels, none left out, at least one.
struct Box {
  int begin, end;
};
Box BoxOf(int i, int boxes, int length) {
  const int begin = static_cast<int>(int64_t{i} * length / boxes);
  const int end = static_cast<int>(int64_t{i + 1} * length / boxes);
  return {std::min(begin, length - 1), std::max(end, begin + 1)};
}

std::vector<Box> BoxesOf(int boxes, int length) {
  std::vector<Box> all;
  all.reserve(static_cast<size_t>(boxes));
  for (int i = 0; i < boxes; ++i) all.push_back(BoxOf(i, boxes, length));
  return all;
}

// sums[i] = column i of `count` rows. As many as a 16-bit sum holds are added in registers, a few columns at a time.
void SumColumns(const uint8_t* rows, size_t stride, int count, uint32_t* sums) {
  constexpr int kRows = 257;
  constexpr size_t kColumns = 32;
  for (int first = 0; first < count; first += kRows) {
    const uint32_t kept = first == 0 ? 0 : ~0u;  // nothing is there before the first
    const uint8_t* const top = rows + static_cast<size_t>(first) * stride;
    const size_t some = static_cast<size_t>(std::min(kRows, count - first));
    size_t i = 0;
    for (; i + kColumns <= stride; i += kColumns) {
      uint16_t part[kColumns] = {};
      for (size_t y = 0; y < some; ++y)
        for (size_t j = 0; j < kColumns; ++j) part[j] = static_cast<uint16_t>(part[j] + top[y * stride + i + j]);
      for (size_t j = 0; j < kColumns; ++j) sums[i + j] = (sums[i + j] & kept) + part[j];
    }
    for (; i < stride; ++i) {
      sums[i] &= kept;
      for (size_t y = 0; y < some; ++y) sums[i] += top[y * stride + i];
    }
  }
}

// Means of a row of boxes `rows` high, a pixel's channels side by side in a vector (g++ and clang have it on every processor); the
// fourth lane, one `sums` past the pixel, is left out. Lane holds a box's sum.
template <class Lane>
void MeansOfBoxes(const uint32_t* sums, const std::vector<Box>& across, int rows, uint8_t* to) {
  using Sums __attribute__((vector_size(4 * sizeof(uint32_t)))) = uint32_t;
  using Total __attribute__((vector_size(4 * sizeof(Lane)))) = Lane;
  using Means __attribute__((vector_size(4 * sizeof(double)))) = double;
  using Rounded __attribute__((vector_size(4 * sizeof(int32_t)))) = int32_t;
  int width = 0;
  double per_pixel = 0;  // a division for each width, not each pixel
  for (const Box& box : across) {
    Total total = {};
    for (int x = box.begin; x < box.end; ++x) {
      Sums pixel{};
      std::memcpy(&pixel, sums + size_t{3} * static_cast<size_t>(x), sizeof pixel);
      total += __builtin_convertvector(pixel, Total);
    }
    if (box.end - box.begin != width) {
      width = box.end - box.begin;
      per_pixel = 1.0 / (static_cast<double>(rows) * width);
    }
    const Rounded mean = __builtin_convertvector(__builtin_convertvector(total, Means) * per_pixel + 0.5, Rounded);
    for (int channel = 0; channel < 3; ++channel) *to++ = static_cast<uint8_t>(mean[channel]);
  }
}

// Mean of the pixels of each box. `rows` stored rows, which may be fewer or more than the photo has.
std::vector<uint8_t> AverageBoxes(const uint8_t* pixels, int width, int rows, int out_width, int out_height) {
  const size_t out_stride = size_t{3} * static_cast<size_t>(out_width), stride = size_t{3} * static_cast<size_t>(width);
  std::vector<uint8_t> out(out_stride * static_cast<size_t>(out_height));
  std::vector<uint32_t> sums(stride + 1);
  const std::vector<Box> across = BoxesOf(out_width, width), down = BoxesOf(out_height, rows);
  const int64_t largest = (int64_t{width} / out_width + 1) * (int64_t{rows} / out_height + 1);
  const auto means = 255 * largest <= int64_t{INT32_MAX} ? MeansOfBoxes<int32_t> : MeansOfBoxes<int64_t>;
  uint8_t* to = out.data();
  for (const Box& box : down) {
    SumColumns(pixels + static_cast<size_t>(box.begin) * stride, stride, box.end - box.begin, sums.data());
    means(sums.data(), across, box.end - box.begin, to);
    to += out_stride;
  }
  return out;
}

}  // namespace

Status MakeThumbnail(const Image& image, int max_side, std::vector<uint8_t>* jpeg) {
  const ImageEntry& entry = image.entry;
  COUPLET_CHECK(entry.width > 0 && entry.height > 0 && max_side > 0);
  const int rows = entry.paired_rows > 0 ? 2 * entry.paired_rows : entry.height;
  COUPLET_CHECK(image.pixels.size() >=
                size_t{3} * static_cast<size_t>(entry.width) * static_cast<size_t>(rows));
  const double scale = std::min(1.0, static_cast<double>(max_side) / std::max(entry.width, entry.height));
  const int out_width = std::max(1, static_cast<int>(std::lround(entry.width * scale)));
  const int out_height = std::max(1, static_cast<int>(std::lround(entry.height * scale)));
  std::vector<uint8_t> small = AverageBoxes(image.pixels.data(), entry.width, rows, out_width, out_height);
  Compressor compressor;
  if (!compressor.Compress(small.data(), out_width, out_height))
    return Internal("libjpeg could not make a thumbnail");
  jpeg->assign(compressor.out, compressor.out + compressor.out_bytes);
  return {};
}

Status MakeSprite(size_t count, const std::function<std::optional<std::vector<uint8_t>>(size_t)>& thumbnail, int* side,
                  std::vector<uint8_t>* jpeg) {
  COUPLET_CHECK(count > 0 && count <= size_t{1} << 20);
  const int columns = static_cast<int>(std::ceil(std::sqrt(static_cast<double>(count))));
  *side = std::min(kTileSide, kMostSpriteSide / columns);
  const int width = columns * *side;
  std::vector<uint8_t> pixels(size_t{3} * static_cast<size_t>(width) * static_cast<size_t>(width), kTileGrey);
  Image image;
  for (size_t i = 0; i < count; ++i) {
    const auto bytes = thumbnail(i);
    if (!bytes || !DecodeImage(*bytes, {}, &image).ok()) continue;
    const ImageEntry& entry = image.entry;
    const double scale = std::min(1.0, static_cast<double>(*side) / std::max(entry.width, entry.height));
    const int tile_width = std::max(1, static_cast<int>(entry.width * scale)), tile_height = std::max(1, static_cast<int>(entry.height * scale));
    const std::vector<uint8_t> small = AverageBoxes(image.pixels.data(), entry.width, entry.height, tile_width, tile_height);
    const int x = static_cast<int>(i) % columns * *side + (*side - tile_width) / 2;
    const int y = static_cast<int>(i) / columns * *side + (*side - tile_height) / 2;
    for (int row = 0; row < tile_height; ++row)
      std::copy_n(small.data() + size_t{3} * static_cast<size_t>(row) * static_cast<size_t>(tile_width), size_t{3} * static_cast<size_t>(tile_width),
                  pixels.data() + size_t{3} * (static_cast<size_t>(y + row) * static_cast<size_t>(width) + static_cast<size_t>(x)));
  }
  Compressor compressor;
  if (!compressor.Compress(pixels.data(), width, width)) return Internal("libjpeg could not make a sprite");
  jpeg->assign(compressor.out, compressor.out + compressor.out_bytes);
  return {};
}

}  // namespace couplet
