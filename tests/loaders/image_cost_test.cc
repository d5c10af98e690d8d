// SPDX-License-Identifier: Apache-2.0
#include "loaders/image_cost.h"

#include "loaders/files.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

std::vector<uint8_t> Load(const std::string& path) {
  std::vector<uint8_t> bytes;
  REQUIRE(ReadFile(path, 1u << 30, &bytes).ok());
  return bytes;
}

TEST_CASE("image cost: at least what the decoded photo takes, for every image that decodes") {
  COUPLET_NEEDS_SHARED(shared);
  int decoded = 0;
  for (const std::string& folder : {shared + "/data/nasty", shared + "/data/flower_photos/roses",
                                    shared + "/golden/tensorflow_bottlenecks/mobilenet_0.25_128/awkward"}) {
    const auto names = ListDirectory(folder);
    REQUIRE(names.ok());
    for (const std::string& name : *names) {
      const std::vector<uint8_t> bytes = Load(folder + "/" + name);
      for (const int resize_rows : {0, 128}) {
        DecodeOptions options;
        options.resize_rows = resize_rows;
        Image image;
        if (!DecodeImage(bytes, options, &image).ok()) continue;
        CAPTURE(name);
        ++decoded;
        CHECK(DecodeCostBytes(bytes, options) >= image.pixels.size());
      }
    }
  }
  CHECK(decoded > 400);
}

TEST_CASE("image cost: everyday photos cost little, so that many threads decode at once") {
  COUPLET_NEEDS_SHARED(shared);
  const std::string folder = shared + "/data/flower_photos/tulips";
  const auto names = ListDirectory(folder);
  REQUIRE(names.ok());
  for (const std::string& name : *names) CHECK(DecodeCostBytes(Load(folder + "/" + name), {}) < (8u << 20));
}

TEST_CASE("image cost: headers") {
  const DecodeOptions options;
  const auto cost = [&](std::vector<uint8_t> head) {
    head.resize(200);
    return DecodeCostBytes(head, options) >> 20;
  };
  const std::vector<uint8_t> png = {0x89, 'P', 'N', 'G', 13, 10, 26, 10, 0, 0, 0, 13, 'I',
                                    'H',  'D', 'R', 0,   0,  8,  0,  0,  0, 4, 0, 8,  6};  // 2048 x 1024
  CHECK(cost(png) == 24);
  std::vector<uint8_t> deep = png;
  deep[24] = 16;
  CHECK(cost(deep) == 48);
  std::vector<uint8_t> bomb = png;
  bomb[16] = 0x7f;
  CHECK(cost(bomb) == 0);  // refused by its header

  const auto jpeg = [](uint8_t frame, uint8_t scan_components) {
    return std::vector<uint8_t>{
        0xff, 0xd8, 0xff, 0xe0, 0, 4,    1, 2, 0xff, frame, 0,    17,   8, 8,  0,
        8,    0,  // 2048 x 2048
        3,    1,    0x22, 0,    2, 0x11, 1, 3, 0x11, 1,     0xff, 0xda, 0, 12, scan_components};
  };
  CHECK(cost(jpeg(0xc0, 3)) == 13);           // pixels
  CHECK(cost(jpeg(0xc2, 3)) == 12 + 24 + 1);  // and coefficients
  CHECK(cost(jpeg(0xc0, 1)) == 12 + 24 + 1);  // in three scans
  std::vector<uint8_t> gif = {'G', 'I',  'F',  '8', '9', 'a', 1, 0, 1, 0,    0x80, 0, 0, 1, 2, 3, 4, 5,
                              6,   0x21, 0xf9, 4,   0,   0,   0, 0, 0, 0x2c, 0,    0, 0, 0, 0, 8, 0, 4};
  CHECK(cost(gif) == 6);  // a frame of 2048 x 1024 on a canvas of 1 x 1
  CHECK(DecodeCostBytes({}, options) < (1u << 20));
}

}  // namespace
}  // namespace couplet
