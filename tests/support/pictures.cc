// SPDX-License-Identifier: Apache-2.0
#include "tests/support/pictures.h"

#include <cstdio>
#include <jpeglib.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "kernels/philox.h"

namespace couplet::test {

std::vector<uint8_t> MakePicture(int width, int height, uint64_t seed, double hue) {
  std::vector<uint8_t> rgb(static_cast<size_t>(width) * static_cast<size_t>(height) * 3);
  const Philox4 phase = Philox(seed, 0, 0, 0);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      const Philox4 noise = Philox(seed, static_cast<uint32_t>(x), static_cast<uint32_t>(y), 1);
      for (int c = 0; c < 3; ++c) {
        const double wave = std::sin(0.07 * x + 0.05 * y * (c + 1) + phase.v[c] * 1e-9);
        const double colour = std::cos(2 * M_PI * (hue + c / 3.0));
        const double value = 128 + 70 * colour + 35 * wave + (noise.v[c] % 21) - 10;
        rgb[(static_cast<size_t>(y) * static_cast<size_t>(width) + static_cast<size_t>(x)) * 3 + static_cast<size_t>(c)] =
            static_cast<uint8_t>(std::clamp(value, 0.0, 255.0));
      }
    }
  return rgb;
}

std::vector<uint8_t> EncodeJpeg(const std::vector<uint8_t>& rgb, int width, int height, int quality) {
  jpeg_compress_struct jpeg;
  jpeg_error_mgr errors;
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &bytes, &size);
  jpeg.image_width = static_cast<JDIMENSION>(width);
  jpeg.image_height = static_cast<JDIMENSION>(height);
  jpeg.input_components = 3;
  jpeg.in_color_space = JCS_RGB;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, quality, TRUE);
  jpeg_start_compress(&jpeg, TRUE);
  for (int y = 0; y < height; ++y) {
    JSAMPROW row = const_cast<uint8_t*>(rgb.data()) + static_cast<size_t>(y) * static_cast<size_t>(width) * 3;
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  std::vector<uint8_t> out(bytes, bytes + size);
  jpeg_destroy_compress(&jpeg);
  std::free(bytes);
  return out;
}

void WriteBytes(const std::string& path, const std::vector<uint8_t>& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!file.flush()) std::abort();
}

void WritePhotoFolders(const std::string& dir, const std::vector<std::string>& labels, int per_label, uint64_t seed) {
  for (size_t c = 0; c < labels.size(); ++c) {
    std::filesystem::create_directories(dir + "/" + labels[c]);
    for (int i = 0; i < per_label; ++i) {
      const int width = 80 + 7 * (i % 5), height = 60 + 5 * (i % 7);
      const auto rgb = MakePicture(width, height, seed + c * 1000 + static_cast<uint64_t>(i),
                                   static_cast<double>(c) / static_cast<double>(labels.size()));
      WriteBytes(dir + "/" + labels[c] + "/" + labels[c] + "_" + std::to_string(i) + ".jpg",
                 EncodeJpeg(rgb, width, height));
    }
  }
}

}  // namespace couplet::test
