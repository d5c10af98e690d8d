// SPDX-License-Identifier: Apache-2.0
#include "runtime/cpu/head_layout.h"

#include <algorithm>

namespace couplet::head {

namespace {

// Calls f(offset in weights, distance there, offset in packed, count) for stretches that lie without gaps in packed.
template <class F>
void ForEachStretch(const Layout& layout, const F& f) {
  const size_t features = layout.features, classes = layout.classes;
  if (layout.by_panels()) {
    for (int panel = 0; panel < layout.panels.count; ++panel) {
      const size_t first = static_cast<size_t>(layout.panels.first(panel)), width = static_cast<size_t>(layout.panels.width(panel));
      for (size_t feature = 0; feature < features; ++feature)
        f(feature * classes + first, 1, first * features + feature * width, std::min(width, classes - first));
    }
    return;
  }
  constexpr size_t kTogether = 256;  // features whose weights stay in the nearest cache for all classes
  for (size_t begin = 0; begin < features; begin += kTogether)
    for (size_t c = 0; c < classes; ++c)
      f(begin * classes + c, classes, c * layout.stride() + begin, std::min(kTogether, features - begin));
}

}  // namespace

size_t Layout::size() const {
  return by_panels() ? features * static_cast<size_t>(panels.channels()) : classes * stride();
}

Layout LayoutFor(size_t features, size_t classes) {
  Layout layout{.features = features, .classes = classes, .panels = {}};
  // Panels are faster where they leave at most a quarter of the widest vectors' lanes empty (docs/measured/cpu.md).
  if (4 * classes >= 3 * Padded(classes)) layout.panels = cpu::PanelsFor(static_cast<int>(classes));
  return layout;
}

void Pack(const Layout& layout, const float* weights, float* packed) {
  ForEachStretch(layout, [&](size_t from, size_t distance, size_t to, size_t count) {
    if (distance == 1) std::copy_n(weights + from, count, packed + to);
    else
#pragma GCC unroll 8
      for (size_t i = 0; i < count; ++i) packed[to + i] = weights[from + i * distance];
  });
}

void Unpack(const Layout& layout, const float* packed, float* weights) {
  ForEachStretch(layout, [&](size_t to, size_t distance, size_t from, size_t count) {
    if (distance == 1) std::copy_n(packed + from, count, weights + to);
    else
#pragma GCC unroll 8
      for (size_t i = 0; i < count; ++i) weights[to + i * distance] = packed[from + i];
  });
}

}  // namespace couplet::head
