// The loops of int8_kernel.cc, included once an instruction set, in a namespace that has COUPLET_INT8_TARGET (the attribute), the vector
// types Ints and Floats with the functions below, kVectors of them for kInt8Lanes channels, kPanel, the widest panel in kInt8Lanes, kTileRows by a
// panel's width, and kByteShift, 0 or 128, what is taken off a byte before Dot.
// SPDX-License-Identifier: Apache-2.0

constexpr size_t kStep = kInt8Lanes / kVectors;  // of 32-bit values in a vector
constexpr uint32_t kShiftGroup = kByteShift * 0x01010101u;  // less 128 is the other sign, four times

// V vectors of channels.
template <int V>
COUPLET_INT8_TARGET void Span(const float* values, int pixels, int channels, int count, float* sums, Ints* magnitude, Ints* bits) {
  const Ints sign = SpreadInt(INT32_MIN);
  Floats sum[V];
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) sum[v] = SpreadFloat(0.0f);
  for (int pixel = 0; pixel < pixels; ++pixel, values += channels)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const int at = v * static_cast<int>(kStep);
      const Floats value = v + 1 < V || count - at >= static_cast<int>(kStep) ? LoadFloats(values + at) : LoadFirst(values + at, count - at);
      sum[v] = Add(sum[v], value);
      bits[v] = GreatestUnsigned(bits[v], AsInts(value));
      magnitude[v] = GreatestUnsigned(magnitude[v], AndNot(sign, AsInts(value)));
    }
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) StoreFirst(sum[v], count - v * static_cast<int>(kStep), sums + static_cast<size_t>(v) * kStep);
}

COUPLET_INT8_TARGET Int8Extent Extent(const float* values, int pixels, int channels, float* sums) {
  constexpr int kMost = 4, kLanes = static_cast<int>(kStep);
  Ints magnitude[kMost], bits[kMost];  // as integers, negative values are those greater than minus zero's bits
#pragma GCC unroll 4
  for (int v = 0; v < kMost; ++v) magnitude[v] = bits[v] = ZeroInts();
  for (int c = 0; c < channels; c += kMost * kLanes) {
    const int count = channels - c;
    const auto span = count > 3 * kLanes ? Span<4> : count > 2 * kLanes ? Span<3> : count > kLanes ? Span<2> : Span<1>;
    span(values + c, pixels, channels, count, sums + c, magnitude, bits);
  }
  uint32_t most[2][kStep];
#pragma GCC unroll 4
  for (int v = 1; v < kMost; ++v) {
    bits[0] = GreatestUnsigned(bits[0], bits[v]);
    magnitude[0] = GreatestUnsigned(magnitude[0], magnitude[v]);
  }
  StoreInts(bits[0], most[0]), StoreInts(magnitude[0], most[1]);
  return {.magnitude = *std::max_element(most[1], most[1] + kStep), .negative = *std::max_element(most[0], most[0] + kStep) > kSignBit};
}

COUPLET_INT8_TARGET void Bytes(const float* values, size_t count, const Int8Grid& grid, uint8_t* dst) {
  const Floats inverse = SpreadFloat(grid.inverse), shift = SpreadFloat(kInt8WholeNumbers + static_cast<float>(grid.zero));
  size_t i = 0;
  for (; i + kStep <= count; i += kStep) StoreBytes(MultiplyAdd(LoadFloats(values + i), inverse, shift), dst + i);
  if (i == count) return;
  uint8_t last[kStep];
  StoreBytes(MultiplyAdd(LoadFirst(values + i, static_cast<int>(count - i)), inverse, shift), last);
  std::memcpy(dst + i, last, count - i);
}

// The tile of `t` that begins with pixel `first`: P pixels by W times kInt8Lanes channels.
template <int P, int W>
COUPLET_INT8_TARGET void Tile(const Int8Panel& t, int first) {
  constexpr int kV = W * kVectors;
  Ints sum[P][kV];
#pragma GCC unroll 12
  for (int p = 0; p < P; ++p)
#pragma GCC unroll 12
    for (int v = 0; v < kV; ++v) sum[p][v] = ZeroInts();
  const int8_t* weights = t.weights;
  const uint8_t* const* table = t.src + (t.pixel_stride == 0 ? static_cast<size_t>(first) * static_cast<size_t>(t.segments) : 0);
  for (int s = 0; s < t.segments; ++s) {
    const uint8_t* src[P];
#pragma GCC unroll 12
    for (int p = 0; p < P; ++p)
      src[p] = t.pixel_stride == 0 ? table[s * P + p] : table[s] + static_cast<size_t>(first + p) * t.pixel_stride;
    for (int k = 0; k < t.length; k += kInt8Group, weights += kV * kStep * kInt8Group) {
      Ints b[kV];
#pragma GCC unroll 12
      for (int v = 0; v < kV; ++v) b[v] = LoadInts(weights + static_cast<size_t>(v) * kStep * kInt8Group);
#pragma GCC unroll 12
      for (int p = 0; p < P; ++p) {
        const Ints a = SpreadInt(static_cast<int32_t>(GroupAt(src[p] + k) ^ kShiftGroup));
#pragma GCC unroll 12
        for (int v = 0; v < kV; ++v) sum[p][v] = Dot(sum[p][v], a, b[v]);
      }
    }
  }
  const Floats low = SpreadFloat(t.clamp.low), high = SpreadFloat(t.clamp.high);
#pragma GCC unroll 12
  for (int v = 0; v < kV; ++v) {
    const size_t at = static_cast<size_t>(v) * kStep;
    const Floats step = Multiply(SpreadFloat(t.grid.step), LoadFloats(t.weight_steps + at)), bias = LoadFloats(t.bias + at);
    const Ints zeros = Multiply(SpreadInt(t.grid.zero - kByteShift), LoadInts(t.weight_sums + at));
    float* dst = t.dst + static_cast<size_t>(first) * t.dst_stride;
#pragma GCC unroll 12
    for (int p = 0; p < P; ++p, dst += t.dst_stride) {
      const Floats value = MultiplyAdd(ToFloats(Subtract(sum[p][v], zeros)), step, bias);
      StoreFirst(Least(high, Greatest(low, value)), t.channels - static_cast<int>(at), dst + at);
    }
  }
}

// The tile of `pixels`, at most P.
template <int P, int W>
COUPLET_INT8_TARGET void TileOf(const Int8Panel& t, int first, int pixels) {
  if constexpr (P > 1) {
    if (pixels < P) return TileOf<P - 1, W>(t, first, pixels);
  }
  Tile<P, W>(t, first);
}

template <int W = kPanel>
COUPLET_INT8_TARGET void PanelOfWidth(const Int8Panel& t) {
  if constexpr (W > 1) {
    if (t.width < W * kInt8Lanes) return PanelOfWidth<W - 1>(t);
  }
  const Tiles tiles(t.pixels, t.tile);
  for (int tile = 0, next, first = 0; tile < tiles.count; ++tile, first = next) {
    next = tiles.begin(tile + 1);
    TileOf<kTileRows[W], W>(t, first, next - first);
  }
}

Panels PanelsOf(int channels) { return DealPanels(channels, kInt8Lanes, kPanel, kTileRows); }
COUPLET_INT8_TARGET void Panel(const Int8Panel& t) { PanelOfWidth<>(t); }
