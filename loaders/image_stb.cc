// PNG and BMP by stb_image, the only file that sees it. Debian's stb_image is behind upstream and has had
// memory errors in every release, so it is fenced in: only files that image_clean.cc has rewritten reach it,
// pixel counts are checked before, its memory is zeroed and comes out of a budget, and the Makefile makes an
// index past the end of an array in this file a trap.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

#include <fmt/format.h>

#include "loaders/image_internal.h"

namespace {

// 40 million pixels of 8-bit RGBA need 320 MB at once. stb_image's allocator has no argument to carry a
// budget in, hence the thread's own counter.
constexpr size_t kBudgetBytes = size_t{512} << 20;
thread_local size_t budget_used = 0;

// In front of each block: its size.
constexpr size_t kHeader = alignof(std::max_align_t);

void* StbMalloc(size_t bytes) {
  if (bytes > kBudgetBytes - budget_used) return nullptr;
  auto* block = static_cast<std::byte*>(std::calloc(1, bytes + kHeader));
  if (block == nullptr) return nullptr;
  std::memcpy(block, &bytes, sizeof bytes);
  budget_used += bytes;
  return block + kHeader;
}

void StbFree(void* pointer) {
  if (pointer == nullptr) return;
  std::byte* block = static_cast<std::byte*>(pointer) - kHeader;
  size_t bytes;
  std::memcpy(&bytes, block, sizeof bytes);
  budget_used -= bytes;
  std::free(block);
}

void* StbRealloc(void* pointer, size_t bytes) {
  void* moved = StbMalloc(bytes);
  if (moved == nullptr || pointer == nullptr) return moved;
  size_t old_bytes;
  std::memcpy(&old_bytes, static_cast<std::byte*>(pointer) - kHeader, sizeof old_bytes);
  std::memcpy(moved, pointer, std::min(bytes, old_bytes));
  StbFree(pointer);
  return moved;
}

}  // namespace

#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STBI_NO_HDR
#define STBI_NO_LINEAR
#define STBI_MAX_DIMENSIONS 16384
#define STBI_ASSERT(condition) ((void)0)
#define STBI_MALLOC(bytes) StbMalloc(bytes)
#define STBI_REALLOC(pointer, bytes) StbRealloc(pointer, bytes)
#define STBI_FREE(pointer) StbFree(pointer)
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#include <stb/stb_image.h>

namespace couplet::internal {
namespace {

constexpr size_t kMaxFileBytes = size_t{64} << 20;

uint8_t Blend(int value, int alpha, int background) {
  return static_cast<uint8_t>((value * alpha + background * (255 - alpha) + 127) / 255);
}

Status Failure(const char* format) {
  const char* said = stbi_failure_reason();
  const std::string_view reason = said != nullptr ? said : "no reason given";
  if (reason == "outofmem")
    return BadInput(fmt::format("{} that needs more than {} MiB to decode", format, kBudgetBytes >> 20));
  return BadInput(fmt::format("corrupt or unsupported {}: {}", format, reason));
}

Status DecodeClean(const char* format, Bytes clean, AlphaMode alpha, Image* image) {
  const int channels = alpha == AlphaMode::kDrop ? 3 : 4;
  const int length = static_cast<int>(clean.size());
  int width = 0, height = 0, in_file = 0;
  if (!stbi_info_from_memory(clean.data(), length, &width, &height, &in_file)) return Failure(format);
  const std::unique_ptr<stbi_uc, decltype(&StbFree)> decoded(
      stbi_load_from_memory(clean.data(), length, &width, &height, &in_file, channels), &StbFree);
  if (decoded == nullptr) return Failure(format);
  const size_t pixels = static_cast<size_t>(width) * static_cast<size_t>(height);
  image->pixels.resize(pixels * 3);
  if (channels == 3) {
    std::memcpy(image->pixels.data(), decoded.get(), pixels * 3);
  } else {
    const int background = alpha == AlphaMode::kWhite ? 255 : 0;
    const stbi_uc* in = decoded.get();
    for (size_t i = 0; i < pixels; ++i, in += 4)
      for (size_t c = 0; c < 3; ++c) image->pixels[i * 3 + c] = Blend(in[c], in[3], background);
  }
  image->entry.width = width;
  image->entry.height = height;
  return {};
}

Status CheckFileSize(const char* format, Bytes bytes) {
  if (bytes.size() <= kMaxFileBytes) return {};
  return BadInput(
      fmt::format("{} file of {} MB, over the limit of 64 MiB", format, bytes.size() / 1'000'000));
}

}  // namespace

Status DecodePng(Bytes bytes, const DecodeOptions& options, Image* image) {
  COUPLET_RETURN_IF_ERROR(CheckFileSize("PNG", bytes));
  COUPLET_ASSIGN_OR_RETURN(const std::vector<uint8_t> clean, CleanPng(bytes, options));
  return DecodeClean("PNG", clean, options.alpha, image);
}

Status DecodeBmp(Bytes bytes, const DecodeOptions& options, Image* image) {
  COUPLET_RETURN_IF_ERROR(CheckFileSize("BMP", bytes));
  COUPLET_ASSIGN_OR_RETURN(const std::vector<uint8_t> clean, CleanBmp(bytes, options));
  return DecodeClean("BMP", clean, options.alpha, image);
}

}  // namespace couplet::internal
