// JPEG by libjpeg-turbo, with TensorFlow's settings (core/lib/jpeg/jpeg_mem.cc): fast integer DCT, fancy
// upsampling, CMYK by its own formula, the whole file read to its end marker, data that ends early refused.
//
// libjpeg reports errors by longjmp. Every call into it is made through Run(), whose callee owns nothing that
// has a destructor; what has one lives in the callers of Run() and is not jumped over.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <csetjmp>
#include <cstdio>  // jpeglib.h needs it
#include <cstring>
#include <vector>

#include <fmt/format.h>
#include <jpeglib.h>

#include "loaders/image_internal.h"

namespace couplet::internal {
namespace {

// A usual progressive file has 10; each costs a pass over all coefficients.
constexpr int kMaxScans = 100;
// Of coefficients of a progressive file: 40 million pixels of CMYK need 320 MB.
constexpr long kMaxMemory = 512L << 20;
constexpr JDIMENSION kRowsPerCall = 16;

struct ErrorManager {
  jpeg_error_mgr base;
  jmp_buf jump;
  bool out_of_data = false;
  bool too_many_scans = false;
};

ErrorManager* ErrorsOf(j_common_ptr cinfo) {
  return reinterpret_cast<ErrorManager*>(cinfo->err);
}
ErrorManager* ErrorsOf(j_decompress_ptr cinfo) {
  return ErrorsOf(reinterpret_cast<j_common_ptr>(cinfo));
}

// libjpeg is C, through which nothing may be thrown: a jump is its documented way out.
[[noreturn]] void ExitByJump(j_common_ptr cinfo) {
  std::longjmp(ErrorsOf(cinfo)->jump, 1);  // NOLINT(cert-err52-cpp)
}

// Level -1 is a warning (corrupt data that could be decoded), the rest is trace.
void CountWarning(j_common_ptr cinfo, int level) {
  if (level < 0) ++cinfo->err->num_warnings;
}
void PrintNothing(j_common_ptr) {}

void LimitScans(j_common_ptr cinfo) {
  if (reinterpret_cast<j_decompress_ptr>(cinfo)->input_scan_number <= kMaxScans) return;
  ErrorsOf(cinfo)->too_many_scans = true;
  ExitByJump(cinfo);
}

void InitSource(j_decompress_ptr) {}
void TermSource(j_decompress_ptr) {}

// All data was there from the start. As in TensorFlow's source manager: an error when libjpeg's books say
// that nothing is left, else a suspension, which ends the decoding unless every row is out already.
boolean FillInputBuffer(j_decompress_ptr cinfo) {
  ErrorsOf(cinfo)->out_of_data = true;
  if (cinfo->src->bytes_in_buffer == 0) ExitByJump(reinterpret_cast<j_common_ptr>(cinfo));
  return FALSE;
}

void SkipInputData(j_decompress_ptr cinfo, long count) {
  if (count <= 0) return;
  if (static_cast<size_t>(count) > cinfo->src->bytes_in_buffer) {
    cinfo->src->bytes_in_buffer = 0;
    FillInputBuffer(cinfo);
  }
  cinfo->src->next_input_byte += count;
  cinfo->src->bytes_in_buffer -= static_cast<size_t>(count);
}

// Which decoded pixels are stored where. "Oriented" is the photo as shown: the decoded one, unless EXIF is
// applied.
struct RowPlan {
  bool transposed = false;    // oriented rows are decoded columns
  bool flip_rows = false;     // decoded rows count backwards
  bool flip_columns = false;  // decoded columns count backwards
  std::vector<int> wanted;    // oriented rows to store, ascending; the index is the stored row

  explicit RowPlan(int orientation)
      : transposed(orientation >= 5),
        flip_rows(orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7),
        flip_columns(orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8) {}

  bool AsDecoded() const { return !transposed && !flip_rows && !flip_columns; }
};

struct RowTarget {
  const RowPlan* plan;
  uint8_t* pixels;
  size_t stored_width;  // pixels
  int decoded_width, decoded_height;
};

// Stores what is wanted of decoded row `y`, RGB. Plain loops: it may be left by longjmp between calls.
void StoreRow(const RowTarget& target, const uint8_t* row, int y) {
  const RowPlan& plan = *target.plan;
  const int at = plan.flip_rows ? target.decoded_height - 1 - y : y;
  if (plan.transposed) {
    for (size_t stored = 0; stored < plan.wanted.size(); ++stored) {
      const int x = plan.flip_columns ? target.decoded_width - 1 - plan.wanted[stored] : plan.wanted[stored];
      std::memcpy(target.pixels + (stored * target.stored_width + at) * 3, row + size_t{3} * x, 3);
    }
    return;
  }
  const auto [first, last] = std::equal_range(plan.wanted.begin(), plan.wanted.end(), at);
  for (auto it = first; it != last; ++it) {
    uint8_t* stored = target.pixels + (it - plan.wanted.begin()) * target.stored_width * 3;
    if (!plan.flip_columns) {
      std::memcpy(stored, row, target.stored_width * 3);
      continue;
    }
    for (int x = 0; x < target.decoded_width; ++x)
      std::memcpy(stored + size_t{3} * x, row + size_t{3} * (target.decoded_width - 1 - x), 3);
  }
}

// jpeg_mem.cc's formulas. Adobe writes CMYK inverted.
void CmykToRgb(const uint8_t* cmyk, int width, bool adobe, uint8_t* rgb) {
  for (int x = 0; x < width; ++x, cmyk += 4, rgb += 3) {
    const int k = adobe ? cmyk[3] : 255 - cmyk[3];
    for (int i = 0; i < 3; ++i) rgb[i] = static_cast<uint8_t>(k * (adobe ? cmyk[i] : 255 - cmyk[i]) / 255);
  }
}

class JpegDecoder {
 public:
  explicit JpegDecoder(Bytes bytes) {
    cinfo_.err = jpeg_std_error(&errors_.base);
    errors_.base.error_exit = ExitByJump;
    errors_.base.emit_message = CountWarning;
    errors_.base.output_message = PrintNothing;
    source_.init_source = InitSource;
    source_.fill_input_buffer = FillInputBuffer;
    source_.skip_input_data = SkipInputData;
    source_.resync_to_restart = jpeg_resync_to_restart;
    source_.term_source = TermSource;
    source_.next_input_byte = bytes.data();
    source_.bytes_in_buffer = bytes.size();
    progress_.progress_monitor = LimitScans;
  }
  ~JpegDecoder() { jpeg_destroy_decompress(&cinfo_); }
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;

  Status ReadHeader(const DecodeOptions& options);
  Status DecodeAsIs(Image* image);                          // all rows, straight into the pixels
  Status DecodePlanned(const RowPlan& plan, Image* image);  // some rows or another orientation
  int Orientation() const;
  int width() const { return static_cast<int>(cinfo_.output_width); }
  int height() const { return static_cast<int>(cinfo_.output_height); }
  bool cmyk() const { return cinfo_.out_color_space == JCS_CMYK; }
  int warnings() const { return static_cast<int>(errors_.base.num_warnings); }

 private:
  // False when libjpeg gave up. `step` and all it calls must own nothing that needs a destructor.
  template <class Step>
  bool Run(const Step& step) {
    if (setjmp(errors_.jump) != 0) return false;  // NOLINT(cert-err52-cpp)
    step();
    return true;
  }
  Status Failure();

  jpeg_decompress_struct cinfo_{};
  ErrorManager errors_{};
  jpeg_source_mgr source_{};
  jpeg_progress_mgr progress_{};
};

Status JpegDecoder::Failure() {
  if (errors_.too_many_scans)
    return BadInput(fmt::format("progressive JPEG of more than {} scans", kMaxScans));
  if (errors_.out_of_data) return BadInput("premature end of JPEG data");
  if (errors_.base.msg_code == 0) return BadInput("corrupt JPEG");
  char text[JMSG_LENGTH_MAX];
  errors_.base.format_message(reinterpret_cast<j_common_ptr>(&cinfo_), text);
  return BadInput(fmt::format("corrupt or unsupported JPEG: {}", text));
}

Status JpegDecoder::ReadHeader(const DecodeOptions& options) {
  const bool ok = Run([&] {
    jpeg_create_decompress(&cinfo_);
    cinfo_.src = &source_;
    cinfo_.progress = &progress_;
    cinfo_.mem->max_memory_to_use = kMaxMemory;
    if (options.apply_exif) jpeg_save_markers(&cinfo_, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(&cinfo_, TRUE);
    const bool four = cinfo_.jpeg_color_space == JCS_CMYK || cinfo_.jpeg_color_space == JCS_YCCK;
    cinfo_.out_color_space = four ? JCS_CMYK : JCS_RGB;
    cinfo_.dct_method = options.accurate_dct ? JDCT_ISLOW : JDCT_IFAST;
    cinfo_.do_fancy_upsampling = TRUE;
    jpeg_calc_output_dimensions(&cinfo_);
  });
  if (!ok) return Failure();
  const bool buffered = jpeg_has_multiple_scans(&cinfo_);
  return CheckPixels(
      buffered ? "progressive JPEG" : "JPEG", width(), height(),
      buffered ? std::min(options.max_pixels, options.max_pixels_buffered) : options.max_pixels);
}

int JpegDecoder::Orientation() const {
  for (jpeg_saved_marker_ptr marker = cinfo_.marker_list; marker != nullptr; marker = marker->next) {
    const int orientation = ExifOrientation({marker->data, marker->data_length});
    if (orientation != 1) return orientation;
  }
  return 1;
}

Status JpegDecoder::DecodeAsIs(Image* image) {
  const size_t stride = size_t{3} * cinfo_.output_width;
  image->pixels.resize(stride * cinfo_.output_height);
  uint8_t* pixels = image->pixels.data();
  const bool ok = Run([&] {
    JSAMPROW rows[kRowsPerCall];
    if (!jpeg_start_decompress(&cinfo_)) ExitByJump(reinterpret_cast<j_common_ptr>(&cinfo_));
    while (cinfo_.output_scanline < cinfo_.output_height) {
      const JDIMENSION count = std::min(kRowsPerCall, cinfo_.output_height - cinfo_.output_scanline);
      for (JDIMENSION i = 0; i < count; ++i) rows[i] = pixels + stride * (cinfo_.output_scanline + i);
      if (jpeg_read_scanlines(&cinfo_, rows, count) == 0) ExitByJump(reinterpret_cast<j_common_ptr>(&cinfo_));
    }
    jpeg_finish_decompress(&cinfo_);
  });
  return ok ? Status() : Failure();
}

Status JpegDecoder::DecodePlanned(const RowPlan& plan, Image* image) {
  const size_t stored_width = plan.transposed ? cinfo_.output_height : cinfo_.output_width;
  image->pixels.resize(plan.wanted.size() * stored_width * 3);
  const RowTarget target = {&plan, image->pixels.data(), stored_width, width(), height()};
  const bool ok = Run([&] {
    if (!jpeg_start_decompress(&cinfo_)) ExitByJump(reinterpret_cast<j_common_ptr>(&cinfo_));
    // From libjpeg's pool: freed with it, jumped over without harm.
    const auto pool = reinterpret_cast<j_common_ptr>(&cinfo_);
    JSAMPARRAY row = cinfo_.mem->alloc_sarray(pool, JPOOL_IMAGE, cinfo_.output_width * 4, 1);
    JSAMPARRAY rgb = cinfo_.mem->alloc_sarray(pool, JPOOL_IMAGE, cinfo_.output_width * 3, 1);
    const bool straight = plan.AsDecoded() && !cmyk();
    size_t next = 0;  // of the stored rows, where they are decoded straight into their place
    // Every row is decoded even when none below is wanted: where a file breaks must not depend on the resize.
    while (cinfo_.output_scanline < cinfo_.output_height) {
      const int y = static_cast<int>(cinfo_.output_scanline);
      const bool here = straight && next < plan.wanted.size() && plan.wanted[next] == y;
      JSAMPROW to = here ? target.pixels + next * stored_width * 3 : row[0];
      if (jpeg_read_scanlines(&cinfo_, &to, 1) == 0) ExitByJump(pool);
      if (here)
        for (++next; next < plan.wanted.size() && plan.wanted[next] == y; ++next)
          std::memcpy(target.pixels + next * stored_width * 3, to, stored_width * 3);
      if (straight) continue;
      if (cmyk()) CmykToRgb(row[0], target.decoded_width, cinfo_.saw_Adobe_marker, rgb[0]);
      StoreRow(target, cmyk() ? rgb[0] : row[0], y);
    }
    jpeg_finish_decompress(&cinfo_);
  });
  return ok ? Status() : Failure();
}

}  // namespace

int ExifOrientation(Bytes app1) {
  constexpr size_t kTiff = 6;  // "Exif\0\0", then a TIFF header
  if (app1.size() < kTiff + 8 || std::memcmp(app1.data(), "Exif\0", 6) != 0) return 1;
  const Bytes tiff = app1.subspan(kTiff);
  const bool little = tiff[0] == 'I';
  if (tiff[0] != tiff[1] || (!little && tiff[0] != 'M')) return 1;
  const auto read16 = [&](size_t at) { return little ? LoadLe16(&tiff[at]) : LoadBe16(&tiff[at]); };
  const auto read32 = [&](size_t at) { return little ? LoadLe32(&tiff[at]) : LoadBe32(&tiff[at]); };
  const size_t ifd = read32(4);
  if (read16(2) != 42 || ifd > tiff.size() - 2) return 1;
  const size_t entries = read16(ifd);
  for (size_t i = 0; i < entries; ++i) {
    const size_t at = ifd + 2 + i * 12;
    if (at + 12 > tiff.size()) return 1;
    if (read16(at) != 0x0112 || read16(at + 2) != 3) continue;  // Orientation, SHORT
    const uint32_t orientation = read16(at + 8);
    return orientation >= 1 && orientation <= 8 ? static_cast<int>(orientation) : 1;
  }
  return 1;
}

Status DecodeJpeg(Bytes bytes, const DecodeOptions& options, Image* image) {
  JpegDecoder decoder(bytes);
  COUPLET_RETURN_IF_ERROR(decoder.ReadHeader(options));
  ImageEntry entry;
  RowPlan plan(options.apply_exif ? decoder.Orientation() : 1);
  entry.width = plan.transposed ? decoder.height() : decoder.width();
  entry.height = plan.transposed ? decoder.width() : decoder.height();
  if (options.resize_rows > 0 && entry.height > 2 * int64_t{options.resize_rows}) {
    entry.paired_rows = options.resize_rows;
    for (int y = 0; y < options.resize_rows; ++y) {
      const SourceRows rows = ResizeSourceRows(entry.height, options.resize_rows, y);
      plan.wanted.push_back(rows.lower);
      plan.wanted.push_back(rows.upper);
    }
  } else if (!plan.AsDecoded() || decoder.cmyk()) {
    for (int y = 0; y < entry.height; ++y) plan.wanted.push_back(y);
  }
  COUPLET_RETURN_IF_ERROR(plan.wanted.empty() ? decoder.DecodeAsIs(image)
                                              : decoder.DecodePlanned(plan, image));
  image->warnings = decoder.warnings();
  image->entry = entry;
  return {};
}

}  // namespace couplet::internal
