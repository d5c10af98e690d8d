// SPDX-License-Identifier: Apache-2.0
#include "runtime/cuda/preprocess_op.h"

#include <cuda_fp16.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

#include "kernels/preprocess.h"

namespace couplet::cuda {
namespace {

// The runtime's table is the kernel's table.
static_assert(sizeof(PhotoEntry) == sizeof(ImageEntry) &&
              offsetof(PhotoEntry, width) == offsetof(ImageEntry, width) &&
              offsetof(PhotoEntry, height) == offsetof(ImageEntry, height) &&
              offsetof(PhotoEntry, offset) == offsetof(ImageEntry, offset) &&
              offsetof(PhotoEntry, paired_rows) == offsetof(ImageEntry, paired_rows));

// Device memory for packed photos beyond which a batch is cut: 256 photos of 500 x 333 are 128 MB.
constexpr size_t kBytesLimit = size_t{256} << 20;

class State final : public OpState {
 public:
  DeviceBuffer bytes, photos;
  PinnedBuffer table;  // of a batch, offsets from the start of its part
};

class PreprocessOp final : public Op {
 public:
  PreprocessOp(const Device& device, std::string layer, const Shape& dst, const Normalization& normalization,
               int max_batch)
      : Op(device, std::move(layer)), max_batch_(max_batch) {
    shape_.oh = dst.h, shape_.ow = dst.w, shape_.dst_stride = dst.c;
    shape_.mean = normalization.mean, shape_.std = normalization.std;
    shape_.divide = normalization.mode == Normalization::Mode::kDivide;
  }
  std::unique_ptr<OpState> make_state() const override { return std::make_unique<State>(); }

 protected:
  Status Run(const RunArgs& args, Worker& worker) const override;

 private:
  // Photos [first, last) of a batch: their bytes lie in [begin, end) of it.
  struct Part {
    int first, last;
    size_t begin, end;
  };
  static Part NextPart(const ImageBatch& images, int first, int n);
  Status Reserve(State* state, size_t bytes) const;
  Status RunPart(const ImageBatch& images, const Part& part, void* dst, State* state,
                 cudaStream_t stream) const;

  PreprocessShape shape_;
  int max_batch_;
};

PreprocessOp::Part PreprocessOp::NextPart(const ImageBatch& images, int first, int n) {
  Part part{first, first, SIZE_MAX, 0};
  for (; part.last < n; ++part.last) {
    const ImageEntry& image = images.images[static_cast<size_t>(part.last)];
    const size_t begin = std::min(part.begin, image.offset);
    const size_t end = std::max(part.end, image.offset + StoredBytes(image));
    if (end - begin > kBytesLimit && part.last != first) break;
    part.begin = begin, part.end = end;
  }
  return part;
}

Status PreprocessOp::Reserve(State* state, size_t bytes) const {
  const size_t table_bytes = static_cast<size_t>(max_batch_) * sizeof(PhotoEntry);
  if (state->table.bytes() == 0) {
    COUPLET_ASSIGN_OR_RETURN(state->photos, device().Allocate(table_bytes));
    COUPLET_ASSIGN_OR_RETURN(state->table, PinnedBuffer::Allocate(table_bytes));
  }
  if (state->bytes.bytes() >= bytes) return {};
  state->bytes = DeviceBuffer();  // first let go, then take more
  // A little more than asked for: the next batch is seldom smaller in every photo.
  COUPLET_ASSIGN_OR_RETURN(state->bytes, device().Allocate(bytes + bytes / 4));
  return {};
}

Status PreprocessOp::RunPart(const ImageBatch& images, const Part& part, void* dst, State* state,
                             cudaStream_t stream) const {
  auto* const table = state->table.as<PhotoEntry>();
  for (int i = part.first; i < part.last; ++i) {
    const ImageEntry& image = images.images[static_cast<size_t>(i)];
    table[i] = {image.width, image.height, image.offset - part.begin, image.paired_rows};
  }
  const size_t count = static_cast<size_t>(part.last - part.first);
  PhotoEntry* const photos = state->photos.as<PhotoEntry>() + part.first;
  COUPLET_DEVICE_RETURN(cudaMemcpyAsync(state->bytes.data(), images.bytes.data() + part.begin,
                                        part.end - part.begin, cudaMemcpyHostToDevice, stream));
  COUPLET_DEVICE_RETURN(cudaMemcpyAsync(photos, table + part.first, count * sizeof(PhotoEntry),
                                        cudaMemcpyHostToDevice, stream));
  PreprocessShape shape = shape_;
  shape.n = static_cast<int>(count);
  const auto* bytes = state->bytes.as<const uint8_t>();
  void* const first =
      Photo(dst, part.first, int64_t{shape.oh} * shape.ow * shape.dst_stride, device().element_bytes());
  if (device().half()) {
    COUPLET_DEVICE_RETURN(LaunchPreprocess(shape, bytes, photos, static_cast<__half*>(first), stream));
  } else {
    COUPLET_DEVICE_RETURN(LaunchPreprocess(shape, bytes, photos, static_cast<float*>(first), stream));
  }
  return {};
}

Status PreprocessOp::Run(const RunArgs& args, Worker& worker) const {
  const ImageBatch& images = *args.images;
  for (int i = 0; i < args.n; ++i)
    COUPLET_RETURN_IF_ERROR(CheckImage(images, static_cast<size_t>(i), shape_.oh));
  auto& state = static_cast<State&>(*args.state);
  for (int first = 0; first < args.n;) {
    const Part part = NextPart(images, first, args.n);
    // The memory is the last part's until that has been read; cudaFree in Reserve waits, and copies wait in
    // the stream.
    COUPLET_RETURN_IF_ERROR(Reserve(&state, part.end - part.begin));
    COUPLET_RETURN_IF_ERROR(RunPart(images, part, args.dst, &state, worker.stream()));
    first = part.last;
  }
  return {};
}

}  // namespace

OpResult MakePreprocess(const Device& device, const std::string& layer, const Shape& dst,
                        const Normalization& normalization, int max_batch) {
  return std::unique_ptr<PreparedOp>(
      std::make_unique<PreprocessOp>(device, layer, dst, normalization, max_batch));
}

}  // namespace couplet::cuda
