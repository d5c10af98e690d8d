// The arithmetic behind the libraries' stand-ins: conversions and one matrix product. Float products and
// float sums, one after the other in a stated order, so that a row's bits depend on nothing but the row.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace couplet::standin {

enum class Element { kFloat, kHalf };
inline size_t ElementBytes(Element element) {
  return element == Element::kFloat ? 4 : 2;
}

float HalfToFloat(uint16_t bits);
uint16_t FloatToHalf(float value);  // to nearest, ties to even; past 65504: infinity
// The ten fraction bits a tensor core takes of a float, to nearest.
float RoundToTf32(float value);

// Element i of an array of either kind.
float Load(const void* data, size_t i, Element element);
void Store(void* data, size_t i, Element element, float value);
// `count` elements as floats; TF32's where `tf32`.
void LoadRow(const void* data, size_t first, size_t count, Element element, bool tf32, float* dst);

// The right factor [k, n] in the order the product reads it.
class Panels {
 public:
  Panels(int k, int n)
      : k_(k), n_(n), data_(static_cast<size_t>((n + kWidth - 1) / kWidth) * kWidth * Rows()) {}
  static constexpr int kWidth = 32;
  float& at(int row, int col) {
    return data_[(static_cast<size_t>(col / kWidth) * Rows() + static_cast<size_t>(row)) * kWidth +
                 static_cast<size_t>(col % kWidth)];
  }
  const float* panel(int index) const { return data_.data() + static_cast<size_t>(index) * Rows() * kWidth; }
  int k() const { return k_; }
  int n() const { return n_; }

 private:
  size_t Rows() const { return static_cast<size_t>(k_); }
  int k_, n_;
  std::vector<float> data_;
};

// In which order the k products of a sum are added: algorithms differ in it, and so in the last bits.
enum class SumOrder { kRising, kFalling };

// c[m, n] = a[m, k] . b[k, n]; lda, ldc: elements a row.
void Multiply(const float* a, size_t lda, const Panels& b, SumOrder order, float* c, size_t ldc, int m);

}  // namespace couplet::standin
