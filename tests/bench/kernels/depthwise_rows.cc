// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "kernels/depthwise3x3.h"
#include "kernels/depthwise_pointwise.h"
#include "tests/bench/kernels/rows.h"
#include "tests/kernels/depthwise_cases.h"
#include "tests/kernels/depthwise_pointwise_cases.h"

namespace couplet::bench {
namespace {

// One case through `call`, which is one kernel or the other.
template <class T, class Call>
KernelRow DepthwiseRow(const char* kernel, const char* element, const test::DepthwiseCase& c,
                       const Call& call) {
  using Stored = typename test::HostElement<T>::Stored;
  const DepthwiseShape s = c.shape;
  const double src = 1.0 * s.n * s.ih * s.iw * s.ic, dst = 1.0 * s.n * s.oh * s.ow * s.oc;
  const double bytes = (src + dst) * sizeof(Stored);
  KernelRow row;
  row.kernel = kernel;
  row.name = fmt::format("{} /{}, {}, n={}", c.name, s.sh, element, s.n);
  row.bytes = bytes;
  row.flops = 2.0 * s.kh * s.kw * dst;
  row.prepare = [=]() -> LaunchNext {
    auto from = std::make_shared<Rotating<T>>(static_cast<size_t>(src), bytes);
    auto to = std::make_shared<Rotating<T>>(static_cast<size_t>(dst), bytes);
    const size_t oc = static_cast<size_t>(s.oc);
    auto weights = std::make_shared<test::DeviceArray<float>>(test::Values(89).Reals(9 * oc));
    auto bias = std::make_shared<test::DeviceArray<float>>(test::Values(97).Reals(oc));
    auto turn = std::make_shared<size_t>(0);
    return [=](DeviceStream stream) {
      const size_t i = (*turn)++;
      return call(s, from->at(i), weights->data(), bias->data(), to->at(i), stream);
    };
  };
  return row;
}

// A whole block; the 1x1 convolution's FLOP are the tensor cores' and no floor here.
template <class T>
KernelRow FusedRow(const char* element, const test::DepthwisePointwiseCase& c) {
  using Stored = typename test::HostElement<T>::Stored;
  const DepthwisePointwiseShape shape = c.shape;
  const DepthwiseShape s = shape.depthwise;
  const double src = 1.0 * s.n * s.ih * s.iw * s.ic, pixels = 1.0 * s.n * s.oh * s.ow, dst = pixels * shape.oc;
  const double bytes = (src + dst + 1.0 * s.ic * shape.oc) * sizeof(Stored);
  KernelRow row;
  row.kernel = "depthwise_pointwise";
  row.name = fmt::format("{} /{} -> {}, {}, n={}", c.name, s.sh, shape.oc, element, s.n);
  row.bytes = bytes;
  row.flops = 18.0 * pixels * s.ic;
  row.prepare = [=]() -> LaunchNext {
    auto from = std::make_shared<Rotating<T>>(static_cast<size_t>(src), bytes);
    auto to = std::make_shared<Rotating<T>>(static_cast<size_t>(dst), bytes);
    const size_t ic = static_cast<size_t>(s.ic), oc = static_cast<size_t>(shape.oc);
    std::vector<Stored> order(PackedPointwiseCount(s.ic, shape.oc, static_cast<const T*>(nullptr)));
    PackPointwise(s.ic, shape.oc, test::Values(83).Reals(ic * oc).data(), reinterpret_cast<T*>(order.data()));
    auto packed = std::make_shared<test::DeviceBytes>(order.size() * sizeof(Stored));
    packed->Write(order.data());
    auto weights = std::make_shared<test::DeviceArray<float>>(test::Values(89).Reals(9 * ic));
    auto middle = std::make_shared<test::DeviceArray<float>>(test::Values(97).Reals(ic));
    auto bias = std::make_shared<test::DeviceArray<float>>(test::Values(101).Reals(oc));
    auto turn = std::make_shared<size_t>(0);
    return [=](DeviceStream stream) {
      const size_t i = (*turn)++;
      return DepthwisePointwise(shape, from->at(i), weights->data(), middle->data(),
                                static_cast<const T*>(packed->data()), bias->data(), to->at(i), stream);
    };
  };
  return row;
}

template <class T>
void AddDepthwise(int n, const char* element, std::vector<KernelRow>* rows) {
  const auto cases = test::MobileNetDepthwiseCases(n, 100, 224);
  for (const auto& c : cases)
    rows->push_back(DepthwiseRow<T>("depthwise3x3", element, c,
                                    [](const auto&... args) { return Depthwise3x3(args...); }));
  for (const auto& c : test::MobileNetFusedCases(n, 100, 224, 224)) rows->push_back(FusedRow<T>(element, c));
  // The slow twin, for comparison.
  rows->push_back(DepthwiseRow<T>("depthwise", element, cases[2],
                                  [](const auto&... args) { return Depthwise(args...); }));
}

// The blocks of MobileNet 1.0_224 in one.
template <class T>
void AddBlocks(int n, const char* element, std::vector<KernelRow>* rows) {
  using Stored = typename test::HostElement<T>::Stored;
  for (const auto& c : test::MobileNetFusedCases(n, 100, 224, 224)) {
    const DepthwisePointwiseShape s = c.shape;
    const auto& d = s.depthwise;
    const double pixels = 1.0 * n * d.oh * d.ow, src = 1.0 * n * d.ih * d.iw * d.ic, dst = pixels * s.oc;
    KernelRow row;
    row.kernel = "depthwise_pointwise";
    row.name = fmt::format("{} /{} to {}, {}, n={}", c.name, d.sh, s.oc, element, n);
    row.bytes = (src + dst) * sizeof(Stored);
    row.flops = pixels * d.ic * (18.0 + 2.0 * s.oc);
    row.prepare = [=, bytes = row.bytes]() -> LaunchNext {
      auto from = std::make_shared<Rotating<T>>(static_cast<size_t>(src), bytes);
      auto to = std::make_shared<Rotating<T>>(static_cast<size_t>(dst), bytes);
      const size_t ic = static_cast<size_t>(s.depthwise.ic), oc = static_cast<size_t>(s.oc);
      auto weights = std::make_shared<test::DeviceArray<float>>(test::Values(89).Reals(9 * ic));
      std::vector<Stored> host(PackedPointwiseCount(s.depthwise.ic, s.oc, static_cast<const T*>(nullptr)));
      PackPointwise(s.depthwise.ic, s.oc, test::Values(103).Reals(ic * oc).data(),
                    reinterpret_cast<T*>(host.data()));
      auto packed = std::make_shared<test::DeviceBytes>(host.size() * sizeof(Stored));
      packed->Write(host.data());
      auto turn = std::make_shared<size_t>(0);
      return [=](DeviceStream stream) {
        const size_t i = (*turn)++;
        return DepthwisePointwise(s, from->at(i), weights->data(), nullptr,
                                  static_cast<const T*>(packed->data()), nullptr, to->at(i), stream);
      };
    };
    rows->push_back(row);
  }
}

}  // namespace

std::vector<KernelRow> DepthwiseRows(int n) {
  std::vector<KernelRow> rows;
  AddDepthwise<float>(n, "float", &rows);
  AddDepthwise<__half>(n, "half", &rows);
  AddBlocks<float>(n, "TF32", &rows);
  AddBlocks<__half>(n, "half", &rows);
  return rows;
}

}  // namespace couplet::bench
