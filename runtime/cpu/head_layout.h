// Where the weights of the last layer lie in memory, by how many classes it has.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "runtime/cpu/gemm_kernel.h"

namespace couplet::head {

// Rows of floats are padded with zeros to a multiple of this: the widest vector.
inline constexpr size_t kPad = 16;
constexpr size_t Padded(size_t n) {
  return (n + kPad - 1) / kPad * kPad;
}

// Classes that fill vectors are their lanes, in panels of [features, width] each, and logits are a matrix product with tiles in
// registers: a weight that is loaded meets as many rows as a tile has. A few classes would leave most lanes empty, so features are
// the lanes, [classes, stride()], and logits are dot products.
struct Layout {
  size_t features = 0, classes = 0;
  cpu::Panels panels;  // of classes; count == 0 where lanes are features
  bool by_panels() const { return panels.count > 0; }
  // Floats, padding included. It is zero at first and stays so: a padded feature is zero in every row, a padded class has no slope.
  size_t size() const;
  // Where lanes are features, from one class to the next: never pages apart, where all classes would share one set of the nearest cache.
  size_t stride() const { return Padded(features) + (Padded(features) % 1024 == 0 ? kPad : 0); }
};
Layout LayoutFor(size_t features, size_t classes);

// weights [features, classes] as TensorFlow has them -> packed [size()], whose padding is not written, and back.
void Pack(const Layout& layout, const float* weights, float* packed);
void Unpack(const Layout& layout, const float* packed, float* weights);

}  // namespace couplet::head
