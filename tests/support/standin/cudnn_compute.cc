// A convolution as a matrix product: each output pixel's window laid out as a row, times the filter.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "tests/support/standin/cudnn_types.h"

namespace couplet::standin {

namespace {

// A photo as floats, [h, w, c]: where it lies when it needs no conversion, else converted.
const float* Photo(const ConvolutionJob& job, int n, std::vector<float>* converted) {
  const size_t count = static_cast<size_t>(job.x.n_stride), first = static_cast<size_t>(n) * count;
  if (job.x.element() == Element::kFloat && !job.tf32) return static_cast<const float*>(job.x_data) + first;
  converted->resize(count);
  LoadRow(job.x_data, first, count, job.x.element(), job.tf32, converted->data());
  return converted->data();
}

// The filter of one group: [kh * kw * c, k].
Panels Filter(const ConvolutionJob& job, int group) {
  const auto& w = job.w;
  const int row = w.h * w.w * w.c, each = w.k / job.conv.groups;
  Panels panels(row, each);
  std::vector<float> values(static_cast<size_t>(row));
  for (int k = 0; k < each; ++k) {
    const size_t first = static_cast<size_t>(group * each + k) * static_cast<size_t>(row);
    LoadRow(job.w_data, first, static_cast<size_t>(row), w.element(), job.tf32, values.data());
    for (int i = 0; i < row; ++i) panels.at(i, k) = values[static_cast<size_t>(i)];
  }
  return panels;
}

// The window of output pixel (y, x): [kh, kw, c of the group], zero outside the photo.
void Window(const ConvolutionJob& job, const float* photo, int group, int y, int x, float* row) {
  const auto& conv = job.conv;
  const size_t c = static_cast<size_t>(job.w.c);
  for (int ky = 0; ky < job.w.h; ++ky) {
    for (int kx = 0; kx < job.w.w; ++kx, row += c) {
      const int iy = y * conv.sh - conv.pad_h + ky * conv.dh, ix = x * conv.sw - conv.pad_w + kx * conv.dw;
      if (iy < 0 || iy >= job.x.h || ix < 0 || ix >= job.x.w) {
        std::fill_n(row, c, 0.0f);
        continue;
      }
      const size_t at = static_cast<size_t>(int64_t{iy} * job.x.h_stride + int64_t{ix} * job.x.w_stride);
      std::memcpy(row, photo + at + static_cast<size_t>(group) * c, c * sizeof(float));
    }
  }
}

// alpha * sum + z_scale * z + bias, clipped below where asked.
void Finish(const ConvolutionJob& job, int n, int pixel, int group, const float* sums) {
  const int each = job.w.k / job.conv.groups;
  const int y = pixel / job.y.w, x = pixel % job.y.w;
  const auto offset = [&](const cudnnTensorStruct& t) {
    return static_cast<size_t>(n * t.n_stride + y * t.h_stride + x * t.w_stride + group * each);
  };
  const size_t to = offset(job.y), from = offset(job.z);
  for (int k = 0; k < each; ++k) {
    const size_t i = static_cast<size_t>(k);
    float value = job.alpha * sums[i];
    if (job.z_scale != 0.0f) value += job.z_scale * Load(job.z_data, from + i, job.z.element());
    if (job.bias != nullptr) value += Load(job.bias, static_cast<size_t>(group * each) + i, job.y.element());
    if (job.relu && value < 0.0f) value = 0.0f;
    Store(job.y_data, to + i, job.y.element(), value);
  }
}

}  // namespace

void ComputeConvolution(const ConvolutionJob& job) {
  // A workspace holds nothing before or after.
  if (job.workspace_bytes != 0) std::memset(job.workspace, 0xFF, job.workspace_bytes);
  constexpr int kChunk = 128;  // output pixels at a time
  const int row = job.w.h * job.w.w * job.w.c, each = job.w.k / job.conv.groups, pixels = job.y.h * job.y.w;
  std::vector<float> converted, rows(static_cast<size_t>(kChunk) * static_cast<size_t>(row)),
      sums(static_cast<size_t>(kChunk) * static_cast<size_t>(each));
  for (int group = 0; group < job.conv.groups; ++group) {
    const Panels filter = Filter(job, group);
    for (int n = 0; n < job.x.n; ++n) {
      const float* photo = Photo(job, n, &converted);
      for (int first = 0; first < pixels; first += kChunk) {
        const int count = std::min(kChunk, pixels - first);
        for (int i = 0; i < count; ++i)
          Window(job, photo, group, (first + i) / job.y.w, (first + i) % job.y.w,
                 rows.data() + static_cast<size_t>(i) * static_cast<size_t>(row));
        Multiply(rows.data(), static_cast<size_t>(row), filter, job.order, sums.data(),
                 static_cast<size_t>(each), count);
        for (int i = 0; i < count; ++i)
          Finish(job, n, first + i, group, sums.data() + static_cast<size_t>(i) * static_cast<size_t>(each));
      }
    }
  }
}

}  // namespace couplet::standin
