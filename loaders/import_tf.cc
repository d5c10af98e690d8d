// The walk over the graph: which nodes the output needs, in an order in which inputs come first, and for each
// the row of the table that knows its op.
// SPDX-License-Identifier: Apache-2.0
#include "loaders/import_tf.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "loaders/import_context.h"
#include "loaders/nearest_name.h"
#include "loaders/tensor_proto.h"
#include "loaders/threads.h"
#include "runtime/shape.h"

namespace couplet {
namespace import_tf {
namespace {

// Constants made in memory (256 MiB of floats): ten times what Inception v3 has in all.
constexpr size_t kMaxMadeFloats = size_t{1} << 26;
constexpr size_t kMaxIntegers = 64;
constexpr int kMaxInputSize = 16384;

Result<Value> NotFed(ImportContext& context, const NodeView& node, Inputs) {
  return context.Error(
      node, fmt::format("is needed by the output, but photos go into '{}': give this node as the input layer",
                        context.options().input_layer));
}

// `takes`: one letter an input: a = must be computed from the photos, c = must be a constant, x = either; '*'
// repeats the letter before it. `fold` serves nodes that have constants only, `layer` all others; null: not
// supported so.
struct OpRow {
  std::string_view op, takes;
  Handler fold, layer;
};
constexpr OpRow kOps[] = {
    {"Add", "xx", FoldAdd, ImportAdd},
    {"AddV2", "xx", FoldAdd, ImportAdd},
    {"AvgPool", "a", nullptr, ImportAvgPool},
    {"BatchNormWithGlobalNormalization", "acccc", nullptr, ImportGlobalBatchNorm},
    {"BiasAdd", "ac", nullptr, ImportBiasAdd},
    {"CheckNumerics", "x", FoldIdentity, ImportIdentity},
    {"Concat", "xx*", nullptr, ImportConcat},
    {"ConcatV2", "xx*", nullptr, ImportConcatV2},
    {"Const", "", FoldConst, nullptr},
    {"Conv2D", "ac", nullptr, ImportConv2D},
    {"DepthwiseConv2dNative", "ac", nullptr, ImportDepthwise},
    {"Dequantize", "ccc", FoldDequantize, nullptr},
    {"FusedBatchNorm", "acccc", nullptr, ImportFusedBatchNorm},
    {"FusedBatchNormV2", "acccc", nullptr, ImportFusedBatchNorm},
    {"FusedBatchNormV3", "acccc", nullptr, ImportFusedBatchNorm},
    {"Identity", "x", FoldIdentity, ImportIdentity},
    {"MatMul", "ac", nullptr, ImportMatMul},
    {"MaxPool", "a", nullptr, ImportMaxPool},
    {"Mean", "ac", nullptr, ImportMean},
    {"Mul", "xx", FoldMul, ImportMul},
    {"Pad", "ac", nullptr, ImportPad},
    {"Placeholder", "", NotFed, nullptr},
    {"PlaceholderWithDefault", "x", FoldIdentity, ImportIdentity},
    {"Relu", "a", nullptr, ImportRelu},
    {"Relu6", "a", nullptr, ImportRelu6},
    {"Reshape", "xc", FoldReshape, ImportReshape},
    {"Rsqrt", "c", FoldRsqrt, nullptr},
    {"Softmax", "a", nullptr, ImportSoftmax},
    {"Squeeze", "a", nullptr, ImportSqueeze},
    {"Sub", "xx", FoldSub, ImportSub},
};

const OpRow* FindOp(std::string_view op) {
  for (const OpRow& row : kOps)
    if (row.op == op) return &row;
  return nullptr;
}

bool IsControl(std::string_view input) {
  return input.starts_with('^');
}

// "input:0" -> "input": users give tensors as well as nodes.
std::string LayerName(const std::string& given) {
  return given.ends_with(":0") ? given.substr(0, given.size() - 2) : given;
}

class GraphImporter {
 public:
  GraphImporter(const GraphDef& def, const ImportOptions& options) : def_(def), context_(def, options) {}
  Result<Graph> Import();
  // Of a graph without an input layer.
  Result<ConstTensor> Evaluate(const std::string& name);

 private:
  enum class Mark : char { kNew, kOpen, kDone };

  Result<int> FindLayerNode(const std::string& given, const char* what) const;
  Status CheckInputNode(const NodeView& node) const;
  Status CheckNode(const NodeView& node) const;
  Status Order(int output);
  Status ImportInput();
  Status ImportNode(int index);
  Status ImportNodes();

  const GraphDef& def_;
  ImportContext context_;
  int input_ = -1;
  std::vector<int> order_;  // nodes the output needs, inputs first, without the input layer
  std::vector<Value> values_;
};

Result<int> GraphImporter::FindLayerNode(const std::string& given, const char* what) const {
  const std::string name = LayerName(given);
  const int index = def_.IndexOf(name);
  if (index >= 0) return index;
  std::vector<std::string_view> names;
  for (const NodeView& node : def_.nodes())
    if (node.op != "Const") names.push_back(node.name);
  const auto nearest = NearestNames(name, names, 3);
  if (!nearest.empty())
    return BadInput(fmt::format("{}: has no {} '{}' (nearest: {})", def_.path(), what, name, fmt::join(nearest, ", ")));
  // Nothing like it: what photos go into in most graphs.
  names.clear();
  for (const NodeView& node : def_.nodes())
    if (node.op == "Placeholder" && names.size() < 5) names.push_back(node.name);
  return BadInput(fmt::format("{}: has no {} '{}'{}; leave the flag out to have it read off the graph", def_.path(), what,
                              name, names.empty() ? "" : fmt::format(" (placeholders: {})", fmt::join(names, ", "))));
}

// A Placeholder says what it takes; the photos must be that.
Status GraphImporter::CheckInputNode(const NodeView& node) const {
  const ImportOptions& options = context_.options();
  for (const int size : {options.input_height, options.input_width})
    if (size < 1 || size > kMaxInputSize)
      return BadInput(fmt::format("{}: the input size is {}; it must lie within 1 and {}", def_.path(), size,
                                  kMaxInputSize));
  if (node.op != "Placeholder" && node.op != "PlaceholderWithDefault") return {};
  if (const auto dtype = GraphDef::AttrType(node, "dtype"); dtype && *dtype != DataType::kFloat)
    return context_.Error(node, fmt::format("takes {}, not float pixels", DataTypeName(*dtype)));
  const auto shape = GraphDef::AttrShape(node, "shape");
  if (!shape || shape->empty()) return {};  // not recorded
  if (shape->size() != 4 || ((*shape)[3] != 3 && (*shape)[3] != -1))
    return context_.Error(node, fmt::format("takes [{}], not photos [n,h,w,3]", fmt::join(*shape, ",")));
  const int64_t h = (*shape)[1], w = (*shape)[2];
  if ((h != -1 && h != options.input_height) || (w != -1 && w != options.input_width))
    return context_.Error(
        node, fmt::format("takes photos of {}x{}, not {}x{}: leave the size out, or give this one", h, w,
                          options.input_height, options.input_width));
  return {};
}

Status GraphImporter::CheckNode(const NodeView& node) const {
  const OpRow* row = FindOp(node.op);
  if (row == nullptr) {
    const bool dropout = node.name.find("dropout") != std::string_view::npos || node.op == "RandomUniform";
    return context_.Error(node,
                          dropout ? "Couplet does not run this op (dropout left in: freeze for inference)"
                                  : "Couplet does not run this op");
  }
  const auto& inputs = node.inputs;
  const auto data = static_cast<size_t>(
      std::count_if(inputs.begin(), inputs.end(), [](std::string_view input) { return !IsControl(input); }));
  if (!std::all_of(inputs.begin(), inputs.begin() + static_cast<std::ptrdiff_t>(data),
                   [](std::string_view input) { return !IsControl(input); }))
    return context_.Error(node, "has a control input before its other inputs");
  const bool open_ended = row->takes.ends_with('*');
  const size_t least = open_ended ? row->takes.size() - 1 : row->takes.size();
  if (data < least || (data > least && !open_ended))
    return context_.Error(
        node, fmt::format("has {} inputs; it needs {}{}", data, least, open_ended ? " or more" : ""));
  for (size_t i = 0; i < data; ++i)
    if (const size_t colon = inputs[i].find(':');
        colon != std::string_view::npos && inputs[i].substr(colon + 1) != "0")
      return context_.Error(node,
                            fmt::format("reads '{}'; Couplet computes first outputs (:0) only", inputs[i]));
  return {};
}

// Depth first without recursion: a file can be deeper than any stack.
Status GraphImporter::Order(int output) {
  struct Visit {
    int node;
    size_t next;  // input to look at
  };
  std::vector<Mark> marks(def_.nodes().size(), Mark::kNew);
  if (input_ >= 0) marks[static_cast<size_t>(input_)] = Mark::kDone;
  std::vector<Visit> stack;
  const auto open = [&](int index) -> Status {
    marks[static_cast<size_t>(index)] = Mark::kOpen;
    stack.push_back({index, 0});
    return CheckNode(def_.nodes()[static_cast<size_t>(index)]);
  };
  if (output != input_) COUPLET_RETURN_IF_ERROR(open(output));
  while (!stack.empty()) {
    Visit& top = stack.back();
    const NodeView& node = def_.nodes()[static_cast<size_t>(top.node)];
    if (top.next == node.inputs.size() || IsControl(node.inputs[top.next])) {
      marks[static_cast<size_t>(top.node)] = Mark::kDone;
      order_.push_back(top.node);
      stack.pop_back();
      continue;
    }
    const int source = def_.IndexOf(NodeNameOf(node.inputs[top.next++]));
    if (marks[static_cast<size_t>(source)] == Mark::kOpen)
      return context_.Error(node, "its inputs lead back to itself");
    if (marks[static_cast<size_t>(source)] == Mark::kNew) COUPLET_RETURN_IF_ERROR(open(source));
  }
  return {};
}

Status GraphImporter::ImportInput() {
  const NodeView& node = def_.nodes()[static_cast<size_t>(input_)];
  COUPLET_RETURN_IF_ERROR(CheckInputNode(node));
  const ImportOptions& options = context_.options();
  const Shape shape{1, options.input_height, options.input_width, 3};
  LayerAttrs attrs = InputAttrs{};
  if (options.photos) attrs = PreprocessAttrs{options.normalization};
  COUPLET_ASSIGN_OR_RETURN(values_[static_cast<size_t>(input_)],
                           context_.AddLayer(node, {}, shape, 4, std::move(attrs)));
  return {};
}

Status GraphImporter::ImportNode(int index) {
  const NodeView& node = def_.nodes()[static_cast<size_t>(index)];
  const OpRow& row = *FindOp(node.op);
  std::vector<Value> inputs;
  bool constants_only = true;
  for (std::string_view input : node.inputs) {
    if (IsControl(input)) break;
    inputs.push_back(values_[static_cast<size_t>(def_.IndexOf(NodeNameOf(input)))]);
    constants_only &= inputs.back().is_constant();
  }
  const Handler handler = constants_only ? row.fold : row.layer;
  if (handler == nullptr)
    return context_.Error(node, constants_only
                                    ? "has constants only as inputs, and Couplet does not fold this op"
                                    : "Couplet computes this op from constants only");
  for (size_t i = 0; i < inputs.size(); ++i) {
    const char takes = row.takes[std::min(i, row.takes.size() - 1)];
    if ((takes == 'c' && !inputs[i].is_constant()) || (takes == 'a' && inputs[i].is_constant()))
      return context_.Error(node, fmt::format("its input '{}' must {}be a constant", node.inputs[i],
                                              takes == 'c' ? "" : "not "));
  }
  COUPLET_ASSIGN_OR_RETURN(values_[static_cast<size_t>(index)], handler(context_, node, inputs));
  return {};
}

Status GraphImporter::ImportNodes() {
  Status status;
  for (size_t i = 0; i < order_.size() && status.ok(); ++i) status = ImportNode(order_[i]);
  // A constant that is not finite comes before what an op made of it.
  COUPLET_RETURN_IF_ERROR(context_.CheckFinite());
  return status;
}

Result<Graph> GraphImporter::Import() {
  const ImportOptions& options = context_.options();
  COUPLET_ASSIGN_OR_RETURN(input_, FindLayerNode(options.input_layer, "input layer"));
  COUPLET_ASSIGN_OR_RETURN(const int output, FindLayerNode(options.output_layer, "output layer"));
  COUPLET_RETURN_IF_ERROR(Order(output));
  values_.resize(def_.nodes().size());
  COUPLET_RETURN_IF_ERROR(ImportInput());
  COUPLET_RETURN_IF_ERROR(ImportNodes());
  const Value& result = values_[static_cast<size_t>(output)];
  if (result.is_constant())
    return context_.Error(def_.nodes()[static_cast<size_t>(output)],
                          fmt::format("does not depend on the input layer '{}'", options.input_layer));
  context_.graph().output = result.layer;
  return std::move(context_.graph());
}

Result<ConstTensor> GraphImporter::Evaluate(const std::string& name) {
  COUPLET_ASSIGN_OR_RETURN(const int output, FindLayerNode(name, "node"));
  COUPLET_RETURN_IF_ERROR(Order(output));
  values_.resize(def_.nodes().size());
  COUPLET_RETURN_IF_ERROR(ImportNodes());
  const Constant& constant = *values_[static_cast<size_t>(output)].constant;  // with no input there is no layer
  if (!constant.is_float())
    return context_.Error(def_.nodes()[static_cast<size_t>(output)], "is no float");
  return constant.floats;
}

// An exponent of all ones is an infinity or a NaN; without a branch a value, so that it runs at memory speed.
bool AllFinite(const ConstTensor& tensor) {
  uint32_t found = 0;
  for (size_t i = 0; i < tensor.count(); ++i) {
    const float value = tensor.at(i);
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    found |= static_cast<uint32_t>((bits & 0x7f800000u) == 0x7f800000u);
  }
  return found == 0;
}

}  // namespace

std::string Printable(std::string_view text) {
  constexpr size_t kLongest = 40;
  std::string printable(text.substr(0, kLongest));
  for (char& c : printable)
    if (c < ' ' || c > '~') c = '?';
  return printable;
}

Status ImportContext::Error(const NodeView& node, std::string_view reason) const {
  return BadInput(fmt::format("{}: node '{}' ({}): {}", def_.path(), node.name, node.op, reason));
}

Result<Value> ImportContext::AddLayer(const NodeView& node, std::vector<int> inputs, const Shape& shape,
                                      int rank, LayerAttrs attrs) {
  const int64_t dims[] = {shape.n, shape.h, shape.w, shape.c};
  const std::optional<int64_t> count = ElementCount(dims);
  if (!count || *count == 0)
    return Error(node, fmt::format("its output would be {}; Couplet takes 1 to {} elements", ToString(shape),
                                   kMaxElements));
  graph_.layers.push_back({std::string(node.name), std::move(inputs), shape, std::move(attrs)});
  return Value{.constant = nullptr, .layer = static_cast<int>(graph_.layers.size()) - 1, .rank = rank};
}

Value ImportContext::AddConstant(const NodeView& node, ConstTensor floats) {
  constants_.emplace_back(&node, floats);
  auto constant = std::make_shared<Constant>();
  constant->dims = floats.dims();
  constant->floats = std::move(floats);
  return Value{.constant = std::move(constant), .layer = -1, .rank = 0};
}

Status ImportContext::CheckFinite() const {
  if (options_.allow_nonfinite) return {};
  size_t floats = 0;
  for (const auto& [node, constant] : constants_) floats += constant.count();
  constexpr size_t kWorthAThread = size_t{1} << 20;  // half a millisecond
  const int threads = static_cast<int>(std::min(static_cast<size_t>(options_.threads), 1 + floats / kWorthAThread));
  std::atomic<size_t> first = constants_.size();
  ForEachIndex(constants_.size(), threads, [&](size_t i) {
    if (AllFinite(constants_[i].second)) return;
    for (size_t before = first; i < before && !first.compare_exchange_weak(before, i);) {
    }
  });
  if (first == constants_.size()) return {};
  return Error(*constants_[first].first, "holds weights that are not finite (NaN or infinity): train or fetch the model again");
}

Status ImportContext::Charge(const NodeView& node, size_t floats) {
  if (floats > kMaxMadeFloats - charged_)
    return Error(node,
                 fmt::format("the graph's computed constants have more than {} elements", kMaxMadeFloats));
  charged_ += floats;
  return {};
}

Result<ConstTensor> ImportContext::Floats(const NodeView& node, Inputs inputs, size_t i, int rank) const {
  const Constant& constant = *inputs[i].constant;
  if (!constant.is_float())
    return Error(node, fmt::format("its input '{}' is {}, not float", node.inputs[i],
                                   DataTypeName(constant.raw.dtype)));
  if (rank >= 0 && constant.dims.size() != static_cast<size_t>(rank))
    return Error(node, fmt::format("its input '{}' has shape [{}]; it needs {} dimensions", node.inputs[i],
                                   fmt::join(constant.dims, ","), rank));
  return constant.floats;
}

Result<std::vector<int64_t>> ImportContext::Integers(const NodeView& node, Inputs inputs, size_t i) const {
  const Constant& constant = *inputs[i].constant;
  const TensorValue& raw = constant.raw;
  if (raw.dtype != DataType::kInt32 && raw.dtype != DataType::kInt64)
    return Error(node, fmt::format("its input '{}' is {}, not int32 or int64", node.inputs[i],
                                   constant.is_float() ? "float" : DataTypeName(raw.dtype)));
  if (raw.count > kMaxIntegers || constant.dims.size() > 2)
    return Error(node, fmt::format("its input '{}' has {} elements", node.inputs[i], raw.count));
  std::vector<int64_t> integers(raw.count);
  for (size_t k = 0; k < integers.size(); ++k) {
    if (raw.content.empty()) {
      if (std::abs(raw.values[raw.values.size() == 1 ? 0 : k]) > 0x1p52)
        return Error(node, fmt::format("its input '{}' holds a number beyond any size", node.inputs[i]));
      integers[k] = static_cast<int64_t>(raw.values[raw.values.size() == 1 ? 0 : k]);
    } else if (raw.dtype == DataType::kInt32) {
      int32_t value;
      std::memcpy(&value, raw.content.data() + k * sizeof value, sizeof value);
      integers[k] = value;
    } else {
      std::memcpy(&integers[k], raw.content.data() + k * sizeof(int64_t), sizeof(int64_t));
    }
  }
  return integers;
}

}  // namespace import_tf

Result<Graph> ImportGraph(const GraphDef& def, const ImportOptions& options) {
  return import_tf::GraphImporter(def, options).Import();
}

Result<ConstTensor> EvaluateConstant(const GraphDef& def, std::string_view node) {
  const ImportOptions options;
  return import_tf::GraphImporter(def, options).Evaluate(std::string(node));
}

}  // namespace couplet
