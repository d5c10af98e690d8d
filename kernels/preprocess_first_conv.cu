// Launcher of the fused preprocessing and first convolution.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/preprocess_first_conv.h"

#include "kernels/preprocess_first_conv.cuh"
#include "kernels/vectors.h"

namespace couplet {

template <class T>
LaunchResult LaunchPreprocessFirstConv(const PreprocessShape& resize, const FirstConvShape& conv,
                                       const uint8_t* bytes, const PhotoEntry* photos, const float* weights,
                                       const float* bias, T* dst, DeviceStream stream) {
  FirstConvShape shape = conv;
  shape.dst_stride = StrideOr(conv.dst_stride, conv.oc);
  if (shape.n <= 0 || shape.ih <= 0 || shape.iw <= 0 || shape.oh <= 0 || shape.ow <= 0 || shape.oc <= 0 ||
      shape.oc > kFirstConvMaxChannels || shape.dst_stride < shape.oc || shape.pad_top < 0 ||
      shape.pad_left < 0 || resize.n != shape.n || resize.oh != shape.ih || resize.ow != shape.iw ||
      resize.std == 0.0f || shape.n > kMaxGridYZ)
    return kLaunchInvalidValue;
  const bool wide = MovesVectors(shape.oc, kFirstConvChannels, shape.dst_stride, dst, dst) &&
                    shape.oc % kFirstConvChannels == 0;
  const int64_t tiles_x = BlocksOf(shape.ow, kFusedTileWidth), tiles_y = BlocksOf(shape.oh, kFusedTileHeight);
  if (tiles_y > kMaxGridYZ) return kLaunchInvalidValue;
  const dim3 grid(static_cast<unsigned>(tiles_x), static_cast<unsigned>(tiles_y),
                  static_cast<unsigned>(shape.n));
  const size_t shared_bytes = static_cast<size_t>(kFirstConvTaps) * FirstConvPadded(shape.oc) * sizeof(float);
  const auto kernel = wide ? PreprocessFirstConvKernel<T, true> : PreprocessFirstConvKernel<T, false>;
  return Launch(kernel, grid, dim3(128), shared_bytes, stream, shape, MakePixelScale(resize), bytes, photos,
                weights, bias, dst);
}

template LaunchResult LaunchPreprocessFirstConv(const PreprocessShape&, const FirstConvShape&, const uint8_t*,
                                                const PhotoEntry*, const float*, const float*, float*,
                                                DeviceStream);
template LaunchResult LaunchPreprocessFirstConv(const PreprocessShape&, const FirstConvShape&, const uint8_t*,
                                                const PhotoEntry*, const float*, const float*, __half*,
                                                DeviceStream);

}  // namespace couplet
