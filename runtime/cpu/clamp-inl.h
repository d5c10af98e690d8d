// An activation's range over a vector, for kernels that Highway compiles once an instruction set (foreach_target.h).
// SPDX-License-Identifier: Apache-2.0
#if defined(COUPLET_CPU_CLAMP_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef COUPLET_CPU_CLAMP_INL_H
#undef COUPLET_CPU_CLAMP_INL_H
#else
#define COUPLET_CPU_CLAMP_INL_H
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace couplet::cpu {
namespace HWY_NAMESPACE {

// min(max(value, low), high); NaN stays NaN, so that a wrong number stays visible.
template <class V>
HWY_INLINE V ClampOrNan(V value, V low, V high) {
  namespace hn = hwy::HWY_NAMESPACE;
#if HWY_ARCH_X86
  // Of a number and NaN, in either order, x86 gives the second.
  return hn::Min(high, hn::Max(low, value));
#else
  // NEON gives the number.
  value = hn::IfThenElse(hn::Lt(value, low), low, value);
  return hn::IfThenElse(hn::Gt(value, high), high, value);
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace couplet::cpu
HWY_AFTER_NAMESPACE();

#endif  // once an instruction set
