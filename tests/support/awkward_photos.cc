// SPDX-License-Identifier: Apache-2.0
#include "tests/support/awkward_photos.h"

namespace couplet::test {

const std::map<std::string, std::string>& AwkwardPhotos() {
  static const std::map<std::string, std::string> outcomes = {
      {"baseline_reference.jpg", "320x209"},
      {"bmp_reallybig.bmp", "BMP of 3000000x2000000 pixels, over the limit of 16384 a side"},
      {"bmp_rle8.bmp", "127x64"},
      {"bmp_topdown.bmp", "127x64"},
      {"gif_animated.gif", "100x100"},
      {"gif_animated_photo.gif", "320x240"},
      {"jpeg_16bit_qtables.jpg", "128x128"},
      {"jpeg_arithmetic.jpg", "227x149"},
      {"jpeg_bad_exif.jpg", "200x200"},
      {"jpeg_baseline_ijg.jpg", "227x149"},
      {"jpeg_bigicc.jpg", "425x250"},
      {"jpeg_cmyk_adobe.jpg", "100x100"},
      {"jpeg_exif_orient5_mirror.jpg", "128x128"},
      {"jpeg_exif_orient6.jpg", "450x600"},
      {"jpeg_gray.jpg", "128x128"},
      {"jpeg_gray_photo.jpg", "320x209"},
      {"jpeg_progressive_photo.jpg", "320x209"},
      {"jpeg_trailing_garbage.jpg", "320x209"},
      {"jpeg_truncated.jpg", "premature end of JPEG data"},
      {"jpeg_truncated_vips.jpg", "premature end of JPEG data"},
      {"name with spaces, \u0439\u0446\u0443\u043a & \u82b1.JPG", "320x209"},
      {"png_16bit_gray.png", "32x32"},
      {"png_16bit_rgb.png", "32x32"},
      {"png_1x1_palette.png", "1x1"},
      {"png_1x1_rgb.png", "1x1"},
      {"png_bad_depth.png", "corrupt PNG: colour type 2 with 0 bits"},
      {"png_bad_signature.png", "expected a JPEG, PNG, GIF or BMP image, found unknown data"},
      {"png_claims_2e9.png", "PNG of 2000000000x2000000000 pixels, over the limit of 16384 a side"},
      {"png_gray1.png", "32x32"},
      {"png_gray_alpha16_interlaced.png", "32x32"},
      {"png_named.jpg", "32x32"},
      {"png_no_idat.png", "corrupt PNG: no pixel data"},
      {"png_palette1_interlaced.png", "32x32"},
      {"png_palette_alpha.png", "32x32"},
      {"png_truncated.png", "premature end of PNG data"},
      {"text_named.jpg", "expected a JPEG, PNG, GIF or BMP image, found text"},
      {"webp_named.jpg", "expected a JPEG, PNG, GIF or BMP image, found WebP: convert it to JPEG or PNG"},
      {"zero_bytes.jpg", "expected a JPEG, PNG, GIF or BMP image, found an empty file"},
  };
  return outcomes;
}

bool IsDecoded(const std::string& outcome) { return outcome[0] >= '0' && outcome[0] <= '9'; }

}  // namespace couplet::test
