// SPDX-License-Identifier: Apache-2.0
#include "runtime/cpu/preprocess.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

// Highway compiles the part between HWY_BEFORE_NAMESPACE and HWY_AFTER_NAMESPACE once for each instruction
// set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/cpu/preprocess.cc"
#include "runtime/cpu/kernel_targets.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace couplet::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// -ffp-contract=off keeps the product and the sum apart; a fused one would change the last bit.
template <class V>
HWY_INLINE V Lerp(V a, V b, V t) {
  return hn::Add(a, hn::Mul(hn::Sub(b, a), t));
}

// dst[i] = lo[i] + (hi[i] - lo[i]) * t[i]. Reads and writes up to a vector past `count`.
void LerpBytes(const uint8_t* HWY_RESTRICT lo, const uint8_t* HWY_RESTRICT hi, const float* HWY_RESTRICT t,
               float* HWY_RESTRICT dst, size_t count) {
  const hn::ScalableTag<float> df;
  const hn::Rebind<int32_t, decltype(df)> di;
  const hn::Rebind<uint8_t, decltype(df)> du8;
  for (size_t i = 0; i < count; i += hn::Lanes(df)) {
    const auto a = hn::ConvertTo(df, hn::PromoteTo(di, hn::LoadU(du8, lo + i)));
    const auto b = hn::ConvertTo(df, hn::PromoteTo(di, hn::LoadU(du8, hi + i)));
    hn::StoreU(Lerp(a, b, hn::LoadU(df, t + i)), df, dst + i);
  }
}

template <bool kDivide, class D>
HWY_INLINE hn::Vec<D> Normalize(D df, hn::Vec<D> v, float mean, float factor) {
  const auto centred = hn::Sub(v, hn::Set(df, mean));
  return kDivide ? hn::Div(centred, hn::Set(df, factor)) : hn::Mul(centred, hn::Set(df, factor));
}

// dst = normalised top + (bottom - top) * t. top and bottom are padded to whole vectors, dst is not.
template <bool kDivide>
void LerpRows(const float* HWY_RESTRICT top, const float* HWY_RESTRICT bottom, float t, float mean,
              float factor, float* HWY_RESTRICT dst, size_t count) {
  const hn::ScalableTag<float> df;
  const size_t lanes = hn::Lanes(df);
  const auto row = [&](size_t i) HWY_ATTR {
    return Normalize<kDivide>(df, Lerp(hn::LoadU(df, top + i), hn::LoadU(df, bottom + i), hn::Set(df, t)),
                              mean, factor);
  };
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(row(i), df, dst + i);
  if (i == count) return;
  HWY_ALIGN float tail[hn::MaxLanes(df)];
  hn::Store(row(i), df, tail);
  std::copy_n(tail, count - i, dst + i);
}

void LerpRowsMultiply(const float* top, const float* bottom, float t, float mean, float factor, float* dst,
                      size_t count) {
  LerpRows<false>(top, bottom, t, mean, factor, dst, count);
}
void LerpRowsDivide(const float* top, const float* bottom, float t, float mean, float factor, float* dst,
                    size_t count) {
  LerpRows<true>(top, bottom, t, mean, factor, dst, count);
}

}  // namespace couplet::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "runtime/cpu/dispatch.h"

namespace couplet::cpu {
namespace {

constexpr size_t kVector =
    64;  // floats: past the end of a row, enough for the widest vectors and 4-byte pixels

// Where a row or column of the result lies between two of the source.
struct Between {
  int lo, hi;
  float t;
};
Between Locate(int out, float scale, int in) {
  const float at = static_cast<float>(out) * scale;
  const int lo = static_cast<int>(at);
  return {lo, std::min(lo + 1, in - 1), at - static_cast<float>(lo)};
}

float Scale(int in, int out) {
  return static_cast<float>(in) / static_cast<float>(out);
}

// Scratch of one photo: tables over the columns and rows of floats, each padded by kVector.
struct Workspace {
  uint32_t* lo;            // [width] byte offset of the left one of the two source pixels
  float* t;                // [width * 3] each column's t three times
  uint8_t *lo_px, *hi_px;  // [width * 3] the row's source pixels, gathered
  float* rows[2];          // [width * 3] source rows lerped along x ...
  int held[2] = {-1, -1};  // ... and which source rows they are

  Workspace(void* scratch, int width) {
    const size_t n = static_cast<size_t>(width) * 3 + kVector;
    auto* words = static_cast<float*>(scratch);
    t = words;
    rows[0] = words + n;
    rows[1] = words + 2 * n;
    lo = reinterpret_cast<uint32_t*>(words + 3 * n);
    lo_px = reinterpret_cast<uint8_t*>(lo + n);
    hi_px = lo_px + n;
  }
};

// Copies the 3-byte pixels at `offsets` next to each other, and those to their right; the last one of a row, which begins at `last`,
// has itself to its right. The first `wide` pairs are read as eight bytes, which for them stay inside the row.
void GatherPixels(const uint8_t* row, const uint32_t* offsets, int wide, int width, uint32_t last, uint8_t* lo, uint8_t* hi) {
  static_assert(std::endian::native == std::endian::little);
  int x = 0;
  for (; x < wide; ++x, lo += 3, hi += 3) {
    uint64_t pair;
    std::memcpy(&pair, row + offsets[x], sizeof pair);
    std::memcpy(lo, &pair, 4);
    pair >>= 24;
    std::memcpy(hi, &pair, 4);
  }
  for (; x < width; ++x, lo += 3, hi += 3) {
    std::memcpy(lo, row + offsets[x], 3);
    std::memcpy(hi, row + std::min(offsets[x] + 3, last), 3);
  }
}

// The whole of one photo's resize; see Preprocess.
class Resizer {
 public:
  Resizer(const ImageEntry& image, const uint8_t* bytes, int width, void* scratch)
      : image_(image), bytes_(bytes), width_(width), space_(scratch, width) {
    const float scale = Scale(image.width, width);
    const uint32_t row_bytes = static_cast<uint32_t>(image.width) * 3;
    for (int x = 0; x < width; ++x) {
      const Between at = Locate(x, scale, image.width);
      space_.lo[x] = static_cast<uint32_t>(at.lo) * 3;
      std::fill_n(space_.t + int64_t{3} * x, 3, at.t);
      if (space_.lo[x] + sizeof(uint64_t) <= row_bytes) wide_ = x + 1;
    }
  }

  // Source row `source` lerped along x; `stored` is its place in the batch. `keep`: a row not to be
  // overwritten.
  const float* Row(int source, int stored, int keep) {
    for (int i = 0; i < 2; ++i)
      if (space_.held[i] == source) return space_.rows[i];
    const int slot = space_.held[0] == keep ? 1 : 0;
    const uint8_t* row = bytes_ + static_cast<size_t>(stored) * static_cast<size_t>(image_.width) * 3;
    const uint32_t last = (static_cast<uint32_t>(image_.width) - 1) * 3;
    GatherPixels(row, space_.lo, wide_, width_, last, space_.lo_px, space_.hi_px);
    COUPLET_DISPATCH(LerpBytes)
    (space_.lo_px, space_.hi_px, space_.t, space_.rows[slot], static_cast<size_t>(width_) * 3);
    space_.held[slot] = source;
    return space_.rows[slot];
  }

 private:
  const ImageEntry& image_;
  const uint8_t* bytes_;
  int width_;
  int wide_ = 0;  // columns whose two pixels can be read as eight bytes
  Workspace space_;
};

}  // namespace

size_t PreprocessScratchBytes(int width) {
  return (static_cast<size_t>(width) * 3 + kVector) * (4 * sizeof(float) + 2);
}

Status Preprocess(const ImageBatch& images, size_t index, int height, int width,
                  const Normalization& normalization, void* scratch, float* dst) {
  COUPLET_RETURN_IF_ERROR(CheckImage(images, index, height));
  const ImageEntry& image = images.images[index];
  Resizer resizer(image, images.bytes.data() + image.offset, width, scratch);
  const bool divide = normalization.mode == Normalization::Mode::kDivide;
  // retrain.py hands TensorFlow the quotient of two Python floats, rounded once to float32.
  const float factor =
      divide ? normalization.std : static_cast<float>(1.0 / static_cast<double>(normalization.std));
  const float scale = Scale(image.height, height);
  const size_t count = static_cast<size_t>(width) * 3;
  for (int y = 0; y < height; ++y, dst += count) {
    const Between at = Locate(y, scale, image.height);
    const bool paired = image.paired_rows != 0;
    const float* top = resizer.Row(at.lo, paired ? 2 * y : at.lo, at.hi);
    // With t = 0 the lower row counts for nothing, so it is not made.
    const float* bottom = at.t == 0.0f ? top : resizer.Row(at.hi, paired ? 2 * y + 1 : at.hi, at.lo);
    if (divide)
      COUPLET_DISPATCH(LerpRowsDivide)(top, bottom, at.t, normalization.mean, factor, dst, count);
    else
      COUPLET_DISPATCH(LerpRowsMultiply)(top, bottom, at.t, normalization.mean, factor, dst, count);
  }
  return {};
}

}  // namespace couplet::cpu
#endif  // HWY_ONCE
