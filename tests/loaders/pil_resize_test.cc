// SPDX-License-Identifier: Apache-2.0
#include "loaders/pil_resize.h"

#include "tests/support/table.h"
#include "tests/support/test.h"

using namespace couplet;
using namespace couplet::test;

TEST_CASE("pil_resize: Pillow's bytes, smaller and larger and one way only") {
  for (const auto& row : ReadTable("tests/golden/tools/lanczos.tsv")) {
    const int w = std::stoi(row[0]), h = std::stoi(row[1]), ow = std::stoi(row[2]), oh = std::stoi(row[3]);
    CAPTURE(w);
    CAPTURE(ow);
    std::vector<uint8_t> picture(static_cast<size_t>(w * h * 3));
    for (size_t n = 0; n < picture.size(); ++n) picture[n] = static_cast<uint8_t>((n * n * 31 + n * 7) % 256);
    const std::vector<uint8_t> got = ResizeLikePillow(picture, w, h, ow, oh);
    const std::vector<float> wanted = ParseFloats(row[4]);
    CHECK(std::vector<float>(got.begin(), got.end()) == wanted);
  }
}
