// SPDX-License-Identifier: Apache-2.0
#include "runtime/cpu/head_layout.h"

#include <algorithm>

namespace couplet::head {

namespace {

// Calls f(offset in weights, offset in packed, stride in packed, count) for stretches of a feature's classes.
template <class F>
void ForEachStretch(const Layout& layout, const F& f) {
  const size_t classes = layout.classes;
  if (!layout.by_panels()) {
    for (size_t feature = 0; feature < layout.features; ++feature)
      f(feature * classes, feature, Padded(layout.features), classes);
    return;
  }
  for (int panel = 0; panel < layout.panels.count; ++panel) {
    const size_t first = static_cast<size_t>(layout.panels.first(panel)), width = static_cast<size_t>(layout.panels.width(panel));
    for (size_t feature = 0; feature < layout.features; ++feature)
      f(feature * classes + first, first * layout.features + feature * width, 1, std::min(width, classes - first));
  }
}

}  // namespace

size_t Layout::size() const {
  return by_panels() ? features * static_cast<size_t>(panels.channels()) : classes * Padded(features);
}

Layout LayoutFor(size_t features, size_t classes) {
  Layout layout{.features = features, .classes = classes, .panels = {}};
  // Panels are faster where they leave at most a quarter of the widest vectors' lanes empty (docs/measured/cpu.md).
  if (4 * classes >= 3 * Padded(classes)) layout.panels = cpu::PanelsFor(static_cast<int>(classes));
  return layout;
}

void Pack(const Layout& layout, const float* weights, float* packed) {
  ForEachStretch(layout, [&](size_t from, size_t to, size_t stride, size_t count) {
    if (stride == 1) std::copy_n(weights + from, count, packed + to);
    else for (size_t i = 0; i < count; ++i) packed[to + i * stride] = weights[from + i];
  });
}

void Unpack(const Layout& layout, const float* packed, float* weights) {
  ForEachStretch(layout, [&](size_t from, size_t to, size_t stride, size_t count) {
    if (stride == 1) std::copy_n(packed + to, count, weights + from);
    else for (size_t i = 0; i < count; ++i) weights[from + i] = packed[to + i * stride];
  });
}

}  // namespace couplet::head
