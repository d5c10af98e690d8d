// The loops of int8_kernel.cc, included once an instruction set, in a namespace that has COUPLET_INT8_TARGET (the attribute), the vector
// types Ints and Floats with the functions below, kVectors of them for kInt8Lanes channels, kPanel, the widest panel in kInt8Lanes, kTileRows by a
// panel's width, and kByteShift, 0 or 128, what is taken off a byte before Dot.
// SPDX-License-Identifier: Apache-2.0

constexpr size_t kStep = kInt8Lanes / kVectors;  // of 32-bit values in a vector
constexpr uint32_t kShiftGroup = kByteShift * 0x01010101u;  // less 128 is the other sign, four times

// The greatest of the values' bits as unsigned integers, less those that `without` has.
COUPLET_INT8_TARGET uint32_t GreatestBits(const float* values, size_t count, uint32_t without) {
  constexpr size_t kMost = 4;
  const Ints mask = SpreadInt(static_cast<int32_t>(without));
  Ints most[kMost];
#pragma GCC unroll 4
  for (size_t v = 0; v < kMost; ++v) most[v] = ZeroInts();
  size_t i = 0;
  for (; i + kMost * kStep <= count; i += kMost * kStep)
#pragma GCC unroll 4
    for (size_t v = 0; v < kMost; ++v) most[v] = GreatestUnsigned(most[v], AndNot(mask, AsInts(LoadFloats(values + i + v * kStep))));
  for (; i < count; i += kStep) {
    const Floats value = count - i >= kStep ? LoadFloats(values + i) : LoadFirst(values + i, static_cast<int>(count - i));
    most[0] = GreatestUnsigned(most[0], AndNot(mask, AsInts(value)));
  }
#pragma GCC unroll 4
  for (size_t v = 1; v < kMost; ++v) most[0] = GreatestUnsigned(most[0], most[v]);
  uint32_t lanes[kStep];
  StoreInts(most[0], lanes);
  return *std::max_element(lanes, lanes + kStep);
}

// Behind a ReLU no value has a sign, and one look is enough.
COUPLET_INT8_TARGET Int8Extent Extent(const float* values, size_t count) {
  const uint32_t all = GreatestBits(values, count, 0);
  return {.magnitude = all < kSignBit ? all : GreatestBits(values, count, kSignBit), .negative = all > kSignBit};
}

// V vectors of channels, of which `count` exist.
template <int V>
COUPLET_INT8_TARGET void ByteColumns(const float* values, int pixels, int channels, int count, const Int8Grid& grid, uint8_t* dst, int32_t* sums) {
  constexpr int kLanes = static_cast<int>(kStep);
  const Floats inverse = SpreadFloat(grid.inverse), shift = SpreadFloat(kInt8WholeNumbers + static_cast<float>(grid.zero));
  const bool whole = count == V * kLanes;
  Ints sum[V];
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) sum[v] = ZeroInts();
  for (int pixel = 0; pixel < pixels; ++pixel, values += channels, dst += UpToGroup(channels))
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const int at = v * kLanes;
      if (v + 1 < V || whole) {
        const Floats value = MultiplyAdd(LoadFloats(values + at), inverse, shift);
        sum[v] = Add(sum[v], AsInts(value));
        StoreBytes(value, dst + at);
      } else {
        const Floats value = MultiplyAdd(LoadFirst(values + at, count - at), inverse, shift);
        uint8_t last[kStep];
        sum[v] = Add(sum[v], AsInts(value));
        StoreBytes(value, last);
        std::memcpy(dst + at, last, static_cast<size_t>(count - at));
      }
    }
  const Ints shifts = SpreadInt(static_cast<int32_t>(std::bit_cast<uint32_t>(kInt8WholeNumbers) * static_cast<uint32_t>(pixels)));
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) StoreInts(Subtract(sum[v], shifts), reinterpret_cast<uint32_t*>(sums + v * kLanes));
}

COUPLET_INT8_TARGET void Bytes(const float* values, int pixels, int channels, const Int8Grid& grid, uint8_t* dst, int32_t* sums) {
  constexpr int kMost = 4, kLanes = static_cast<int>(kStep);
  for (int c = 0; c < channels; c += kMost * kLanes) {
    const int count = std::min(channels - c, kMost * kLanes);
    const auto columns = count > 3 * kLanes ? ByteColumns<4> : count > 2 * kLanes ? ByteColumns<3> : count > kLanes ? ByteColumns<2> : ByteColumns<1>;
    columns(values + c, pixels, channels, count, grid, dst + c, sums + c);
  }
}

// The tile of `t` that begins with pixel `first`: P pixels by W times kInt8Lanes channels.
template <int P, int W>
COUPLET_INT8_TARGET void Tile(const Int8Panel& t, int first) {
  constexpr int kV = W * kVectors;
  Ints sum[P][kV];
#pragma GCC unroll 12
  for (int v = 0; v < kV; ++v) {
    const Ints zeros = Multiply(SpreadInt(kByteShift - t.grid.zero), LoadInts(t.weight_sums + static_cast<size_t>(v) * kStep));
#pragma GCC unroll 12
    for (int p = 0; p < P; ++p) sum[p][v] = zeros;
  }
  const int8_t* weights = t.weights;
  const uint8_t* const* table = t.src + (t.pixel_stride == 0 ? static_cast<size_t>(first) * static_cast<size_t>(t.segments) : 0);
  for (int s = 0; s < t.segments; ++s) {
    const uint8_t* src[P];
    PointTile(table, t.pixel_stride, first, s, src);
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
  // What is read of `t` after a store would be read again each time.
  const Floats low = SpreadFloat(t.clamp.low), high = SpreadFloat(t.clamp.high), grid_step = SpreadFloat(t.grid.step);
  const size_t dst_stride = t.dst_stride;
  const int channels = t.channels;
  const float *const weight_steps = t.weight_steps, *const biases = t.bias;
  float* const tile = t.dst + static_cast<size_t>(first) * dst_stride;
#pragma GCC unroll 12
  for (int v = 0; v < kV; ++v) {
    const size_t at = static_cast<size_t>(v) * kStep;
    const Floats step = Multiply(grid_step, LoadFloats(weight_steps + at)), bias = LoadFloats(biases + at);
    float* dst = tile;
#pragma GCC unroll 12
    for (int p = 0; p < P; ++p, dst += dst_stride) {
      const Floats value = MultiplyAdd(ToFloats(sum[p][v]), step, bias);
      StoreFirst(Least(high, Greatest(low, value)), channels - static_cast<int>(at), dst + at);
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
