// See head_kernels.h. Highway compiles this file once an instruction set (foreach_target.h includes it
// again). SPDX-License-Identifier: Apache-2.0
#include "runtime/cpu/head_kernels.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "runtime/cpu/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/cpu/head_kernels.cc"
#include "runtime/cpu/kernel_targets.h"
#include <hwy/foreach_target.h>
// After foreach_target.h:
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace couplet::head {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using D = hn::CappedTag<float, kPad>;
using V = hn::Vec<D>;

// With 32 registers 4 rows (or vectors) by 6 classes are held at once, with 16 registers 2 by 6.
#if COUPLET_MANY_REGISTERS
constexpr int kBlock = 4;
#else
constexpr int kBlock = 2;
#endif
constexpr int kClassBlock = 6;

// Classes are dealt evenly: 7 as 4 + 3 rather than 6 + 1.
size_t ClassStep(size_t classes) {
  const size_t blocks = (classes + kClassBlock - 1) / kClassBlock;
  return (classes + blocks - 1) / blocks;
}

// Calls f(integral_constant<K>) for K = count <= kClassBlock.
template <int K = kClassBlock, class F>
HWY_INLINE void WithClasses(size_t count, const F& f) {
  if constexpr (K > 1) {
    if (count < K) return WithClasses<K - 1>(count, f);
  }
  f(std::integral_constant<int, K>());
}

// Dot products of R vectors with K classes. `next` are the vectors after them: rows drawn from all over a set that no near
// cache holds, which no hardware foresees, so `ask` floats of each are asked for while these are computed. Into the second cache, where
// the update finds them too: four rows of 8 KB would push everything else out of the nearest one.
template <int R, int K>
HWY_INLINE void Accumulate(const float* const* x, const float* const* next, size_t ask, const float* w, size_t stride, size_t count,
                           V (&sum)[R][K]) {
  const D d;
  for (size_t i = 0; i < count; i += hn::Lanes(d)) {
    V xv[R];
    for (int r = 0; r < R; ++r) xv[r] = hn::LoadU(d, x[r] + i);
    if (i < ask)
      for (int r = 0; r < R; ++r) __builtin_prefetch(next[r] + i, 0, 2);
    for (int k = 0; k < K; ++k) {
      const V wv = hn::Load(d, w + k * stride + i);
      for (int r = 0; r < R; ++r) sum[r][k] = hn::MulAdd(xv[r], wv, sum[r][k]);
    }
  }
}

template <int R, int K>
HWY_INLINE void ForwardBlock(const Layout& layout, const Batch& batch, size_t row, size_t first_class, const float* weights,
                             const float* biases, float* logits) {
  const D d;
  const size_t stride = layout.stride(), whole = layout.features / kPad * kPad;
  V sum[R][K];
  for (int r = 0; r < R; ++r)
    for (int k = 0; k < K; ++k) sum[r][k] = hn::Zero(d);
  const float* w = weights + first_class * stride;
  const float* const* rows = batch.rows + row;
  // Intel's processors see by a row's first lines how it goes on; the others would only wait for each other.
  constexpr size_t kFirstLines = 8 * cpu::kLineFloats;
  const size_t ask = row + size_t{2} * R > batch.n ? 0 : cpu::MadeByIntel() ? kFirstLines : whole;
  Accumulate<R, K>(rows, rows + R, ask, w, stride, whole, sum);
  if (whole < layout.features) {
    const float* tails[R];
    for (int r = 0; r < R; ++r) tails[r] = batch.tails + (row + r) * kPad;
    Accumulate<R, K>(tails, tails, 0, w + whole, stride, kPad, sum);
  }
  for (int r = 0; r < R; ++r) {
    float* out = logits + (row + r) * Padded(layout.classes) + first_class;
    for (int k = 0; k < K; ++k) out[k] = hn::GetLane(hn::SumOfLanes(d, sum[r][k])) + biases[first_class + k];
  }
}

void ForwardImpl(const Layout& layout, const Batch& batch, const float* weights, const float* biases, float* logits) {
  const size_t step = ClassStep(layout.classes);
  for (size_t row = 0; row < batch.n;) {
    const bool full = row + kBlock <= batch.n;
    for (size_t c = 0; c < layout.classes; c += step) {
      WithClasses(std::min(step, layout.classes - c), [&](auto k) {
        if (full)
          ForwardBlock<kBlock, k()>(layout, batch, row, c, weights, biases, logits);
        else
          ForwardBlock<1, k()>(layout, batch, row, c, weights, biases, logits);
      });
    }
    row += full ? kBlock : 1;
  }
}

// One row; the return value is sum of exp(logit - largest).
HWY_INLINE float SoftmaxRow(const float* logits, size_t classes, float* probabilities, float* largest,
                            bool* finite) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  const V lowest = hn::Set(d, -std::numeric_limits<float>::infinity());
  V most = lowest, zeros = hn::Zero(d);
  for (size_t c = 0; c < classes; c += lanes) {
    const auto mask = hn::FirstN(d, classes - c);
    const V z = hn::LoadU(d, logits + c);
    most = hn::Max(most, hn::IfThenElse(mask, z, lowest));
    zeros = hn::Add(zeros, hn::IfThenElseZero(mask, hn::Sub(z, z)));  // 0, or NaN where z is not finite
  }
  *largest = hn::GetLane(hn::MaxOfLanes(d, most));
  *finite = hn::GetLane(hn::SumOfLanes(d, zeros)) == 0.0f;
  const V max = hn::Set(d, *largest);
  V sum = hn::Zero(d);
  for (size_t c = 0; c < Padded(classes); c += lanes) {
    const auto mask = hn::FirstN(d, c < classes ? classes - c : 0);
    const V e = hn::IfThenElseZero(mask, hn::Exp(d, hn::Sub(hn::LoadU(d, logits + c), max)));
    sum = hn::Add(sum, e);
    hn::StoreU(e, d, probabilities + c);
  }
  const V total = hn::SumOfLanes(d, sum);
  for (size_t c = 0; c < Padded(classes); c += lanes)
    hn::StoreU(hn::Div(hn::LoadU(d, probabilities + c), total), d, probabilities + c);
  return hn::GetLane(total);
}

SoftmaxSums SoftmaxImpl(const float* logits, const int32_t* labels, size_t n, size_t classes,
                        float* probabilities) {
  constexpr size_t kLogTogether = 8;  // rows; a row's sum of exponentials lies between 1 and the number of classes
  SoftmaxSums sums;
  double totals = 1.0;
  for (size_t i = 0; i < n; ++i) {
    const float* z = logits + i * Padded(classes);
    float largest;
    bool finite;
    totals *= static_cast<double>(SoftmaxRow(z, classes, probabilities + i * Padded(classes), &largest, &finite));
    const size_t label = static_cast<size_t>(labels[i]);
    sums.loss -= static_cast<double>(z[label]) - static_cast<double>(largest);
    if (i % kLogTogether == kLogTogether - 1 || i + 1 == n) sums.loss += std::log(std::exchange(totals, 1.0));
    sums.correct += z[label] == largest && std::find(z, z + label, largest) == z + label;
    sums.finite = sums.finite && finite;
  }
  sums.finite = sums.finite && std::isfinite(sums.loss);
  return sums;
}

void SlopesImpl(const int32_t* labels, size_t n, size_t classes, float* values) {
  const D d;
  const V one = hn::Set(d, 1.0f), scale = hn::Set(d, 1.0f / static_cast<float>(n));
  for (size_t i = 0; i < n; ++i) {
    const V label = hn::Set(d, static_cast<float>(labels[i]));
    for (size_t c = 0; c < Padded(classes); c += hn::Lanes(d), values += hn::Lanes(d)) {
      const V wanted = hn::IfThenElseZero(hn::Eq(hn::Iota(d, static_cast<float>(c)), label), one);
      hn::StoreU(hn::Mul(hn::Sub(hn::LoadU(d, values), wanted), scale), d, values);
    }
  }
}

// T vectors of features from `d0` on by K classes. x[i] is where row i's features d0... lie.
template <int T, int K, class Rows>
HWY_INLINE V UpdateBlock(const Rows& x, size_t n, const float* slopes, size_t slope_stride,
                         float learning_rate, const float* src, float* dst, size_t stride, V bad) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  V sum[K][T];
  for (int k = 0; k < K; ++k)
    for (int t = 0; t < T; ++t) sum[k][t] = hn::Zero(d);
  for (size_t i = 0; i < n; ++i) {
    const float* row = x(i);
    const float* slope = slopes + i * slope_stride;
    V xv[T];
    for (int t = 0; t < T; ++t) xv[t] = hn::LoadU(d, row + t * lanes);
    for (int k = 0; k < K; ++k) {
      const V s = hn::Set(d, slope[k]);
      for (int t = 0; t < T; ++t) sum[k][t] = hn::MulAdd(xv[t], s, sum[k][t]);
    }
  }
  const V rate = hn::Set(d, learning_rate);
  for (int k = 0; k < K; ++k) {
    for (int t = 0; t < T; ++t) {
      const size_t at = k * stride + t * lanes;
      const V w = hn::NegMulAdd(rate, sum[k][t], hn::Load(d, src + at));
      hn::Store(w, d, dst + at);
      bad = hn::Add(bad, hn::Sub(w, w));  // 0, or NaN for good
    }
  }
  return bad;
}

bool UpdateImpl(const Layout& layout, const Batch& batch, const float* slopes, float learning_rate, const float* src, float* dst) {
  const D d;
  const size_t lanes = hn::Lanes(d), stride = layout.stride();
  const size_t features = Padded(layout.features), whole = layout.features / kPad * kPad;
  const size_t step = ClassStep(layout.classes), slope_stride = Padded(layout.classes);
  V bad = hn::Zero(d);
  for (size_t f = 0; f < features;) {
    const bool full = f + kBlock * lanes <= whole;
    const bool in_tail = f >= whole;
    for (size_t c = 0; c < layout.classes; c += step) {
      const size_t at = c * stride + f;
      WithClasses(std::min(step, layout.classes - c), [&](auto k) {
        const auto rows = [&](size_t i) { return batch.rows[i] + f; };
        const auto tails = [&](size_t i) { return batch.tails + i * kPad + (f - whole); };
        const auto run = [&]<int T>(const auto& x) {
          bad = UpdateBlock<T, k()>(x, batch.n, slopes + c, slope_stride, learning_rate, src + at, dst + at,
                                    stride, bad);
        };
        if (full)
          run.template operator()<kBlock>(rows);
        else if (in_tail)
          run.template operator()<1>(tails);
        else
          run.template operator()<1>(rows);
      });
    }
    f += full ? kBlock * lanes : lanes;
  }
  return hn::GetLane(hn::SumOfLanes(d, bad)) == 0.0f;
}

}  // namespace HWY_NAMESPACE
}  // namespace couplet::head
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "runtime/cpu/head_panels.h"

namespace couplet::head {

void Forward(const Layout& layout, const Batch& batch, const float* weights, const float* biases, float* logits, cpu::Team& team) {
  if (layout.by_panels()) return ForwardPanels(layout, batch, weights, biases, logits, team);
  COUPLET_DISPATCH(ForwardImpl)(layout, batch, weights, biases, logits);
}
SoftmaxSums Softmax(const float* logits, const int32_t* labels, size_t n, size_t classes,
                    float* probabilities) {
  return COUPLET_DISPATCH(SoftmaxImpl)(logits, labels, n, classes, probabilities);
}
void Slopes(const int32_t* labels, size_t n, size_t classes, float* values) {
  COUPLET_DISPATCH(SlopesImpl)(labels, n, classes, values);
}
bool Update(const Layout& layout, const Batch& batch, const float* slopes, float learning_rate, const float* src, float* dst,
            cpu::Team& team) {
  if (layout.by_panels()) return UpdatePanels(layout, batch, slopes, learning_rate, src, dst, team);
  return COUPLET_DISPATCH(UpdateImpl)(layout, batch, slopes, learning_rate, src, dst);
}

}  // namespace couplet::head
#endif  // HWY_ONCE
