// Tensor-core instructions by their definition: fragments are put together to matrices, multiplied, and taken
// apart again. Products are exact and sums float, one after the other; real tensor cores add in an order
// nobody promises.
// SPDX-License-Identifier: Apache-2.0
#include "tests/support/simt/simt.h"

namespace couplet::simt {
namespace {

constexpr int kRows = 16, kColumns = 8;

struct MmaOperand {
  float* d;
  const unsigned* a;
  const unsigned* b;
};

// Every half as a float: decoding them takes longer than multiplying.
struct HalfTable {
  float values[65536];
  HalfTable() {
    for (uint32_t h = 0; h < 65536; ++h) values[h] = test::HalfValue(static_cast<uint16_t>(h));
  }
};
const float* HalfValues() {
  static const HalfTable table;
  return table.values;
}

template <int kTerms>
void Multiply(void* const* operands, const float (&a)[kRows][kTerms], const float (&b)[kTerms][kColumns]) {
  float d[kRows][kColumns];
  for (int lane = 0; lane < kWarp; ++lane) {
    const float* mine = static_cast<const MmaOperand*>(operands[lane])->d;
    for (int i = 0; i < 4; ++i) d[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2] = mine[i];
  }
  for (int row = 0; row < kRows; ++row)
    for (int k = 0; k < kTerms; ++k)
      for (int column = 0; column < kColumns; ++column) d[row][column] += a[row][k] * b[k][column];
  for (int lane = 0; lane < kWarp; ++lane) {
    float* mine = static_cast<const MmaOperand*>(operands[lane])->d;
    for (int i = 0; i < 4; ++i) mine[i] = d[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2];
  }
}

void CompleteHalf(void* const* operands, unsigned, const Place&) {
  const float* const values = HalfValues();
  float a[kRows][16], b[16][kColumns];
  for (int lane = 0; lane < kWarp; ++lane) {
    const MmaOperand& o = *static_cast<const MmaOperand*>(operands[lane]);
    const int g = lane / 4, t = lane % 4;
    for (int i = 0; i < 4; ++i)
      for (int half = 0; half < 2; ++half)
        a[g + i % 2 * 8][2 * t + i / 2 * 8 + half] = values[o.a[i] >> (16 * half) & 0xffffu];
    for (int i = 0; i < 2; ++i)
      for (int half = 0; half < 2; ++half)
        b[2 * t + i * 8 + half][g] = values[o.b[i] >> (16 * half) & 0xffffu];
  }
  Multiply(operands, a, b);
}

void CompleteTf32(void* const* operands, unsigned, const Place& place) {
  float a[kRows][8], b[8][kColumns];
  for (int lane = 0; lane < kWarp; ++lane) {
    const MmaOperand& o = *static_cast<const MmaOperand*>(operands[lane]);
    const int g = lane / 4, t = lane % 4;
    for (int i = 0; i < 4; ++i) a[g + i % 2 * 8][t + i / 2 * 4] = test::FloatOfBits(o.a[i]);
    for (int i = 0; i < 2; ++i) b[t + i * 4][g] = test::FloatOfBits(o.b[i]);
    // The device would ignore these bits, and a body that leaves them has not rounded.
    const unsigned low = (o.a[0] | o.a[1] | o.a[2] | o.a[3] | o.b[0] | o.b[1]) & 0x1fffu;
    if (low != 0 && !std::isnan(a[g][t]) && !std::isnan(b[t][g]))
      Fail("%s at line %d of %s: an operand is not rounded to TF32", place.what, place.line, place.file);
  }
  Multiply(operands, a, b);
}

}  // namespace

void MmaHalf16x8x16(const Place& place, float* d, const unsigned* a, const unsigned* b) {
  MmaOperand operand = {d, a, b};
  SyncWarp(place, 0xffffffffu, &operand, CompleteHalf);
}

void MmaTf32_16x8x8(const Place& place, float* d, const unsigned* a, const unsigned* b) {
  MmaOperand operand = {d, a, b};
  SyncWarp(place, 0xffffffffu, &operand, CompleteTf32);
}

}  // namespace couplet::simt
