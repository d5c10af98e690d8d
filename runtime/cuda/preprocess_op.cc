// SPDX-License-Identifier: Apache-2.0
#include "runtime/cuda/preprocess_op.h"

#include <cuda_fp16.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

#include "kernels/preprocess.h"
#include "kernels/preprocess_first_conv.h"

namespace couplet::cuda {
namespace {

// The runtime's table is the kernel's table.
static_assert(sizeof(PhotoEntry) == sizeof(ImageEntry) &&
              offsetof(PhotoEntry, width) == offsetof(ImageEntry, width) &&
              offsetof(PhotoEntry, height) == offsetof(ImageEntry, height) &&
              offsetof(PhotoEntry, offset) == offsetof(ImageEntry, offset) &&
              offsetof(PhotoEntry, paired_rows) == offsetof(ImageEntry, paired_rows));

// Scratch for packed photos, beyond which a batch is cut: 256 photos of 500 x 333 are 128 MB, and of one photo the
// decoder keeps two rows of it for each row of the network's.
constexpr size_t kPhotoBytes = 600 << 10;
constexpr size_t kWidestPhoto = 4096;

// The convolution that is done in the same kernel; oc = 0: none.
struct Convolution {
  FirstConvShape shape{};
  DeviceBuffer weights, bias;  // bias empty: none
};

class State final : public OpState {
 public:
  DeviceBuffer wide;   // for a photo that neither scratch nor page-locked memory holds
  PinnedBuffer table;  // of a batch, offsets from the start of its part
  Status made;         // what came of making the table
};

class PreprocessOp final : public Op {
 public:
  PreprocessOp(const Device& device, std::string layer, const Shape& dst, const Normalization& normalization,
               int max_batch, Convolution conv)
      : Op(device, std::move(layer)), conv_(std::move(conv)), max_batch_(max_batch) {
    shape_.oh = dst.h, shape_.ow = dst.w, shape_.dst_stride = dst.c;
    shape_.mean = normalization.mean, shape_.std = normalization.std;
    shape_.divide = normalization.mode == Normalization::Mode::kDivide;
  }
  size_t scratch_bytes() const override { return TableBytes() + BytesLimit(); }
  std::unique_ptr<OpState> make_state() const override {
    auto state = std::make_unique<State>();
    auto table = PinnedBuffer::Allocate(TableBytes());
    if (table.ok()) state->table = std::move(*table);
    state->made = table.status();
    return state;
  }

 protected:
  Status Run(const RunArgs& args, Worker& worker) const override;

 private:
  // Photos [first, last) of a batch: their bytes lie in [begin, end) of it.
  struct Part {
    int first, last;
    size_t begin, end;
  };
  size_t TableBytes() const { return Aligned(static_cast<size_t>(max_batch_) * sizeof(PhotoEntry)); }
  size_t BytesLimit() const {
    const size_t one = 2 * static_cast<size_t>(shape_.oh) * kWidestPhoto * 3;
    return std::max(one, static_cast<size_t>(max_batch_) * kPhotoBytes);
  }
  Part NextPart(const ImageBatch& images, int first, int n) const;
  Status RunPart(const RunArgs& args, const Part& part, State* state, cudaStream_t stream) const;
  Status Queue(const RunArgs& args, const Part& part, const uint8_t* bytes, const PhotoEntry* photos,
               cudaStream_t stream) const;
  template <class T>
  Status Queue(int n, const uint8_t* bytes, const PhotoEntry* photos, T* dst, cudaStream_t stream) const;
  int64_t DstPhoto() const {  // elements
    if (conv_.shape.oc == 0) return int64_t{shape_.oh} * shape_.ow * shape_.dst_stride;
    const FirstConvShape& c = conv_.shape;
    return int64_t{c.oh} * c.ow * (c.dst_stride != 0 ? c.dst_stride : c.oc);
  }

  PreprocessShape shape_;
  const Convolution conv_;
  int max_batch_;
};

PreprocessOp::Part PreprocessOp::NextPart(const ImageBatch& images, int first, int n) const {
  Part part{first, first, SIZE_MAX, 0};
  for (; part.last < n; ++part.last) {
    const ImageEntry& image = images.images[static_cast<size_t>(part.last)];
    const size_t begin = std::min(part.begin, image.offset);
    const size_t end = std::max(part.end, image.offset + StoredBytes(image));
    if (end - begin > BytesLimit() && part.last != first) break;
    part.begin = begin, part.end = end;
  }
  return part;
}

Status PreprocessOp::RunPart(const RunArgs& args, const Part& part, State* state, cudaStream_t stream) const {
  auto* const table = state->table.as<PhotoEntry>();
  for (int i = part.first; i < part.last; ++i) {
    const ImageEntry& image = args.images->images[static_cast<size_t>(i)];
    table[i] = {image.width, image.height, image.offset - part.begin, image.paired_rows};
  }
  const size_t count = static_cast<size_t>(part.last - part.first), size = part.end - part.begin;
  const uint8_t* const source = args.images->bytes.data() + part.begin;
  // A GPU that shares the host's memory reads both where they lie; any other does so where scratch does not hold a photo.
  const bool in_place = device().integrated() || size > BytesLimit();
  const void* const mapped = in_place ? device().Mapped(source) : nullptr;
  const void* const mapped_table = mapped != nullptr ? device().Mapped(table + part.first) : nullptr;
  if (mapped_table != nullptr)
    return Queue(args, part, static_cast<const uint8_t*>(mapped), static_cast<const PhotoEntry*>(mapped_table), stream);
  auto* const photos = static_cast<PhotoEntry*>(args.scratch) + part.first;
  auto* bytes = static_cast<uint8_t*>(args.scratch) + TableBytes();
  if (size > BytesLimit()) {
    if (state->wide.bytes() < size) {
      state->wide = DeviceBuffer();  // first let go, then take more; cudaFree waits for whoever reads it
      COUPLET_ASSIGN_OR_RETURN(state->wide, device().Allocate(size));
    }
    bytes = state->wide.as<uint8_t>();
  }
  COUPLET_DEVICE_RETURN(cudaMemcpyAsync(bytes, source, size, cudaMemcpyHostToDevice, stream));
  COUPLET_DEVICE_RETURN(cudaMemcpyAsync(photos, table + part.first, count * sizeof(PhotoEntry),
                                        cudaMemcpyHostToDevice, stream));
  return Queue(args, part, bytes, photos, stream);
}

Status PreprocessOp::Queue(const RunArgs& args, const Part& part, const uint8_t* bytes, const PhotoEntry* photos,
                           cudaStream_t stream) const {
  const int n = part.last - part.first;
  void* const first = Photo(args.dst, part.first, DstPhoto(), device().element_bytes());
  return device().half() ? Queue(n, bytes, photos, static_cast<__half*>(first), stream)
                         : Queue(n, bytes, photos, static_cast<float*>(first), stream);
}

template <class T>
Status PreprocessOp::Queue(int n, const uint8_t* bytes, const PhotoEntry* photos, T* dst,
                           cudaStream_t stream) const {
  PreprocessShape shape = shape_;
  shape.n = n;
  if (conv_.shape.oc == 0) {
    COUPLET_DEVICE_RETURN(LaunchPreprocess(shape, bytes, photos, dst, stream));
    return {};
  }
  FirstConvShape conv = conv_.shape;
  conv.n = n;
  COUPLET_DEVICE_RETURN(LaunchPreprocessFirstConv(shape, conv, bytes, photos, conv_.weights.as<const float>(),
                                                  conv_.bias.as<const float>(), dst, stream));
  return {};
}

Status PreprocessOp::Run(const RunArgs& args, Worker& worker) const {
  const ImageBatch& images = *args.images;
  for (int i = 0; i < args.n; ++i)
    COUPLET_RETURN_IF_ERROR(CheckImage(images, static_cast<size_t>(i), shape_.oh));
  auto& state = static_cast<State&>(*args.state);
  COUPLET_RETURN_IF_ERROR(state.made);
  // The memory is the last part's until that has been read: copies wait in the stream.
  for (int first = 0; first < args.n;) {
    const Part part = NextPart(images, first, args.n);
    COUPLET_RETURN_IF_ERROR(RunPart(args, part, &state, worker.stream()));
    first = part.last;
  }
  return {};
}

}  // namespace

OpResult MakePreprocess(const Device& device, const std::string& layer, const Shape& dst,
                        const Normalization& normalization, int max_batch) {
  return std::unique_ptr<PreparedOp>(
      std::make_unique<PreprocessOp>(device, layer, dst, normalization, max_batch, Convolution{}));
}

OpResult MakePreprocessFirstConv(const Device& device, const std::string& layers, const Shape& input,
                                 const Normalization& normalization, int max_batch, const FirstConvShape& conv,
                                 const std::vector<float>& weights, const std::vector<float>& bias) {
  Convolution tail;
  tail.shape = conv;
  COUPLET_ASSIGN_OR_RETURN(tail.weights, device.UploadFloats(weights));
  COUPLET_ASSIGN_OR_RETURN(tail.bias, device.UploadFloats(bias));
  return std::unique_ptr<PreparedOp>(
      std::make_unique<PreprocessOp>(device, layers, input, normalization, max_batch, std::move(tail)));
}

}  // namespace couplet::cuda
