// Convolutions for the CPU engine's tests: shapes, inputs, and a run of one. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/backend.h"
#include "tests/support/model_layers.h"

namespace couplet::test {

struct Inputs {
  std::vector<float> src, weights, scale, bias;
};
size_t Count(int64_t a, int64_t b, int64_t c, int64_t d = 1);

// Integers whose sums of absolute products stay under 2^24: every order of adding is exact.
Inputs IntegerInputs(const ConvShape& s, int n);
Inputs RealInputs(const ConvShape& s, int n);

Layer MakeLayer(const ConvShape& s, const Inputs& in, Activation activation = Activation::kNone);
std::vector<float> Run(Backend& backend, const ConvShape& s, const Inputs& in, int n, int threads = 1,
                       Activation activation = Activation::kNone);

// A slice of a wider value: where it begins, and the wider value's channels.
constexpr int kSliceAt = 3;
inline int SliceStride(const Layer& layer) { return layer.shape.c + 8; }
// Checks that the layer gives `dense` of n photos as such a slice, and touches nothing beside it.
void CheckSlice(Backend& backend, const Layer& layer, const Shape& src, const std::vector<float>& values, const std::vector<float>& dense,
                int n, int threads);

// Work enough to be cut into bands: heights that no number of bands divides, padding above and below that is not the
// same, strides, dilation, a band that lies in the padding for the most part.
std::vector<ConvShape> TallShapes();

}  // namespace couplet::test
