// preprocess and first_conv in one: the resized photo lies in shared memory only, a tile at a time.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/first_conv.h"
#include "kernels/preprocess.h"

namespace couplet {

// T = float or __half. `resize`: n, oh, ow, mean, std and divide of the resized photo (dst_stride is not
// used); `conv`: what follows, with its ih, iw and n those of `resize` (src_stride is not used). The numbers
// are those of LaunchPreprocess followed by LaunchFirstConv, to the last bit: the tile holds T's rounding.
// Memory and errors as in both.
template <class T>
LaunchResult LaunchPreprocessFirstConv(const PreprocessShape& resize, const FirstConvShape& conv,
                                       const uint8_t* bytes, const PhotoEntry* photos, const float* weights,
                                       const float* bias, T* dst, DeviceStream stream);

}  // namespace couplet
