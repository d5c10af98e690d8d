// What the lanes of a warp do together. SPDX-License-Identifier: Apache-2.0
#include "tests/support/simt/simt.h"

namespace couplet::simt {
namespace {

struct ShuffleOperand {
  Shuffle kind;
  uint64_t value, result;
  int argument, width;
};

// The lane that `lane` reads, by the rules of CUDA's programming guide.
int SourceLane(const ShuffleOperand& o, int lane) {
  const int first = lane & ~(o.width - 1), end = first + o.width;
  int source = lane;
  switch (o.kind) {
    case Shuffle::kIndex:
      source = first + (o.argument & (o.width - 1));
      break;
    case Shuffle::kUp:
      source = lane - o.argument;
      if (source < first) source = lane;
      break;
    case Shuffle::kDown:
      source = lane + o.argument;
      if (source >= end) source = lane;
      break;
    case Shuffle::kXor:
      source = lane ^ o.argument;
      if (source >= end) source = lane;
      break;
  }
  return source;
}

void CompleteShuffle(void* const* operands, unsigned mask, const Place& place) {
  for (int lane = 0; lane < kWarp; ++lane) {
    if ((mask >> lane & 1) == 0) continue;
    ShuffleOperand& mine = *static_cast<ShuffleOperand*>(operands[lane]);
    const int source = SourceLane(mine, lane);
    if (source < 0 || source >= kWarp || (mask >> source & 1) == 0)
      Fail("%s at line %d of %s: lane %d reads lane %d, which is not in the mask 0x%08x", place.what,
           place.line, place.file, lane, source, mask);
    mine.result = static_cast<const ShuffleOperand*>(operands[source])->value;
  }
}

struct BallotOperand {
  bool predicate;
  unsigned result;
};

void CompleteBallot(void* const* operands, unsigned mask, const Place&) {
  unsigned result = 0;
  for (int lane = 0; lane < kWarp; ++lane)
    if ((mask >> lane & 1) != 0 && static_cast<const BallotOperand*>(operands[lane])->predicate)
      result |= 1u << lane;
  for (int lane = 0; lane < kWarp; ++lane)
    if ((mask >> lane & 1) != 0) static_cast<BallotOperand*>(operands[lane])->result = result;
}

}  // namespace

uint64_t ShuffleBits(const Place& place, Shuffle kind, unsigned mask, uint64_t value, int argument,
                     int width) {
  if (width < 1 || width > kWarp || (width & (width - 1)) != 0)
    Fail("%s at line %d of %s: a width of %d is no power of two up to 32", place.what, place.line, place.file,
         width);
  ShuffleOperand operand = {kind, value, 0, argument, width};
  SyncWarp(place, mask, &operand, CompleteShuffle);
  return operand.result;
}

unsigned BallotBits(const Place& place, unsigned mask, bool predicate) {
  BallotOperand operand = {predicate, 0};
  SyncWarp(place, mask, &operand, CompleteBallot);
  return operand.result;
}

}  // namespace couplet::simt
