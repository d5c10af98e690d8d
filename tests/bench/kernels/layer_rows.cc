// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cstring>

#include "tests/bench/kernels/rows.h"
#include "tests/kernels/bias_activation_cases.h"
#include "tests/kernels/concat_slice_cases.h"
#include "tests/kernels/convert_cases.h"
#include "tests/kernels/first_conv_cases.h"
#include "tests/kernels/global_average_cases.h"
#include "tests/kernels/im2col_cases.h"
#include "tests/kernels/pad_cases.h"
#include "tests/kernels/pool_cases.h"
#include "tests/kernels/preprocess_first_conv_cases.h"
#include "tests/kernels/preprocess_photos.h"
#include "tests/kernels/softmax_cases.h"

namespace couplet::bench {
namespace {

using test::DeviceArray;

template <class T>
constexpr const char* kElement = "float";
template <>
constexpr const char* kElement<__half> = "half";
template <class T>
constexpr double kBytes = sizeof(typename test::HostElement<T>::Stored);

bool OfModel(const std::string& name) {
  return name.find("MobileNet") == 0 || name.find("Inception") == 0;
}
template <class T>
std::string RowName(const std::string& name, int n) {
  return fmt::format("{}, {}, n={}", name, kElement<T>, n);
}

// A launch from one rotating array to another.
template <class T, class Call>
std::function<LaunchNext()> SrcToDst(double src_count, double dst_count, const Call& call) {
  return [=]() -> LaunchNext {
    const double bytes = (src_count + dst_count) * kBytes<T>;
    auto src = std::make_shared<Rotating<T>>(static_cast<size_t>(src_count), bytes);
    auto dst = std::make_shared<Rotating<T>>(static_cast<size_t>(dst_count), bytes);
    auto turn = std::make_shared<size_t>(0);
    return [=](DeviceStream stream) {
      const size_t i = (*turn)++;
      return call(src->at(i), dst->at(i), stream);
    };
  };
}

template <class T>
void AddPools(int n, std::vector<KernelRow>* rows) {
  for (const auto& c : test::kPoolCases) {
    if (!OfModel(c.name)) continue;
    PoolShape s = c.shape;
    s.n = n;
    const double src = 1.0 * n * s.ih * s.iw * s.c, pixels = 1.0 * n * s.oh * s.ow;
    rows->push_back({"pool", RowName<T>(c.name, n), (src + pixels * s.c) * kBytes<T>, 0.0,
                     SrcToDst<T>(src, pixels * std::max(s.c, s.dst_stride),
                                 [s](const T* from, T* to, DeviceStream stream) {
                                   return LaunchPool(s, from, to, stream);
                                 })});
  }
}

template <class T>
void AddGlobalAverages(int n, std::vector<KernelRow>* rows) {
  for (const auto& c : test::kGlobalAverageCases) {
    if (!OfModel(c.name)) continue;
    GlobalAverageShape s = c.shape;
    s.n = n;
    const double src = 1.0 * n * s.pixels * s.c, dst = 1.0 * n * s.c;
    rows->push_back({"global_average", RowName<T>(c.name, n), (src + dst) * kBytes<T>, 0.0,
                     SrcToDst<T>(src, dst, [s](const T* from, T* to, DeviceStream stream) {
                       return LaunchGlobalAverage(s, from, to, stream);
                     })});
  }
}

// Of as many photos as the engine gathers at a time: 64 MB of windows.
template <class T>
void AddIm2cols(int n, std::vector<KernelRow>* rows) {
  for (const auto& c : test::kIm2colCases) {
    if (!OfModel(c.name)) continue;
    Im2colShape s = c.shape;
    const double src = 1.0 * s.ih * s.iw * s.ic, dst = 1.0 * s.oh * s.ow * s.kh * s.kw * s.ic;
    for (s.n = 1; 2 * s.n <= n && 2 * s.n * dst * kBytes<T> <= 64 << 20;) s.n *= 2;
    rows->push_back({"im2col", RowName<T>(c.name, s.n), s.n * (src + dst) * kBytes<T>, 0.0,
                     SrcToDst<T>(s.n * src, s.n * dst, [s](const T* from, T* to, DeviceStream stream) {
                       return LaunchIm2col(s, from, to, stream);
                     })});
  }
}

template <class T>
void AddElementwise(int n, std::vector<KernelRow>* rows) {
  for (const auto& c : test::kBiasActivationCases) {
    if (!OfModel(c.name)) continue;
    BiasActivationShape s = c.shape;
    s.pixels *= n;
    const double count = static_cast<double>(s.pixels) * s.c;
    auto offset = std::make_shared<DeviceArray<float>>(std::vector<float>(static_cast<size_t>(s.c), 0.5f));
    rows->push_back({"bias_activation", RowName<T>(c.name, n), 2.0 * count * kBytes<T>, 0.0,
                     SrcToDst<T>(count, count, [s, offset](const T* from, T* to, DeviceStream stream) {
                       return LaunchBiasActivation(s, from, nullptr, offset->data(), to, stream);
                     })});
  }
  for (const auto& c : test::kConcatSliceCases) {
    if (!OfModel(c.name)) continue;
    ConcatSliceShape s = c.shape;
    s.pixels *= n;
    const double count = static_cast<double>(s.pixels) * s.c;
    rows->push_back({"concat_slice", RowName<T>(c.name, n), 2.0 * count * kBytes<T>, 0.0,
                     SrcToDst<T>(count, static_cast<double>(s.pixels) * s.dst_stride,
                                 [s](const T* from, T* to, DeviceStream stream) {
                                   return LaunchConcatSlice(s, from, to, stream);
                                 })});
  }
  for (const auto& c : test::kPadCases) {
    if (!OfModel(c.name)) continue;
    PadShape s = c.shape;
    s.n = n;
    const double src = 1.0 * n * s.ih * s.iw * s.c;
    const double dst = 1.0 * n * (s.pad_top + s.ih + s.pad_bottom) * (s.pad_left + s.iw + s.pad_right) * s.c;
    rows->push_back({"pad", RowName<T>(c.name, n), (src + dst) * kBytes<T>, 0.0,
                     SrcToDst<T>(src, dst, [s](const T* from, T* to, DeviceStream stream) {
                       return LaunchPad(s, from, to, stream);
                     })});
  }
  for (const auto& c : test::kSoftmaxCases) {
    if (!OfModel(c.name)) continue;
    SoftmaxShape s = c.shape;
    s.rows = n;
    const double count = 1.0 * n * s.c;
    rows->push_back({"softmax", RowName<T>(c.name, n), 2.0 * count * kBytes<T>, 0.0,
                     SrcToDst<T>(count, count, [s](const T* from, T* to, DeviceStream stream) {
                       return LaunchSoftmax(s, from, to, stream);
                     })});
  }
}

// The bottlenecks of a batch, to float32 for the last layer.
void AddConverts(int n, std::vector<KernelRow>* rows) {
  const double count = 2048.0 * n;
  rows->push_back({"convert", fmt::format("Inception bottlenecks to float, n={}", n), 6.0 * count, 0.0,
                   [n, count]() -> LaunchNext {
                     auto src = std::make_shared<Rotating<__half>>(static_cast<size_t>(count), 6.0 * count);
                     auto dst = std::make_shared<Rotating<float>>(static_cast<size_t>(count), 6.0 * count);
                     auto turn = std::make_shared<size_t>(0);
                     return [=](DeviceStream stream) {
                       const size_t i = (*turn)++;
                       return LaunchConvert({int64_t{2048} * n}, src->at(i), dst->at(i), stream);
                     };
                   }});
}

// A batch of `n` photos of a case on the device, the case's own over and over.
struct DevicePhotos {
  std::unique_ptr<DeviceArray<uint8_t>> bytes;
  std::unique_ptr<DeviceArray<PhotoEntry>> table;

  DevicePhotos(std::vector<test::PhotoSize> sizes, int n, int oh) {
    const size_t own = sizes.size();
    for (size_t i = own; i < static_cast<size_t>(n); ++i) sizes.push_back(sizes[i % own]);
    sizes.resize(static_cast<size_t>(n));
    const test::PhotoBatch batch(sizes, oh, 73);
    bytes = std::make_unique<DeviceArray<uint8_t>>(batch.bytes);
    std::vector<PhotoEntry> entries(batch.table.size());
    std::memcpy(entries.data(), batch.table.data(), entries.size() * sizeof(PhotoEntry));
    table = std::make_unique<DeviceArray<PhotoEntry>>(entries);
  }
};

// Bytes of n photos as they are stored.
double StoredBytes(const std::vector<test::PhotoSize>& sizes, int n, int oh) {
  double bytes = 0.0;
  for (int i = 0; i < n; ++i) {
    const auto& size = sizes[static_cast<size_t>(i) % sizes.size()];
    bytes += 3.0 * size.width * (size.paired ? 2 * oh : size.height);
  }
  return bytes;
}

template <class T>
void AddPreprocess(int n, std::vector<KernelRow>* rows) {
  for (const auto& c : test::kPreprocessCases) {
    if (!OfModel(c.name)) continue;
    PreprocessShape s = c.shape;
    s.n = n;
    const double dst = 1.0 * n * s.oh * s.ow * s.dst_stride;
    const double bytes = StoredBytes(c.photos, n, s.oh) + dst * kBytes<T>;
    rows->push_back({"preprocess", RowName<T>(c.name, n), bytes, 0.0, [=, sizes = c.photos]() -> LaunchNext {
                       auto photos = std::make_shared<DevicePhotos>(sizes, n, s.oh);
                       auto to = std::make_shared<Rotating<T>>(static_cast<size_t>(dst), bytes);
                       auto turn = std::make_shared<size_t>(0);
                       return [=](DeviceStream stream) {
                         return LaunchPreprocess<T>(s, photos->bytes->data(), photos->table->data(),
                                                    to->at((*turn)++), stream);
                       };
                     }});
  }
}

// The weights of a 3 x 3 convolution over three channels, and its bias.
struct FirstWeights {
  DeviceArray<float> weights, bias;
  explicit FirstWeights(int oc)
      : weights(test::Values(79).Reals(27 * static_cast<size_t>(oc))),
        bias(test::Values(83).Reals(static_cast<size_t>(oc))) {}
};

template <class T>
void AddFirstConvs(int n, std::vector<KernelRow>* rows) {
  for (const auto& c : test::kFirstConvCases) {
    if (!OfModel(c.name)) continue;
    FirstConvShape s = c.shape;
    s.n = n;
    const double src = 1.0 * n * s.ih * s.iw * s.src_stride, dst = 1.0 * n * s.oh * s.ow * s.oc;
    auto w = std::make_shared<FirstWeights>(s.oc);
    rows->push_back({"first_conv", RowName<T>(c.name, n), (src + dst) * kBytes<T>, 54.0 * dst,
                     SrcToDst<T>(src, dst, [s, w](const T* from, T* to, DeviceStream stream) {
                       return LaunchFirstConv(s, from, w->weights.data(), w->bias.data(), to, stream);
                     })});
  }
  for (const auto& c : test::kPreprocessFirstConvCases) {
    if (!OfModel(c.name)) continue;
    PreprocessShape resize = c.resize;
    FirstConvShape s = c.conv;
    resize.n = s.n = n;
    resize.oh = s.ih;
    resize.ow = s.iw;
    const double dst = 1.0 * n * s.oh * s.ow * s.oc;
    const double bytes = StoredBytes(c.photos, n, s.ih) + dst * kBytes<T>;
    rows->push_back({"preprocess_first_conv", RowName<T>(c.name, n), bytes, 54.0 * dst,
                     [=, sizes = c.photos]() -> LaunchNext {
                       auto photos = std::make_shared<DevicePhotos>(sizes, n, s.ih);
                       auto w = std::make_shared<FirstWeights>(s.oc);
                       auto to = std::make_shared<Rotating<T>>(static_cast<size_t>(dst), bytes);
                       auto turn = std::make_shared<size_t>(0);
                       return [=](DeviceStream stream) {
                         return LaunchPreprocessFirstConv<T>(resize, s, photos->bytes->data(),
                                                             photos->table->data(), w->weights.data(),
                                                             w->bias.data(), to->at((*turn)++), stream);
                       };
                     }});
  }
}

template <class T>
void AddAll(int n, std::vector<KernelRow>* rows) {
  AddPreprocess<T>(n, rows);
  AddFirstConvs<T>(n, rows);
  AddPools<T>(n, rows);
  AddGlobalAverages<T>(n, rows);
  AddIm2cols<T>(n, rows);
  AddElementwise<T>(n, rows);
}

}  // namespace

std::vector<KernelRow> LayerRows(int n) {
  std::vector<KernelRow> rows;
  AddAll<float>(n, &rows);
  AddAll<__half>(n, &rows);
  AddConverts(n, &rows);
  return rows;
}

}  // namespace couplet::bench
