// The CUDA runtime's memory: allocate, free, copy, set.
// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "tests/support/standin/memory.h"
#include "tests/support/standin/scheduler.h"
#include "tests/support/standin/state.h"

namespace couplet::standin {

namespace {

using Kind = Memory::Kind;

// Which side a pointer of a copy must lie on.
enum class Side { kDevice, kHost };

bool Sides(cudaMemcpyKind kind, const void* dst, const void* src, Side* to, Side* from) {
  const Memory& memory = *TheState().memory;
  const auto guess = [&](const void* data) {
    const Memory::Block* block = memory.Find(data);
    return block != nullptr && block->kind == Kind::kDevice ? Side::kDevice : Side::kHost;
  };
  switch (kind) {
    case cudaMemcpyHostToHost:
      *to = Side::kHost, *from = Side::kHost;
      return true;
    case cudaMemcpyHostToDevice:
      *to = Side::kDevice, *from = Side::kHost;
      return true;
    case cudaMemcpyDeviceToHost:
      *to = Side::kHost, *from = Side::kDevice;
      return true;
    case cudaMemcpyDeviceToDevice:
      *to = Side::kDevice, *from = Side::kDevice;
      return true;
    case cudaMemcpyDefault:
      *to = guess(dst), *from = guess(src);
      return true;
  }
  return false;
}

bool Check(const std::string& what, Side side, const void* data, size_t bytes) {
  const Memory& memory = *TheState().memory;
  return side == Side::kDevice ? memory.CheckDevice(what, data, bytes) : memory.CheckHost(what, data, bytes);
}

// `height` rows of `width` bytes.
struct Copy {
  void* dst = nullptr;
  size_t dst_pitch = 0;
  const void* src = nullptr;
  size_t src_pitch = 0;
  size_t width = 0, height = 1;
  size_t dst_bytes() const { return height == 0 || width == 0 ? 0 : (height - 1) * dst_pitch + width; }
  size_t src_bytes() const { return height == 0 || width == 0 ? 0 : (height - 1) * src_pitch + width; }
  void Do() const {
    for (size_t y = 0; y < height; ++y)
      std::memcpy(static_cast<std::byte*>(dst) + y * dst_pitch,
                  static_cast<const std::byte*>(src) + y * src_pitch, width);
  }
};

// Memory of ours that is freed before the copy has run is a mistake the copy finds.
Function Deferred(std::string call, Copy copy, Side to, Side from) {
  return [call = std::move(call), copy, to, from] {
    if (!Check(call + ": dst", to, copy.dst, copy.dst_bytes()) ||
        !Check(call + ": src", from, copy.src, copy.src_bytes()))
      return cudaErrorIllegalAddress;
    copy.Do();
    return cudaSuccess;
  };
}

cudaError_t CopyOn(const char* call, Copy copy, cudaMemcpyKind kind, Stream* stream, bool wait) {
  Side to, from;
  if (!Sides(kind, copy.dst, copy.src, &to, &from)) return cudaErrorInvalidMemcpyDirection;
  if (copy.width > copy.dst_pitch || copy.width > copy.src_pitch) return cudaErrorInvalidPitchValue;
  if (copy.width == 0 || copy.height == 0) return cudaSuccess;
  if (!Check(std::string(call) + ": dst", to, copy.dst, copy.dst_bytes()) ||
      !Check(std::string(call) + ": src", from, copy.src, copy.src_bytes()))
    return cudaErrorInvalidValue;
  if (from == Side::kHost && to == Side::kDevice) TheState().calls["bytes to the device"] += static_cast<long>(copy.src_bytes());
  Scheduler& scheduler = *TheState().scheduler;
  const Memory& memory = *TheState().memory;
  const bool pageable_src = from == Side::kHost && memory.Find(copy.src) == nullptr;
  const bool pageable_dst = to == Side::kHost && memory.Find(copy.dst) == nullptr;
  if (stream->capture != nullptr && (pageable_src || pageable_dst)) {
    stream->capture->broken = true;
    TheState().Misuse(std::string(call) + ": pageable memory in a captured stream");
    return cudaErrorStreamCaptureUnsupported;
  }
  cudaError_t error = cudaSuccess;
  if (pageable_src && !wait) {
    // Staged: the source may change as soon as the call returns.
    auto staged = std::make_shared<std::vector<std::byte>>(copy.src_bytes());
    std::memcpy(staged->data(), copy.src, staged->size());
    error = scheduler.Add(stream, call, [copy, staged, call, to]() mutable {
      if (!Check(std::string(call) + ": dst", to, copy.dst, copy.dst_bytes())) return cudaErrorIllegalAddress;
      copy.src = staged->data();
      copy.Do();
      return cudaSuccess;
    });
  } else {
    error = scheduler.Add(stream, call, Deferred(call, copy, to, from));
  }
  if (error != cudaSuccess) return error;
  return wait || pageable_dst ? scheduler.Finish(stream) : cudaSuccess;
}

cudaError_t SetOn(const char* call, void* data, int value, size_t bytes, Stream* stream, bool wait) {
  if (!TheState().memory->CheckDevice(std::string(call) + ": devPtr", data, bytes))
    return cudaErrorInvalidValue;
  if (bytes == 0) return cudaSuccess;
  const cudaError_t error = TheState().scheduler->Add(stream, call, [=] {
    if (!TheState().memory->CheckDevice(std::string(call) + ": devPtr", data, bytes))
      return cudaErrorIllegalAddress;
    std::memset(data, value, bytes);
    return cudaSuccess;
  });
  return error == cudaSuccess && wait ? TheState().scheduler->Finish(stream) : error;
}

// cudaFree and cudaFreeHost wait for the device first.
cudaError_t Release(const char* call, void* data, Kind kind) {
  const cudaError_t error = TheState().scheduler->FinishAll();
  const cudaError_t freed = TheState().memory->Free(data, kind, call);
  return freed != cudaSuccess ? freed : error;
}

}  // namespace

}  // namespace couplet::standin

using namespace couplet::standin;  // NOLINT: the names below are C's

cudaError_t cudaMalloc(void** data, size_t bytes) {
  return Cuda(__func__, InCapture::kForbidden,
              [&] { return TheState().memory->Allocate(data, bytes, Memory::Kind::kDevice); });
}
cudaError_t cudaMallocHost(void** data, size_t bytes) {
  return Cuda(__func__, InCapture::kForbidden,
              [&] { return TheState().memory->Allocate(data, bytes, Memory::Kind::kPinned); });
}
cudaError_t cudaHostAlloc(void** data, size_t bytes, unsigned flags) {
  return Cuda(__func__, InCapture::kForbidden, [&] {
    constexpr unsigned kKnown = cudaHostAllocPortable | cudaHostAllocMapped | cudaHostAllocWriteCombined;
    if ((flags & ~kKnown) != 0) return cudaErrorInvalidValue;
    return TheState().memory->Allocate(data, bytes, Memory::Kind::kPinned);
  });
}
cudaError_t cudaHostGetDevicePointer(void** device, void* host, unsigned flags) {
  return Cuda(__func__, InCapture::kAllowed, [&] {
    const Memory::Block* block = TheState().memory->Find(host);
    if (device == nullptr || flags != 0 || block == nullptr || block->kind != Memory::Kind::kPinned)
      return cudaErrorInvalidValue;
    *device = host;
    return cudaSuccess;
  });
}
cudaError_t cudaFree(void* data) {
  return CudaRelease(__func__, [&] { return Release("cudaFree", data, Memory::Kind::kDevice); });
}
cudaError_t cudaFreeHost(void* data) {
  return CudaRelease(__func__, [&] { return Release("cudaFreeHost", data, Memory::Kind::kPinned); });
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  return Cuda(__func__, InCapture::kAllowed, [&] {
    if (free == nullptr || total == nullptr) return cudaErrorInvalidValue;
    *free = TheState().memory->free_bytes();
    *total = TheState().device.memory_bytes;
    return cudaSuccess;
  });
}

cudaError_t cudaMemcpy(void* dst, const void* src, size_t bytes, cudaMemcpyKind kind) {
  return Cuda(__func__, InCapture::kForbidden, [&] {
    return CopyOn("cudaMemcpy", {dst, bytes, src, bytes, bytes, 1}, kind,
                  TheState().scheduler->Find(nullptr, "cudaMemcpy"), true);
  });
}
cudaError_t cudaMemcpyAsync(void* dst, const void* src, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t handle) {
  return Cuda(__func__, InCapture::kAllowed, [&] {
    Stream* stream = TheState().scheduler->Find(handle, "cudaMemcpyAsync");
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    return CopyOn("cudaMemcpyAsync", {dst, bytes, src, bytes, bytes, 1}, kind, stream, false);
  });
}
cudaError_t cudaMemcpy2DAsync(void* dst, size_t dst_pitch, const void* src, size_t src_pitch, size_t width,
                              size_t height, cudaMemcpyKind kind, cudaStream_t handle) {
  return Cuda(__func__, InCapture::kAllowed, [&] {
    Stream* stream = TheState().scheduler->Find(handle, "cudaMemcpy2DAsync");
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    return CopyOn("cudaMemcpy2DAsync", {dst, dst_pitch, src, src_pitch, width, height}, kind, stream, false);
  });
}
cudaError_t cudaMemset(void* data, int value, size_t bytes) {
  return Cuda(__func__, InCapture::kForbidden, [&] {
    return SetOn("cudaMemset", data, value, bytes, TheState().scheduler->Find(nullptr, "cudaMemset"), true);
  });
}
cudaError_t cudaMemsetAsync(void* data, int value, size_t bytes, cudaStream_t handle) {
  return Cuda(__func__, InCapture::kAllowed, [&] {
    Stream* stream = TheState().scheduler->Find(handle, "cudaMemsetAsync");
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    return SetOn("cudaMemsetAsync", data, value, bytes, stream, false);
  });
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* data) {
  return Cuda(__func__, InCapture::kAllowed, [&] {
    if (attributes == nullptr) return cudaErrorInvalidValue;
    *attributes = {};
    const Memory::Block* block = TheState().memory->Find(data);
    attributes->type = block == nullptr                       ? cudaMemoryTypeUnregistered
                       : block->kind == Memory::Kind::kDevice ? cudaMemoryTypeDevice
                                                              : cudaMemoryTypeHost;
    attributes->device = block == nullptr ? -2 : 0;
    if (block != nullptr) attributes->devicePointer = const_cast<void*>(data);
    if (block != nullptr && block->kind == Memory::Kind::kPinned)
      attributes->hostPointer = const_cast<void*>(data);
    return cudaSuccess;
  });
}
