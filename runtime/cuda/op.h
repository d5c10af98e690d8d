// The base of this engine's layers: names the layer to profilers and in every error, and waits after it where
// that was asked for.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "runtime/backend.h"
#include "runtime/cuda/device.h"
#include "runtime/cuda/worker.h"

namespace couplet::cuda {

using OpResult = Result<std::unique_ptr<PreparedOp>>;

class Op : public PreparedOp {
 public:
  Op(const Device& device, std::string layer) : device_(device), layer_(std::move(layer)) {}
  Status run(const RunArgs& args) const final;

 protected:
  virtual Status Run(const RunArgs& args, Worker& worker) const = 0;
  const Device& device() const { return device_; }
  const std::string& layer() const { return layer_; }

 private:
  const Device& device_;
  std::string layer_;
};

// A layer that is one function of (args, worker).
template <class Body>
class FunctionOp final : public Op {
 public:
  FunctionOp(const Device& device, std::string layer, Body body)
      : Op(device, std::move(layer)), body_(std::move(body)) {}

 protected:
  Status Run(const RunArgs& args, Worker& worker) const override { return body_(args, worker); }

 private:
  Body body_;
};
template <class Body>
OpResult MakeOp(const Device& device, const std::string& layer, Body body) {
  return std::unique_ptr<PreparedOp>(std::make_unique<FunctionOp<Body>>(device, layer, std::move(body)));
}

// Start of photo `photo` in an activation that has `per_photo` elements a photo.
inline const void* Photo(const void* base, int64_t photo, int64_t per_photo, size_t element_bytes) {
  return static_cast<const std::byte*>(base) + static_cast<size_t>(photo * per_photo) * element_bytes;
}
inline void* Photo(void* base, int64_t photo, int64_t per_photo, size_t element_bytes) {
  return static_cast<std::byte*>(base) + static_cast<size_t>(photo * per_photo) * element_bytes;
}

// Bytes rounded up to where cuDNN and cuBLAS like their memory to start.
inline size_t Aligned(size_t bytes) {
  return (bytes + 255) / 256 * 256;
}

}  // namespace couplet::cuda
