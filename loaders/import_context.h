// What the importer's table rows share: the values on the edges of the TensorFlow graph, and the Graph being
// built. Internal to loaders/import_*.cc and loaders/constant_folding.cc.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "loaders/graphdef.h"
#include "loaders/import_tf.h"
#include "runtime/graph.h"

namespace couplet::import_tf {

struct Constant {
  std::vector<int64_t> dims;
  ConstTensor floats;  // dtype float: every element
  TensorValue raw;     // any other dtype, as the file has it
  bool is_float() const { return raw.dtype == DataType::kInvalid; }
};

// What one edge carries: a constant, or what a layer computes from the photos.
struct Value {
  std::shared_ptr<const Constant> constant;
  int layer = -1;
  int rank = 4;  // as TensorFlow sees it: 4 [n, h, w, c] or 2 [n, c]
  bool is_constant() const { return constant != nullptr; }
};
using Inputs = std::span<const Value>;

class ImportContext {
 public:
  ImportContext(const GraphDef& def, const ImportOptions& options) : def_(def), options_(options) {}
  const GraphDef& def() const { return def_; }
  const ImportOptions& options() const { return options_; }
  Graph& graph() { return graph_; }

  // "graph.pb: node 'a/b' (Conv2D): reason"
  Status Error(const NodeView& node, std::string_view reason) const;

  // Appends a layer named after the node. Checks the shape against the limits.
  Result<Value> AddLayer(const NodeView& node, std::vector<int> inputs, const Shape& shape, int rank,
                         LayerAttrs attrs);
  // A float constant; CheckFinite() looks at its values. `node` is one of def()'s.
  Value AddConstant(const NodeView& node, ConstTensor floats);
  // Refuses values that are not finite, unless options().allow_nonfinite: the first node added that holds one. After all are
  // added, because it reads the whole file and takes the threads for that.
  Status CheckFinite() const;
  // Floats that are made in memory are counted: a few bytes of a file can stand for gigabytes of equal
  // numbers.
  Status Charge(const NodeView& node, size_t floats);

  const Shape& shape(const Value& value) const {
    return graph_.layers[static_cast<size_t>(value.layer)].shape;
  }
  // The constant `inputs[i]` as floats of `rank` dimensions (-1: any), or why not.
  Result<ConstTensor> Floats(const NodeView& node, Inputs inputs, size_t i, int rank = -1) const;
  // The constant `inputs[i]` as a handful of integers (axes, shapes, paddings).
  Result<std::vector<int64_t>> Integers(const NodeView& node, Inputs inputs, size_t i) const;

 private:
  const GraphDef& def_;
  const ImportOptions& options_;
  Graph graph_;
  size_t charged_ = 0;
  std::vector<std::pair<const NodeView*, ConstTensor>> constants_;
};

// Two kinds of handlers make up the table: `fold` when every input is a constant, `layer` otherwise.
using Handler = Result<Value> (*)(ImportContext& context, const NodeView& node, Inputs inputs);

// loaders/constant_folding.cc: float32 throughout, as TensorFlow computes them.
Result<Value> FoldConst(ImportContext& context, const NodeView& node, Inputs inputs);
Result<Value> FoldIdentity(ImportContext& context, const NodeView& node, Inputs inputs);
Result<Value> FoldAdd(ImportContext& context, const NodeView& node, Inputs inputs);
Result<Value> FoldSub(ImportContext& context, const NodeView& node, Inputs inputs);
Result<Value> FoldMul(ImportContext& context, const NodeView& node, Inputs inputs);
Result<Value> FoldRsqrt(ImportContext& context, const NodeView& node, Inputs inputs);
Result<Value> FoldReshape(ImportContext& context, const NodeView& node, Inputs inputs);
Result<Value> FoldDequantize(ImportContext& context, const NodeView& node, Inputs inputs);

// loaders/import_windows.cc: ops that slide a window over the map.
Result<Value> ImportConv2D(ImportContext& context, const NodeView& node, Inputs inputs);
Result<Value> ImportDepthwise(ImportContext& context, const NodeView& node, Inputs inputs);
Result<Value> ImportAvgPool(ImportContext& context, const NodeView& node, Inputs inputs);
Result<Value> ImportMaxPool(ImportContext& context, const NodeView& node, Inputs inputs);
Result<Value> ImportPad(ImportContext& context, const NodeView& node, Inputs inputs);
Result<Value> ImportMean(ImportContext& context, const NodeView& node, Inputs inputs);

// loaders/import_channels.cc: element by element, or over channels.
Result<Value> ImportIdentity(ImportContext& context, const NodeView& node, Inputs inputs);
Result<Value> ImportAdd(ImportContext& context, const NodeView& node, Inputs inputs);
Result<Value> ImportSub(ImportContext& context, const NodeView& node, Inputs inputs);
Result<Value> ImportMul(ImportContext& context, const NodeView& node, Inputs inputs);
Result<Value> ImportBiasAdd(ImportContext& context, const NodeView& node, Inputs inputs);
Result<Value> ImportRelu(ImportContext& context, const NodeView& node, Inputs inputs);
Result<Value> ImportRelu6(ImportContext& context, const NodeView& node, Inputs inputs);
Result<Value> ImportFusedBatchNorm(ImportContext& context, const NodeView& node, Inputs inputs);
Result<Value> ImportGlobalBatchNorm(ImportContext& context, const NodeView& node, Inputs inputs);
Result<Value> ImportMatMul(ImportContext& context, const NodeView& node, Inputs inputs);
Result<Value> ImportSoftmax(ImportContext& context, const NodeView& node, Inputs inputs);
Result<Value> ImportReshape(ImportContext& context, const NodeView& node, Inputs inputs);
Result<Value> ImportSqueeze(ImportContext& context, const NodeView& node, Inputs inputs);
Result<Value> ImportConcat(ImportContext& context, const NodeView& node, Inputs inputs);
Result<Value> ImportConcatV2(ImportContext& context, const NodeView& node, Inputs inputs);

// Text from a file as it may stand in a message: printable, on one line, not long.
std::string Printable(std::string_view text);

// NHWC is the only layout; says so where the node asks for another.
Status RequireNhwc(const ImportContext& context, const NodeView& node);

}  // namespace couplet::import_tf
