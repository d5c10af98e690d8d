// SPDX-License-Identifier: Apache-2.0
#include "runtime/cpu/row_chain.h"

#include <algorithm>
#include <array>
#include <vector>

#include "runtime/planner.h"

namespace couplet::cpu {
namespace {

// A layer that reads and writes so much has its values in the third cache, if nobody keeps them nearer.
constexpr int64_t kWorthBytes = 1 << 20;
// All line buffers of a chain: they share the second cache with a layer's weights.
constexpr size_t kBufferBytes = 640 << 10;
constexpr int kMostRows = 4;

int64_t Bytes(const Shape& shape) { return shape.per_image() * static_cast<int64_t>(sizeof(float)); }

using RowOps = std::vector<const RowOp*>;

// Line buffer k lies between op k, which writes it, and op k + 1; the last op writes to where the result belongs.
class Schedule {
 public:
  // `rows` of the last op are made at a time, of the others what that comes to.
  Schedule(const RowOps& ops, int rows) : ops_(ops) {
    for (size_t k = ops.size(); k-- > 0;) {
      const Shape &src = ops[k]->src(), &dst = ops[k]->dst();
      lines_[k].step = rows;
      rows = std::min(rows * ((src.h + dst.h - 1) / dst.h), src.h);
    }
  }

  // make(k, first, count) for every op, in the order in which rows are needed.
  template <class Make>
  void Run(const Make& make) {
    MakeUpTo(ops_.size() - 1, ops_.back()->dst().h, make);
  }
  int made(size_t k) const { return lines_[k].made; }
  // Which row lies first in buffer k.
  int base(size_t k) const { return lines_[k].base; }

 private:
  struct Line {
    int step = 1, made = 0, base = 0;
  };
  template <class Make>
  void MakeUpTo(size_t k, int end, const Make& make) {
    Line& line = lines_[k];
    while (line.made < end) {
      const int first = line.made, count = std::min(line.step, end - first);
      if (k > 0) MakeUpTo(k - 1, ops_[k]->Sees(first, count).end, make);
      // Who sees its own rows alone takes as many at a time as are made: those before have been seen, so the buffer is begun anew.
      if (k + 1 < ops_.size() && ops_[k + 1]->sees_own_row()) line.base = first;
      make(k, first, count);
      line.made += count;
    }
  }

  const RowOps& ops_;
  std::array<Line, kMostInChain> lines_;
};

// Rows that each line buffer needs.
std::vector<int> BufferRows(const RowOps& ops, int rows) {
  std::vector<int> most(ops.size() - 1, 1);
  Schedule schedule(ops, rows);
  schedule.Run([&](size_t k, int first, int count) {
    if (k > 0) most[k - 1] = std::max(most[k - 1], schedule.made(k - 1) - ops[k]->Sees(first, count).begin);
  });
  return most;
}

size_t BufferBytes(const RowOp& op, int rows) {
  return AlignUp(static_cast<size_t>(rows) * static_cast<size_t>(op.dst().w) * static_cast<size_t>(op.dst().c) * sizeof(float));
}

size_t BufferBytes(const RowOps& ops, int rows) {
  const std::vector<int> most = BufferRows(ops, rows);
  size_t bytes = 0;
  for (size_t k = 0; k < most.size(); ++k) bytes += BufferBytes(*ops[k], most[k]);
  return bytes;
}

class RowChain final : public PreparedOp {
 public:
  RowChain(std::vector<std::unique_ptr<PreparedOp>> held, RowOps ops, int rows)
      : held_(std::move(held)), ops_(std::move(ops)), rows_(rows), buffer_rows_(BufferRows(ops_, rows)) {
    for (size_t k = 0; k < buffer_rows_.size(); ++k) scratch_bytes_ += BufferBytes(*ops_[k], buffer_rows_[k]);
  }

  size_t scratch_bytes() const override { return scratch_bytes_; }

  Status run(const RunArgs& args) const override {
    const size_t last = ops_.size() - 1;
    std::array<float*, kMostInChain> buffers;
    auto* at = static_cast<std::byte*>(args.scratch);
    for (size_t k = 0; k < last; at += BufferBytes(*ops_[k], buffer_rows_[k]), ++k) buffers[k] = reinterpret_cast<float*>(at);
    for (int photo = 0; photo < args.n; ++photo) {
      const float* const src = static_cast<const float*>(args.src[0]) + photo * ops_[0]->src().per_image();
      float* const dst = static_cast<float*>(args.dst) + photo * ops_[last]->dst().per_image();
      Schedule schedule(ops_, rows_);
      schedule.Run([&](size_t k, int first, int count) {
        const int64_t row = int64_t{ops_[k]->dst().w} * ops_[k]->dst().c;
        RowOp::Rows rows{.src = src, .src_first = 0, .src_rows = ops_[0]->src().h, .first = first, .count = count, .dst = dst + first * row};
        if (k > 0) rows.src = buffers[k - 1], rows.src_first = schedule.base(k - 1), rows.src_rows = buffer_rows_[k - 1];
        if (k == last) return ops_[k]->RunRows(rows);
        // In two parts where they go over the buffer's end.
        for (const int end = first + count; rows.first < end; rows.first += rows.count) {
          const int place = (rows.first - schedule.base(k)) % buffer_rows_[k];
          rows.count = std::min(end - rows.first, buffer_rows_[k] - place);
          rows.dst = buffers[k] + place * row;
          ops_[k]->RunRows(rows);
        }
      });
    }
    return {};
  }

 private:
  std::vector<std::unique_ptr<PreparedOp>> held_;
  RowOps ops_;  // held_, as what they are
  int rows_;
  std::vector<int> buffer_rows_;
  size_t scratch_bytes_ = 0;
};

// The first of them that can be one: each makes rows of what the one before it made, and reads and writes `least_bytes` a photo.
RowOps AsRowOps(std::span<const std::unique_ptr<PreparedOp>> ops, int64_t least_bytes) {
  RowOps row_ops;
  for (const auto& op : ops) {
    const auto* const row_op = dynamic_cast<const RowOp*>(op.get());
    if (row_op == nullptr || !row_op->makes_rows() || Bytes(row_op->src()) + Bytes(row_op->dst()) < least_bytes) break;
    if (!row_ops.empty() && row_op->src() != row_ops.back()->dst()) break;  // it sees the same numbers in another shape
    row_ops.push_back(row_op);
  }
  return row_ops;
}

}  // namespace

std::unique_ptr<PreparedOp> MakeRowChain(std::span<std::unique_ptr<PreparedOp>> ops, int rows) {
  RowOps row_ops = AsRowOps(ops, 0);
  COUPLET_CHECK(row_ops.size() == ops.size() && ops.size() >= 2 && ops.size() <= kMostInChain);
  std::vector<std::unique_ptr<PreparedOp>> held;
  for (auto& op : ops) held.push_back(std::move(op));
  return std::make_unique<RowChain>(std::move(held), std::move(row_ops), rows);
}

Joined JoinRows(std::span<std::unique_ptr<PreparedOp>> ops) {
  RowOps row_ops = AsRowOps(ops.first(std::min(ops.size(), kMostInChain)), kWorthBytes);
  while (row_ops.size() >= 2 && BufferBytes(row_ops, 1) > kBufferBytes) row_ops.pop_back();
  if (row_ops.size() < 2) return {};
  int rows = kMostRows;
  while (BufferBytes(row_ops, rows) > kBufferBytes) --rows;
  return {.count = row_ops.size(), .op = MakeRowChain(ops.first(row_ops.size()), rows)};
}

}  // namespace couplet::cpu
