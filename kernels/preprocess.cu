// Launcher of the preprocess kernel.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/preprocess.h"

#include "kernels/preprocess.cuh"
#include "kernels/vectors.h"

namespace couplet {

template <class T>
LaunchResult LaunchPreprocess(const PreprocessShape& shape, const uint8_t* bytes, const PhotoEntry* photos,
                              T* dst, DeviceStream stream) {
  const int channels = shape.dst_stride;
  if (shape.n <= 0 || shape.oh <= 0 || shape.ow <= 0 || shape.n > kMaxGridYZ || shape.oh > kMaxGridYZ ||
      (channels != 3 && channels != 4 && channels != 8) || (channels != 3 && !IsAligned(dst, 16)) ||
      shape.std == 0.0f)
    return kLaunchInvalidValue;
  const PixelScale scale = MakePixelScale(shape);
  const int threads = 128;
  const dim3 grid(static_cast<unsigned>(BlocksOf(shape.ow, threads)), static_cast<unsigned>(shape.oh),
                  static_cast<unsigned>(shape.n));
  const auto kernel = channels == 3   ? PreprocessKernel<T, 3>
                      : channels == 4 ? PreprocessKernel<T, 4>
                                      : PreprocessKernel<T, 8>;
  return Launch(kernel, grid, dim3(threads), 0, stream, shape.oh, shape.ow, scale, bytes, photos, dst);
}

template LaunchResult LaunchPreprocess(const PreprocessShape&, const uint8_t*, const PhotoEntry*, float*,
                                       DeviceStream);
template LaunchResult LaunchPreprocess(const PreprocessShape&, const uint8_t*, const PhotoEntry*, __half*,
                                       DeviceStream);

}  // namespace couplet
