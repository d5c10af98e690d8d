// SPDX-License-Identifier: Apache-2.0
#include "kernels/gather_rows.h"
#include "kernels/philox_batch.h"
#include "kernels/sgd_update.h"
#include "kernels/softmax_xent.h"
#include "tests/bench/kernels/rows.h"

namespace couplet::bench {
namespace {

using test::DeviceArray;
constexpr int kBatch = 100, kFeatures = 2048, kClasses = 5, kVectors = 3000;
constexpr size_t kWeights = size_t{kFeatures} * kClasses, kLogits = size_t{kBatch} * kClasses;

std::vector<float> Reals(size_t count) {
  return test::Values(101).Reals(count);
}
template <class T>
std::shared_ptr<DeviceArray<T>> Array(const std::vector<T>& values) {
  return std::make_shared<DeviceArray<T>>(values);
}

KernelRow GatherRow() {
  const double bytes = 8.0 * kBatch * kFeatures;
  return {"gather_rows", "100 of 3000 rows of 2048", bytes, 0.0, [] {
            std::vector<uint32_t> indices;
            for (int i = 0; i < kBatch; ++i) indices.push_back(static_cast<uint32_t>(i * 7919 % kVectors));
            auto src = Array(Reals(size_t{kVectors} * kFeatures));
            auto rows = Array(indices);
            auto dst = std::make_shared<DeviceArray<float>>(size_t{kBatch} * kFeatures);
            return LaunchNext([=](DeviceStream stream) {
              return LaunchGatherRows({kBatch, kFeatures}, src->data(), rows->data(), dst->data(), stream);
            });
          }};
}

KernelRow SoftmaxRow() {
  return {"softmax_xent", "100 x 5, with slopes", 8.0 * kLogits, 0.0, [] {
            const SoftmaxXentShape shape = {kBatch, kClasses};
            auto src = Array(Reals(kLogits)), biases = Array(Reals(kClasses)), slopes = Array(Reals(kLogits));
            auto labels = Array(std::vector<int32_t>(kBatch, 3));
            auto partials =
                std::make_shared<DeviceArray<HeadResult>>(static_cast<size_t>(SoftmaxXentPartials(shape)));
            auto result = std::make_shared<DeviceArray<HeadResult>>(size_t{1});
            return LaunchNext([=](DeviceStream stream) {
              return LaunchSoftmaxXent(shape, src->data(), biases->data(), labels->data(),
                                       {nullptr, nullptr, slopes->data()}, partials->data(), nullptr,
                                       result->data(), stream);
            });
          }};
}

KernelRow UpdateRow() {
  return {"sgd_update", "2048 x 5", 12.0 * kWeights, 0.0, [] {
            const SgdUpdateShape shape = {kBatch, kFeatures, kClasses, 0.01f};
            auto gradient = Array(Reals(kWeights)), weights = Array(Reals(kWeights));
            auto slopes = Array(Reals(kLogits)), biases = Array(Reals(kClasses));
            auto next = std::make_shared<DeviceArray<float>>(static_cast<size_t>(SgdUpdateNextFloats(shape)));
            auto partials =
                std::make_shared<DeviceArray<SgdPartial>>(static_cast<size_t>(SgdUpdatePartials(shape)));
            auto result = Array(std::vector<HeadResult>{{0.5f, 3, 1}});
            return LaunchNext([=](DeviceStream stream) {
              return LaunchSgdUpdate(
                  {shape, gradient->data(), slopes->data(), weights->data(), biases->data(), next->data(),
                   partials->data(), result->data(), nullptr},
                  stream);
            });
          }};
}

KernelRow PhiloxRow() {
  return {"philox_batch", "100 batches of 100", 8.0 * 100 * kBatch, 0.0, [] {
            std::vector<uint32_t> all, begins = {0, 500, 1200, 1700, 2300, kVectors};
            for (uint32_t i = 0; i < kVectors; ++i) all.push_back(i);
            auto list_rows = Array(all), first = Array(begins);
            auto list_labels = Array(std::vector<int32_t>{0, 1, 2, 3, 4});
            auto rows = std::make_shared<DeviceArray<uint32_t>>(size_t{100} * kBatch);
            auto labels = std::make_shared<DeviceArray<int32_t>>(size_t{100} * kBatch);
            return LaunchNext([=](DeviceStream stream) {
              return LaunchPhiloxBatch({100, kBatch, 5}, {1, 0, 0, 1}, list_rows->data(), first->data(),
                                       list_labels->data(), rows->data(), labels->data(), stream);
            });
          }};
}

}  // namespace

std::vector<KernelRow> HeadRows() {
  return {PhiloxRow(), GatherRow(), SoftmaxRow(), UpdateRow()};
}

}  // namespace couplet::bench
