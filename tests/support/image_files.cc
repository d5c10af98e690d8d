// SPDX-License-Identifier: Apache-2.0
#include "tests/support/image_files.h"

#include <algorithm>
#include <cstdio>  // jpeglib.h needs it
#include <cstdlib>
#include <random>

#include <jpeglib.h>

namespace couplet::test {
namespace {

void Append(std::span<const uint8_t> bytes, Bytes* out) {
  out->insert(out->end(), bytes.begin(), bytes.end());
}
void AppendText(const char* text, Bytes* out) {
  for (; *text != '\0'; ++text) out->push_back(static_cast<uint8_t>(*text));
}
void AppendBe(uint32_t value, int bytes, Bytes* out) {
  for (int i = bytes - 1; i >= 0; --i) out->push_back(static_cast<uint8_t>(value >> (8 * i)));
}
void AppendLe(uint32_t value, int bytes, Bytes* out) {
  for (int i = 0; i < bytes; ++i) out->push_back(static_cast<uint8_t>(value >> (8 * i)));
}

void AppendChunk(const char* name, std::span<const uint8_t> payload, Bytes* out) {
  AppendBe(static_cast<uint32_t>(payload.size()), 4, out);
  const size_t from = out->size();
  AppendText(name, out);
  Append(payload, out);
  AppendBe(Crc32(std::span(*out).subspan(from)), 4, out);
}

// A zlib stream of stored blocks.
Bytes Store(std::span<const uint8_t> data) {
  Bytes out = {0x78, 0x01};
  uint32_t a = 1, b = 0;
  for (const uint8_t byte : data) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  for (size_t at = 0; at < data.size() || at == 0;) {
    const size_t length = std::min<size_t>(data.size() - at, 65535);
    out.push_back(at + length == data.size() ? 1 : 0);
    AppendLe(static_cast<uint32_t>(length), 2, &out);
    AppendLe(~static_cast<uint32_t>(length), 2, &out);
    Append(data.subspan(at, length), &out);
    at += std::max<size_t>(length, 1);
  }
  AppendBe(b << 16 | a, 4, &out);
  return out;
}

// GIF's LZW with codes that never grow: the table is cleared before it would.
Bytes GifCodes(std::span<const uint8_t> indices) {
  Bytes codes;
  uint32_t held = 0;
  int bits = 0;
  const auto put = [&](uint32_t code) {
    held |= code << bits;
    for (bits += 4; bits >= 8; bits -= 8, held >>= 8) codes.push_back(static_cast<uint8_t>(held));
  };
  for (size_t i = 0; i < indices.size(); ++i) {
    if (i % 6 == 0) put(8);  // clear
    put(indices[i]);
  }
  put(9);  // end
  if (bits > 0) codes.push_back(static_cast<uint8_t>(held));
  return codes;
}

}  // namespace

uint32_t Crc32(std::span<const uint8_t> bytes) {
  uint32_t crc = ~0u;
  for (const uint8_t byte : bytes) {
    crc ^= byte;
    for (int i = 0; i < 8; ++i) crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1)));
  }
  return ~crc;
}

Bytes NoisyPixels(int width, int height, int channels, uint32_t seed) {
  std::mt19937 random(seed);
  Bytes pixels;
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < channels; ++c)
        pixels.push_back(
            static_cast<uint8_t>((x * 3 + y * 5 + c * 70 + static_cast<int>(random() % 64)) % 256));
  return pixels;
}

Bytes MakeExif(int orientation, bool little_endian) {
  Bytes out = {'E', 'x', 'i', 'f', 0, 0};
  const auto put = [&](uint32_t value, int bytes) {
    little_endian ? AppendLe(value, bytes, &out) : AppendBe(value, bytes, &out);
  };
  AppendText(little_endian ? "II" : "MM", &out);
  put(42, 2);
  put(8, 4);
  put(2, 2);
  for (const auto& [tag, value] : {std::pair{0x0100, 7}, std::pair{0x0112, orientation}}) {
    put(static_cast<uint32_t>(tag), 2);
    put(3, 2);
    put(1, 4);
    put(static_cast<uint32_t>(value), 2);
    put(0, 2);
  }
  put(0, 4);
  return out;
}

Bytes MakeJpeg(std::span<const uint8_t> pixels, int width, int height, const JpegForm& form) {
  jpeg_compress_struct cinfo{};
  jpeg_error_mgr errors;  // its default ends the program, which is right for a test's own mistake
  cinfo.err = jpeg_std_error(&errors);
  jpeg_create_compress(&cinfo);
  unsigned char* buffer = nullptr;
  unsigned long length = 0;
  jpeg_mem_dest(&cinfo, &buffer, &length);
  cinfo.image_width = static_cast<JDIMENSION>(width);
  cinfo.image_height = static_cast<JDIMENSION>(height);
  cinfo.input_components = form.components;
  cinfo.in_color_space = form.components == 1 ? JCS_GRAYSCALE : form.components == 3 ? JCS_RGB : JCS_CMYK;
  jpeg_set_defaults(&cinfo);
  jpeg_set_quality(&cinfo, form.quality, TRUE);
  if (form.progressive) jpeg_simple_progression(&cinfo);
  if (form.components == 3)
    cinfo.comp_info[0].h_samp_factor = cinfo.comp_info[0].v_samp_factor = form.sampling;
  if (form.components == 4 && !form.adobe) cinfo.write_Adobe_marker = FALSE;
  jpeg_start_compress(&cinfo, TRUE);
  if (form.orientation > 0) {
    const Bytes exif = MakeExif(form.orientation);
    jpeg_write_marker(&cinfo, JPEG_APP0 + 1, exif.data(), static_cast<unsigned>(exif.size()));
  }
  const size_t stride = static_cast<size_t>(width) * static_cast<size_t>(form.components);
  while (cinfo.next_scanline < cinfo.image_height) {
    JSAMPROW row = const_cast<uint8_t*>(pixels.data()) + stride * cinfo.next_scanline;
    jpeg_write_scanlines(&cinfo, &row, 1);
  }
  jpeg_finish_compress(&cinfo);
  jpeg_destroy_compress(&cinfo);
  const Bytes out(buffer, buffer + length);
  std::free(buffer);
  return out;
}

Bytes MakePng(std::span<const uint8_t> rows, int width, int height, const PngForm& form) {
  Bytes out = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  Bytes header;
  AppendBe(static_cast<uint32_t>(width), 4, &header);
  AppendBe(static_cast<uint32_t>(height), 4, &header);
  for (const int value : {form.depth, form.color_type, 0, 0, 0})
    header.push_back(static_cast<uint8_t>(value));
  AppendChunk("IHDR", header, &out);
  if (form.extra_chunks) AppendChunk("teST", header, &out);
  if (!form.palette.empty()) AppendChunk("PLTE", form.palette, &out);
  if (!form.transparency.empty()) AppendChunk("tRNS", form.transparency, &out);
  const size_t stride = height > 0 ? rows.size() / static_cast<size_t>(height) : 0;
  Bytes filtered;
  for (int y = 0; y < height; ++y) {
    filtered.push_back(0);
    Append(rows.subspan(static_cast<size_t>(y) * stride, stride), &filtered);
  }
  const Bytes stored = Store(filtered);
  const size_t first = form.extra_chunks ? stored.size() / 2 : stored.size();
  AppendChunk("IDAT", std::span(stored).first(first), &out);
  if (form.extra_chunks) AppendChunk("IDAT", std::span(stored).subspan(first), &out);
  AppendChunk("IEND", {}, &out);
  return out;
}

Bytes MakeBmp(std::span<const uint8_t> data, int width, int height, const BmpForm& form) {
  const bool os2 = form.header_bytes == 12;
  const size_t after = form.compression == 3 && form.header_bytes == 40 ? 12 : 0;
  const size_t offset = 14 + form.header_bytes + after + form.palette.size() + static_cast<size_t>(form.gap);
  Bytes out = {'B', 'M'};
  AppendLe(static_cast<uint32_t>(offset + data.size()), 4, &out);
  AppendLe(0, 4, &out);
  AppendLe(static_cast<uint32_t>(offset), 4, &out);
  AppendLe(form.header_bytes, 4, &out);
  AppendLe(static_cast<uint32_t>(width), os2 ? 2 : 4, &out);
  AppendLe(static_cast<uint32_t>(form.top_down ? -height : height), os2 ? 2 : 4, &out);
  AppendLe(1, 2, &out);
  AppendLe(static_cast<uint32_t>(form.bits), 2, &out);
  if (!os2) {
    AppendLe(form.compression, 4, &out);
    AppendLe(static_cast<uint32_t>(data.size()), 4, &out);
    AppendLe(0, 4, &out);
    AppendLe(0, 4, &out);
    AppendLe(static_cast<uint32_t>(form.palette.size() / 4), 4, &out);
    AppendLe(0, 4, &out);
    if (form.compression == 3 || form.header_bytes >= 56)
      for (size_t i = 0; i < (after != 0 ? 3u : 4u); ++i) AppendLe(form.masks[i], 4, &out);
    out.resize(std::max(out.size(), size_t{14} + form.header_bytes));
  }
  Append(form.palette, &out);
  out.resize(offset);
  Append(data, &out);
  return out;
}

Bytes MakeGif(std::span<const uint8_t> indices, std::span<const uint8_t> palette, int width, int height,
              const GifForm& form) {
  Bytes out;
  AppendText("GIF89a", &out);
  AppendLe(static_cast<uint32_t>(form.canvas_width > 0 ? form.canvas_width : width), 2, &out);
  AppendLe(static_cast<uint32_t>(form.canvas_height > 0 ? form.canvas_height : height), 2, &out);
  for (const int value : {0xf2, 0, 0})
    out.push_back(static_cast<uint8_t>(value));  // 8 colours for all frames
  Append(palette.first(24), &out);
  if (form.comment) Append(Bytes{0x21, 0xfe, 3, 'a', 'b', 'c', 1, 'd', 0}, &out);
  if (form.transparent >= 0)
    Append(Bytes{0x21, 0xf9, 4, 1, 0, 0, static_cast<uint8_t>(form.transparent), 0}, &out);
  out.push_back(',');
  for (const int value : {form.left, form.top, width, height})
    AppendLe(static_cast<uint32_t>(value), 2, &out);
  out.push_back(form.interlaced ? 0x40 : 0);
  out.push_back(3);  // bits of an index
  const Bytes codes = GifCodes(indices);
  for (size_t at = 0; at < codes.size(); at += 255) {
    const size_t length = std::min<size_t>(codes.size() - at, 255);
    out.push_back(static_cast<uint8_t>(length));
    Append(std::span(codes).subspan(at, length), &out);
  }
  out.push_back(0);
  out.push_back(';');
  return out;
}

}  // namespace couplet::test
