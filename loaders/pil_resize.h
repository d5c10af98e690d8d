// Pillow's Image.resize(size, LANCZOS) to the byte: the codelab's scripts.evaluate sizes its photos with it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace couplet {

// `src` [height, width, 3] -> [out_height, out_width, 3]. After Pillow's libImaging/Resample.c: 8-bit pixels, weights of
// 22 bits, columns first, then rows, each rounded to a byte; a size that stays is not touched. (As Pillow 10 does; 13 takes some
// tall photos the other way round.)
// REQUIRES: sizes of 1 and more, src.size() == width * height * 3.
std::vector<uint8_t> ResizeLikePillow(std::span<const uint8_t> src, int width, int height, int out_width,
                                      int out_height);

}  // namespace couplet
