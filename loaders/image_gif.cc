// The first frame of a GIF by giflib, on its canvas: what the frame does not cover and what is transparent is
// black (TensorFlow's decode_gif), or white with AlphaMode::kWhite. Later frames are not read.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <gif_lib.h>

#include "loaders/image_internal.h"

namespace couplet::internal {
namespace {

int ReadFromMemory(GifFileType* gif, GifByteType* out, int count) {
  auto* rest = static_cast<Bytes*>(gif->UserData);
  const size_t bytes = std::min(rest->size(), static_cast<size_t>(std::max(count, 0)));
  std::memcpy(out, rest->data(), bytes);
  *rest = rest->subspan(bytes);
  return static_cast<int>(bytes);
}

class GifDecoder {
 public:
  explicit GifDecoder(Bytes bytes) : rest_(bytes) { gif_ = DGifOpen(&rest_, ReadFromMemory, &error_); }
  ~GifDecoder() {
    if (gif_ != nullptr) DGifCloseFile(gif_, nullptr);
  }
  GifDecoder(const GifDecoder&) = delete;
  GifDecoder& operator=(const GifDecoder&) = delete;

  Status Decode(const DecodeOptions& options, Image* image);

 private:
  Status FindFirstFrame();
  Status ReadExtension();
  Status Paint(int width, AlphaMode alpha, uint8_t* pixels);
  Status Failure() const;

  Bytes rest_;
  int error_ = 0;
  GifFileType* gif_ = nullptr;
  int transparent_ = NO_TRANSPARENT_COLOR;
};

Status GifDecoder::Failure() const {
  const int code = gif_ != nullptr ? gif_->Error : error_;
  if (rest_.empty()) return BadInput("premature end of GIF data");
  const char* text = GifErrorString(code);
  return BadInput(fmt::format("corrupt GIF: {}", text != nullptr ? text : "no reason given"));
}

Status GifDecoder::ReadExtension() {
  int code = 0;
  GifByteType* block = nullptr;  // its length, then its bytes; null after the last
  if (DGifGetExtension(gif_, &code, &block) == GIF_ERROR) return Failure();
  if (code == GRAPHICS_EXT_FUNC_CODE && block != nullptr) {
    GraphicsControlBlock control;
    if (DGifExtensionToGCB(block[0], block + 1, &control) == GIF_OK) transparent_ = control.TransparentColor;
  }
  while (block != nullptr)
    if (DGifGetExtensionNext(gif_, &block) == GIF_ERROR) return Failure();
  return {};
}

Status GifDecoder::FindFirstFrame() {
  while (true) {
    GifRecordType record;
    if (DGifGetRecordType(gif_, &record) == GIF_ERROR) return Failure();
    if (record == TERMINATE_RECORD_TYPE) return BadInput("GIF without a frame");
    if (record == EXTENSION_RECORD_TYPE) {
      COUPLET_RETURN_IF_ERROR(ReadExtension());
    } else if (record == IMAGE_DESC_RECORD_TYPE) {
      return DGifGetImageDesc(gif_) == GIF_ERROR ? Failure() : Status();
    }
  }
}

Status GifDecoder::Paint(int width, AlphaMode alpha, uint8_t* pixels) {
  const GifImageDesc& frame = gif_->Image;
  const ColorMapObject* colors = frame.ColorMap != nullptr ? frame.ColorMap : gif_->SColorMap;
  if (colors == nullptr) return BadInput("corrupt GIF: no colour table");
  const GifColorType background =
      alpha == AlphaMode::kWhite ? GifColorType{255, 255, 255} : GifColorType{0, 0, 0};
  std::vector<GifPixelType> row(static_cast<size_t>(frame.Width));
  const int steps[] = {8, 8, 4, 2}, starts[] = {0, 4, 2, 1};  // of an interlaced frame's passes
  const int passes = frame.Interlace ? 4 : 1;
  for (int pass = 0; pass < passes; ++pass) {
    const int step = frame.Interlace ? steps[pass] : 1;
    for (int y = frame.Interlace ? starts[pass] : 0; y < frame.Height; y += step) {
      if (DGifGetLine(gif_, row.data(), frame.Width) == GIF_ERROR) return Failure();
      uint8_t* out = pixels + (static_cast<size_t>(frame.Top + y) * width + frame.Left) * 3;
      for (const int index : row) {
        if (index != transparent_ && index >= colors->ColorCount)
          return BadInput(fmt::format("corrupt GIF: colour {} of {}", index, colors->ColorCount));
        const GifColorType& color = index == transparent_ ? background : colors->Colors[index];
        *out++ = color.Red;
        *out++ = color.Green;
        *out++ = color.Blue;
      }
    }
  }
  return {};
}

Status GifDecoder::Decode(const DecodeOptions& options, Image* image) {
  if (gif_ == nullptr) return Failure();
  COUPLET_RETURN_IF_ERROR(FindFirstFrame());
  const GifImageDesc& frame = gif_->Image;
  // Some files have a canvas of 0x0 or one smaller than the frame: then it grows, as browsers do.
  const int width = std::max(gif_->SWidth, frame.Left + frame.Width);
  const int height = std::max(gif_->SHeight, frame.Top + frame.Height);
  COUPLET_RETURN_IF_ERROR(CheckPixels("GIF", frame.Width, frame.Height, options.max_pixels));
  COUPLET_RETURN_IF_ERROR(
      CheckPixels("GIF", width, height, std::min(options.max_pixels, options.max_pixels_buffered)));
  const size_t bytes = static_cast<size_t>(width) * static_cast<size_t>(height) * 3;
  image->pixels.resize(bytes);
  if (frame.Width != width || frame.Height != height)
    std::memset(image->pixels.data(), options.alpha == AlphaMode::kWhite ? 255 : 0, bytes);
  COUPLET_RETURN_IF_ERROR(Paint(width, options.alpha, image->pixels.data()));
  image->entry.width = width;
  image->entry.height = height;
  return {};
}

}  // namespace

Status DecodeGif(Bytes bytes, const DecodeOptions& options, Image* image) {
  constexpr size_t kMaxFileBytes = size_t{64} << 20;
  // Only the first frame is read, wherever the file ends; cut first frames are errors.
  return GifDecoder(bytes.first(std::min(bytes.size(), kMaxFileBytes))).Decode(options, image);
}

}  // namespace couplet::internal
