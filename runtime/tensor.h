// Constant float tensors (weights): a view into a mapped file, or memory of their own.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

namespace couplet {

// float32, row-major. The bytes may lie at any address (a GraphDef's tensor_content is not aligned), so elements are
// read through at() or copy_to(), never through a float*. Cheap to copy; keeps what it points into alive.
class ConstTensor {
 public:
  ConstTensor() = default;
  // View of `dims` floats at `data`, kept alive by `owner`. REQUIRES: dims passed ElementCount().
  ConstTensor(std::vector<int64_t> dims, const std::byte* data, size_t count, std::shared_ptr<const void> owner)
      : dims_(std::move(dims)), data_(data), count_(count), owner_(std::move(owner)) {}
  ConstTensor(std::vector<int64_t> dims, std::vector<float> values) : dims_(std::move(dims)) {
    auto held = std::make_shared<const std::vector<float>>(std::move(values));
    data_ = reinterpret_cast<const std::byte*>(held->data());
    count_ = held->size();
    owner_ = std::move(held);
  }
  const std::vector<int64_t>& dims() const { return dims_; }
  size_t count() const { return count_; }
  bool empty() const { return count_ == 0; }
  float at(size_t i) const {
    float value;
    std::memcpy(&value, data_ + i * sizeof(float), sizeof value);
    return value;
  }
  void copy_to(float* dst) const {
    if (count_ != 0) std::memcpy(dst, data_, count_ * sizeof(float));
  }
  // Elements [first, first + count).
  void copy_to(float* dst, size_t first, size_t count) const {
    if (count != 0) std::memcpy(dst, data_ + first * sizeof(float), count * sizeof(float));
  }
  std::vector<float> ToVector() const {
    std::vector<float> values(count_);
    copy_to(values.data());
    return values;
  }

 private:
  std::vector<int64_t> dims_;
  const std::byte* data_ = nullptr;
  size_t count_ = 0;
  std::shared_ptr<const void> owner_;
};

// Weights [.., oc] times scale [oc] where there is one.
inline std::vector<float> Folded(const ConstTensor& weights, std::span<const float> scale) {
  std::vector<float> folded = weights.ToVector();
  if (!scale.empty())
    for (size_t i = 0; i < folded.size(); ++i) folded[i] *= scale[i % scale.size()];
  return folded;
}

}  // namespace couplet
