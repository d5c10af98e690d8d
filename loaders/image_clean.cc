// PNG and BMP files taken apart, checked, and put together again in the one form that stb_image gets to see.
// PNG: W3C "Portable Network Graphics", chapter 5. BMP: BITMAPFILEHEADER, BITMAPCOREHEADER, BITMAPINFOHEADER
// and V4.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "loaders/image_internal.h"

namespace couplet::internal {
namespace {

constexpr int kMaxSide = 16384;  // STBI_MAX_DIMENSIONS

Status CheckSides(const char* format, int64_t width, int64_t height, const DecodeOptions& options) {
  if (std::max(width, height) > kMaxSide)
    return BadInput(
        fmt::format("{} of {}x{} pixels, over the limit of {} a side", format, width, height, kMaxSide));
  return CheckPixels(format, width, height, std::min(options.max_pixels, options.max_pixels_buffered));
}

void AppendBytes(Bytes bytes, std::vector<uint8_t>* out) {
  out->insert(out->end(), bytes.begin(), bytes.end());
}
void AppendBe32(uint32_t value, std::vector<uint8_t>* out) {
  for (int shift = 24; shift >= 0; shift -= 8) out->push_back(static_cast<uint8_t>(value >> shift));
}
void AppendLe(uint32_t value, int bytes, std::vector<uint8_t>* out) {
  for (int i = 0; i < bytes; ++i) out->push_back(static_cast<uint8_t>(value >> (8 * i)));
}

// ---- PNG ----

constexpr uint32_t Tag(const char (&name)[5]) {
  return static_cast<uint32_t>(name[0]) << 24 | static_cast<uint32_t>(name[1]) << 16 |
         static_cast<uint32_t>(name[2]) << 8 | static_cast<uint32_t>(name[3]);
}

constexpr std::array<uint32_t, 256> MakeCrcTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = (c & 1) != 0 ? 0xedb88320u ^ c >> 1 : c >> 1;
    table[i] = c;
  }
  return table;
}

// PNG's CRC-32 (appendix D of the specification).
uint32_t Crc32(Bytes bytes) {
  static constexpr std::array<uint32_t, 256> kTable = MakeCrcTable();
  uint32_t crc = ~0u;
  for (const uint8_t byte : bytes) crc = kTable[(crc ^ byte) & 0xff] ^ crc >> 8;
  return ~crc;
}

// stb_image skips CRCs unread, so they stay zero.
void AppendChunk(uint32_t tag, Bytes payload, std::vector<uint8_t>* out) {
  AppendBe32(static_cast<uint32_t>(payload.size()), out);
  AppendBe32(tag, out);
  AppendBytes(payload, out);
  AppendBe32(0, out);
}

struct PngChunks {
  Bytes header, palette, transparency;
  std::vector<Bytes> data;
  size_t data_bytes = 0;
};

// One chunk at the front of `rest`, which is moved past it. Only critical chunks' CRCs matter, as in libpng.
struct PngChunk {
  uint32_t tag;
  Bytes payload;
};
Result<PngChunk> NextPngChunk(Bytes* rest) {
  if (rest->size() < 12) return BadInput("premature end of PNG data");
  const uint32_t length = LoadBe32(rest->data());
  const uint32_t tag = LoadBe32(rest->data() + 4);
  if (length > rest->size() - 12) return BadInput("premature end of PNG data");
  for (int shift = 0; shift < 32; shift += 8)
    if (const uint32_t letter = (tag >> shift & 0xff) | 0x20; letter < 'a' || letter > 'z')
      return BadInput("corrupt PNG: a chunk without a name");
  const bool critical = (tag >> 29 & 1) == 0;
  if (critical && Crc32(rest->subspan(4, length + 4)) != LoadBe32(rest->data() + 8 + length))
    return BadInput("corrupt PNG: a checksum does not match");
  const PngChunk chunk = {tag, rest->subspan(8, length)};
  *rest = rest->subspan(size_t{12} + length);
  return chunk;
}

Status CheckPngHeader(Bytes header, const DecodeOptions& options) {
  if (header.size() != 13) return BadInput("corrupt PNG: no proper IHDR chunk");
  const int depth = header[8], color = header[9];
  const bool known = color == 0   ? depth == 1 || depth == 2 || depth == 4 || depth == 8 || depth == 16
                     : color == 3 ? depth == 1 || depth == 2 || depth == 4 || depth == 8
                                  : (color == 2 || color == 4 || color == 6) && (depth == 8 || depth == 16);
  if (!known || header[10] != 0 || header[11] != 0 || header[12] > 1)
    return BadInput(fmt::format("corrupt PNG: colour type {} with {} bits", color, depth));
  return CheckSides("PNG", LoadBe32(&header[0]), LoadBe32(&header[4]), options);
}

Result<PngChunks> ReadPngChunks(Bytes bytes, const DecodeOptions& options) {
  PngChunks chunks;
  Bytes rest = bytes.subspan(8);
  while (true) {
    COUPLET_ASSIGN_OR_RETURN(const PngChunk chunk, NextPngChunk(&rest));
    if (chunks.header.empty()) {
      if (chunk.tag != Tag("IHDR")) return BadInput("corrupt PNG: no proper IHDR chunk");
      COUPLET_RETURN_IF_ERROR(CheckPngHeader(chunk.payload, options));
      chunks.header = chunk.payload;
    } else if (chunk.tag == Tag("PLTE") && chunks.palette.empty()) {
      chunks.palette = chunk.payload;
    } else if (chunk.tag == Tag("tRNS") && chunks.data.empty()) {
      chunks.transparency = chunk.payload;
    } else if (chunk.tag == Tag("IDAT")) {
      chunks.data.push_back(chunk.payload);
      chunks.data_bytes += chunk.payload.size();
    } else if (chunk.tag == Tag("IEND")) {
      break;
    } else if ((chunk.tag >> 29 & 1) == 0) {
      return BadInput("corrupt PNG: an unknown or repeated critical chunk");
    }
  }
  if (chunks.data_bytes == 0) return BadInput("corrupt PNG: no pixel data");
  return chunks;
}

// ---- BMP ----

struct BmpHeader {
  int64_t width = 0, rows = 0;
  bool top_down = false;
  uint32_t bits = 0, compression = 0;  // 0 none, 1 RLE8, 2 RLE4, 3 masks
  size_t data_offset = 0;
  Bytes palette;
  size_t palette_entry = 4;         // bytes
  std::array<uint32_t, 4> masks{};  // red, green, blue, alpha
};

Status CheckBmpForm(const BmpHeader& h, uint32_t header_bytes) {
  const bool plain = h.compression == 0 && (h.bits == 1 || h.bits == 4 || h.bits == 8 || h.bits == 16 ||
                                            h.bits == 24 || h.bits == 32);
  const bool rle = (h.compression == 1 && h.bits == 8) || (h.compression == 2 && h.bits == 4);
  const bool masked = h.compression == 3 && (h.bits == 16 || h.bits == 32) && header_bytes != 64;
  if (plain || masked || (rle && !h.top_down)) return {};
  return BadInput(fmt::format("unsupported BMP: {} bits a pixel with compression {}", h.bits, h.compression));
}

Result<BmpHeader> ReadBmpHeader(Bytes bytes) {
  const Status too_short = BadInput("premature end of BMP data");
  if (bytes.size() < 26) return too_short;
  BmpHeader h;
  h.data_offset = LoadLe32(&bytes[10]);
  const uint32_t header_bytes = LoadLe32(&bytes[14]);
  size_t palette_at = size_t{14} + header_bytes;
  size_t colors = 0;
  if (header_bytes == 12) {
    h.width = LoadLe16(&bytes[18]);
    h.rows = LoadLe16(&bytes[20]);
    h.bits = LoadLe16(&bytes[24]);
    h.palette_entry = 3;
  } else if (header_bytes == 40 || header_bytes == 52 || header_bytes == 56 || header_bytes == 64 ||
             header_bytes == 108 || header_bytes == 124) {
    if (bytes.size() < palette_at) return too_short;
    h.width = static_cast<int32_t>(LoadLe32(&bytes[18]));
    h.rows = static_cast<int32_t>(LoadLe32(&bytes[22]));
    h.bits = LoadLe16(&bytes[28]);
    h.compression = LoadLe32(&bytes[30]);
    colors = LoadLe32(&bytes[46]);
    h.top_down = h.rows < 0;
    if (h.top_down) h.rows = -h.rows;
    if (h.compression == 3 && header_bytes == 40) palette_at += 12;  // the masks follow the header
    if (bytes.size() < palette_at) return too_short;
    if (h.compression == 3)
      for (size_t i = 0; i < (header_bytes >= 56 ? 4u : 3u); ++i) h.masks[i] = LoadLe32(&bytes[54 + 4 * i]);
  } else {
    return BadInput(fmt::format("unsupported BMP: a header of {} bytes", header_bytes));
  }
  COUPLET_RETURN_IF_ERROR(CheckBmpForm(h, header_bytes));
  if (h.data_offset < palette_at) return BadInput("corrupt BMP: pixels begin inside the header");
  if (h.data_offset > bytes.size()) return too_short;
  if (h.bits <= 8) {
    if (colors == 0 || colors > 256) colors = size_t{1} << h.bits;
    colors = std::min(colors, (h.data_offset - palette_at) / h.palette_entry);
    h.palette = bytes.subspan(palette_at, colors * h.palette_entry);
  }
  return h;
}

// RLE8 and RLE4 into one byte a pixel, rows from the bottom as in the file. What the file skips stays 0.
Status ExpandRle(Bytes data, const BmpHeader& h, uint8_t* indices) {
  int64_t x = 0, y = 0;
  const auto put = [&](uint32_t index) {
    if (x < h.width && y < h.rows) indices[y * h.width + x] = static_cast<uint8_t>(index);
    ++x;
  };
  const auto half = [&](uint8_t byte, int i) -> uint32_t { return i % 2 == 0 ? byte >> 4 : byte & 15; };
  size_t at = 0;
  // The last row may lack its end marks.
  const auto complete = [&] { return y >= h.rows || (y == h.rows - 1 && x >= h.width); };
  while (at + 2 <= data.size()) {
    const int count = data[at], value = data[at + 1];
    at += 2;
    if (count > 0) {
      for (int i = 0; i < count; ++i) put(h.bits == 8 ? value : half(static_cast<uint8_t>(value), i));
    } else if (value == 0) {
      x = 0;
      ++y;
    } else if (value == 1) {
      return {};
    } else if (value == 2) {
      if (at + 2 > data.size()) break;
      x += data[at];
      y += data[at + 1];
      at += 2;
    } else {
      const size_t bytes = h.bits == 8 ? value : (value + 1) / 2;
      if (at + bytes > data.size()) break;
      for (int i = 0; i < value; ++i) put(h.bits == 8 ? data[at + i] : half(data[at + i / 2], i));
      at += bytes + bytes % 2;
    }
  }
  return complete() ? Status() : BadInput("premature end of BMP data");
}

// File header and info header (V4 for true colour, which has room for the masks), then 256 palette entries.
std::vector<uint8_t> CleanBmpHead(const BmpHeader& h) {
  const bool indexed = h.bits <= 8;
  const uint32_t header_bytes = indexed ? 40 : 108;
  const bool rle = h.compression == 1 || h.compression == 2;
  std::vector<uint8_t> out = {'B', 'M', 0, 0, 0, 0, 0, 0, 0, 0};
  AppendLe(14 + header_bytes + (indexed ? 1024 : 0), 4, &out);
  AppendLe(header_bytes, 4, &out);
  AppendLe(static_cast<uint32_t>(h.width), 4, &out);
  AppendLe(static_cast<uint32_t>(h.top_down ? -h.rows : h.rows), 4, &out);
  AppendLe(1, 2, &out);
  AppendLe(rle ? 8 : h.bits, 2, &out);
  AppendLe(rle ? 0 : h.compression, 4, &out);
  out.resize(54);
  if (!indexed) {
    for (const uint32_t mask : h.masks) AppendLe(mask, 4, &out);
    out.resize(122);
    return out;
  }
  for (size_t at = 0; at < h.palette.size(); at += h.palette_entry) {
    AppendBytes(h.palette.subspan(at, 3), &out);
    out.push_back(0);
  }
  out.resize(54 + 1024);
  return out;
}

}  // namespace

Result<std::vector<uint8_t>> CleanPng(Bytes bytes, const DecodeOptions& options) {
  COUPLET_ASSIGN_OR_RETURN(const PngChunks chunks, ReadPngChunks(bytes, options));
  std::vector<uint8_t> out;
  out.reserve(chunks.data_bytes + 2048);
  AppendBytes(bytes.first(8), &out);
  AppendChunk(Tag("IHDR"), chunks.header, &out);
  if (chunks.header[9] == 3) {
    if (chunks.palette.empty() || chunks.palette.size() > 768 || chunks.palette.size() % 3 != 0)
      return BadInput("corrupt PNG: no proper palette");
    std::array<uint8_t, 768> palette{};
    std::copy(chunks.palette.begin(), chunks.palette.end(), palette.begin());
    AppendChunk(Tag("PLTE"), palette, &out);
  }
  if (options.alpha != AlphaMode::kDrop && !chunks.transparency.empty() && chunks.header[9] < 4)
    AppendChunk(Tag("tRNS"), chunks.transparency, &out);
  AppendBe32(static_cast<uint32_t>(chunks.data_bytes), &out);
  AppendBe32(Tag("IDAT"), &out);
  for (const Bytes data : chunks.data) AppendBytes(data, &out);
  AppendBe32(0, &out);
  AppendChunk(Tag("IEND"), {}, &out);
  return out;
}

Result<std::vector<uint8_t>> CleanBmp(Bytes bytes, const DecodeOptions& options) {
  COUPLET_ASSIGN_OR_RETURN(const BmpHeader h, ReadBmpHeader(bytes));
  COUPLET_RETURN_IF_ERROR(CheckSides("BMP", h.width, h.rows, options));
  std::vector<uint8_t> out = CleanBmpHead(h);
  const Bytes data = bytes.subspan(h.data_offset);
  const auto width = static_cast<size_t>(h.width), rows = static_cast<size_t>(h.rows);
  const size_t head = out.size();
  if (h.compression == 1 || h.compression == 2) {
    std::vector<uint8_t> indices(width * rows);
    COUPLET_RETURN_IF_ERROR(ExpandRle(data, h, indices.data()));
    const size_t stride = (width + 3) / 4 * 4;
    out.resize(head + stride * rows);
    for (size_t y = 0; y < rows; ++y) std::memcpy(&out[head + y * stride], &indices[y * width], width);
    return out;
  }
  const size_t stride = (width * h.bits + 31) / 32 * 4;
  if (data.size() < stride * rows) return BadInput("premature end of BMP data");
  AppendBytes(data.first(stride * rows), &out);
  return out;
}

}  // namespace couplet::internal
