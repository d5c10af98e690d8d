// SPDX-License-Identifier: Apache-2.0
#include "loaders/image.h"

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "loaders/files.h"
#include "loaders/hash.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

std::vector<uint8_t> Load(const std::string& path) {
  std::vector<uint8_t> bytes;
  REQUIRE(ReadFile(path, 1u << 30, &bytes).ok());
  return bytes;
}

std::string PixelHash(const Image& image) {
  const size_t bytes = size_t{3} * image.entry.width * image.entry.height;
  return ToHex(Sha256(std::as_bytes(std::span(image.pixels).first(bytes))));
}

TEST_CASE("image: the pixels TensorFlow decodes") {
  COUPLET_NEEDS_SHARED(shared);
  std::ifstream golden("tests/golden/tensorflow_decode.tsv");
  int compared = 0;
  Image image;
  for (std::string line; std::getline(golden, line);) {
    std::istringstream fields(line);
    std::string path, op, width, height, hash;
    std::getline(fields, path, '\t');
    fields >> op >> width >> height >> hash;
    // TensorFlow shows palette indices as grey, and has no RLE.
    if (path == "nasty/bmp_rle8.bmp" || path == "nasty/bmp_topdown.bmp") continue;
    CAPTURE(path);
    const Status status = DecodeImage(Load(shared + "/data/" + path), {}, &image);
    ++compared;
    CHECK(status.ok() == (width != "error"));
    if (!status.ok() || width == "error") continue;
    CHECK(std::to_string(image.entry.width) == width);
    CHECK(std::to_string(image.entry.height) == height);
    CHECK(PixelHash(image) == hash);
  }
  CHECK(compared == 85);
}

}  // namespace
}  // namespace couplet
