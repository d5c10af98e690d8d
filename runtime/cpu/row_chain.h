// Layers done together a few rows at a time: each makes what the next one is about to see, into line buffers that stay in the second
// cache. Layer by layer, a MobileNet's first values (3.2 MB a layer at 224 x 224) go out to the third cache and come back.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "runtime/backend.h"

namespace couplet::cpu {

// An op that makes rows of a photo's value from rows of its one source, in order and to the same bits whatever their number. Without
// scratch.
class RowOp : public PreparedOp {
 public:
  struct Rows {
    // Row y of the source lies at row (y - src_first) % src_rows of `src`, which has dense rows. Those that are seen are there.
    const float* src;
    int src_first, src_rows;
    int first, count;  // of the result
    float* dst;        // [count, w, c]
  };
  virtual void RunRows(const Rows& rows) const = 0;
  // Whether this one can, as it was prepared.
  virtual bool makes_rows() const { return true; }
  // Whether a row sees its own row of the source alone; those that one call sees then follow each other in `src`.
  virtual bool sees_own_row() const = 0;
  struct Range {
    int begin, end;
  };
  // The rows of the source, without padding, that [first, first + count) sees.
  virtual Range Sees(int first, int count) const = 0;
  virtual const Shape& src() const = 0;  // of one photo
  virtual const Shape& dst() const = 0;
};

// As Backend::join.
Joined JoinRows(std::span<std::unique_ptr<PreparedOp>> ops);
// The ops as one, whatever it is worth; `rows` of the last one are made at a time. REQUIRES: they make rows, 2 .. kMostInChain
inline constexpr size_t kMostInChain = 32;
std::unique_ptr<PreparedOp> MakeRowChain(std::span<std::unique_ptr<PreparedOp>> ops, int rows);

}  // namespace couplet::cpu
