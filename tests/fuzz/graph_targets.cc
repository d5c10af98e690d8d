// GraphDefs twice: bytes as they come, and a valid network built from the input's choices and then bent, which gets to
// shapes and attributes that changed bytes hardly ever reach. What opens is inspected, imported, optimised, and run.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "loaders/import_tf.h"
#include "models/graph_facts.h"
#include "runtime/graph_passes.h"
#include "runtime/layer_cost.h"
#include "runtime/session.h"
#include "tests/fuzz/targets.h"
#include "tests/support/hostile_graphs.h"
#include "tests/support/tiny_graph.h"

namespace couplet::fuzz {
namespace {

constexpr const char* kName = "tiny.pb";
constexpr int kSize = 9;  // of the input where the graph does not say

// What a network may cost to be run here; what it costs to be imported is the loader's own to bound.
bool IsSmall(const Graph& graph) {
  double work = 0;
  for (size_t i = 0; i < graph.layers.size(); ++i) {
    const LayerCost cost = CostOf(graph, static_cast<int>(i), 4);
    work += cost.multiply_adds + cost.photo_bytes + cost.weight_bytes;
  }
  return work < 2e6;
}

std::string RunSession(Graph graph) {
  // Our own kernels: oneDNN compiles code for each shape, which would be most of the time.
  static const std::unique_ptr<Backend> backend = MakeCpuBackend(CpuKernels::kOwn);
  if (!IsSmall(graph)) return "";
  auto session = Session::Create(Optimize(std::move(graph)), *backend, {});
  // Layers that this backend has no kernel for are named; the file is for the caller to add.
  if (!session.ok()) return NotOneLine(session.status(), "", session.status().code());
  auto worker = (*session)->NewWorker();
  if (!worker.ok()) return NotOneLine(worker.status(), "", worker.status().code());
  const Shape shape = (*session)->input_shape();
  std::vector<float> pixels(static_cast<size_t>(shape.h) * static_cast<size_t>(shape.w) * static_cast<size_t>(shape.c));
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<float>(i % 7) - 3;
  std::vector<float> output(static_cast<size_t>((*session)->output_size()), std::numeric_limits<float>::quiet_NaN());
  const Status ran = (*session)->RunPixels(**worker, pixels, output);
  return ran.ok() ? "" : "does not run: " + ran.message();
}

std::string RunDef(const GraphDef& def, int height, int width) {
  const GraphFacts facts = InspectGraph(def);
  ImportOptions options;
  options.photos = false;
  options.input_height = height;
  options.input_width = width;
  // The graph's own idea of its ends, then the last node, which a bent graph may hide from it.
  for (const bool last : {false, true}) {
    options.input_layer = facts.input_layer.empty() || last ? "input" : facts.input_layer;
    options.output_layer = facts.output_layer.empty() || last ? std::string(def.nodes().back().name) : facts.output_layer;
    Result<Graph> graph = ImportGraph(def, options);
    const std::string fault = graph.ok() ? RunSession(std::move(*graph)) : NotOneLine(graph.status(), kName);
    if (!fault.empty()) return fault;
  }
  return "";
}

std::string RunBytes(std::string bytes, int height, int width) {
  const Result<GraphDef> def = test::ParseBytes(std::move(bytes));
  if (!def.ok()) return NotOneLine(def.status(), kName);
  return RunDef(*def, height, width);
}

// The input as a row of choices; zeros once it is used up.
class Choices {
 public:
  explicit Choices(Input bytes) : bytes_(bytes) {}
  uint32_t Byte() {
    if (at_ == bytes_.size()) return 0;
    return bytes_[at_++];
  }
  // 0 <= result < count
  uint32_t Below(uint32_t count) { return count <= 1 ? 0 : Byte() % count; }
  int Between(int low, int high) { return low + static_cast<int>(Below(static_cast<uint32_t>(high - low + 1))); }
  bool Coin() { return Byte() % 2 == 1; }
  bool empty() const { return at_ == bytes_.size(); }
  int64_t Number() {
    constexpr int64_t kAwkward[] = {-1, 0, 1, 2, 3, 4, 7, 255, 65536, (int64_t{1} << 31) - 1, int64_t{1} << 31,
                                    (int64_t{1} << 32) + 1, int64_t{1} << 33, int64_t{1} << 62,
                                    std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min(), -2};
    return kAwkward[Below(std::size(kAwkward))];
  }

 private:
  Input bytes_;
  size_t at_ = 0;
};

// A chain (with a branch now and then) of ops that fit each other as TensorFlow would have them.
class Builder {
 public:
  Builder(test::TinyGraph* graph, Choices* choices) : graph_(*graph), choose_(*choices) {
    height_ = h_ = choose_.Between(1, 12);
    width_ = w_ = choose_.Between(1, 12);
    graph_.Placeholder().Shape("shape", {choose_.Coin() ? 1 : -1, h_, w_, 3});
  }
  int height() const { return height_; }
  int width() const { return width_; }

  void Build() {
    for (int op = choose_.Between(1, 8); op > 0; --op) Add();
  }

 private:
  std::string NewName(const char* stem) { return stem + std::to_string(++names_); }
  std::string Floats(const std::vector<int64_t>& dims, float positive = 0) {
    const std::string name = NewName("w");
    size_t count = 1;
    for (const int64_t dim : dims) count *= static_cast<size_t>(dim);
    std::vector<float> values(count);
    for (size_t i = 0; i < count; ++i)
      values[i] = positive > 0 ? positive : static_cast<float>(static_cast<int>(i * 5 % 9) - 4) * 0.25f;
    if (choose_.Below(4) == 0)
      graph_.Tensor(name, tf::DT_FLOAT, dims).add_float_val(positive > 0 ? positive : 0.5f);  // one for all
    else
      graph_.Floats(name, dims, values);
    return name;
  }
  std::string Integers(const std::vector<int32_t>& values) {
    const std::string name = NewName("n");
    graph_.Int32s(name, {static_cast<int64_t>(values.size())}, values);
    return name;
  }
  test::TinyNode Op(const char* op, std::vector<std::string> inputs) {
    const std::string name = NewName("op");
    test::TinyNode node = graph_.Node(name, op, inputs).Type("T", tf::DT_FLOAT);
    now_ = name;
    return node;
  }
  // Of a window: SAME, or VALID where it fits. Moves the map's size on.
  bool Slide(test::TinyNode node, const char* attr, int kh, int kw, int sh, int sw) {
    const bool same = choose_.Coin() || kh > h_ || kw > w_;
    node.Ints(attr, {1, sh, sw, 1}).String("padding", same ? "SAME" : "VALID");
    h_ = same ? (h_ + sh - 1) / sh : (h_ - kh) / sh + 1;
    w_ = same ? (w_ + sw - 1) / sw : (w_ - kw) / sw + 1;
    return same;
  }
  void Add();
  void AddWindow(uint32_t kind);
  void AddChannels(uint32_t kind);
  void AddFlat(uint32_t kind);

  test::TinyGraph& graph_;
  Choices& choose_;
  std::string now_ = "input";
  int height_ = 1, width_ = 1, h_ = 1, w_ = 1, c_ = 3, names_ = 0;
  bool flat_ = false;  // [n, c]
};

void Builder::Add() {
  const uint32_t kind = choose_.Below(16);
  if (flat_)
    AddFlat(kind % 4);
  else if (kind < 5)
    AddWindow(kind);
  else
    AddChannels(kind);
}

void Builder::AddWindow(uint32_t kind) {
  const int kh = choose_.Between(1, 5), kw = choose_.Between(1, 5), sh = choose_.Between(1, 3),
            sw = choose_.Coin() ? sh : choose_.Between(1, 3);
  if (kind == 0) {
    const int oc = choose_.Between(1, 9);
    Slide(Op("Conv2D", {now_, Floats({kh, kw, c_, oc})}), "strides", kh, kw, sh, sw);
    c_ = oc;
  } else if (kind == 1) {
    const int multiplier = choose_.Between(1, 2);
    Slide(Op("DepthwiseConv2dNative", {now_, Floats({kh, kw, c_, multiplier})}), "strides", kh, kw, sh, sh);
    c_ *= multiplier;
  } else if (kind == 2 || kind == 3) {
    test::TinyNode node = Op(kind == 2 ? "MaxPool" : "AvgPool", {now_}).Ints("ksize", {1, kh, kw, 1});
    Slide(node, "strides", kh, kw, sh, sw);
  } else {
    const int top = choose_.Between(0, 2), left = choose_.Between(0, 2);
    const std::string name = NewName("p");
    graph_.Int32s(name, {4, 2}, {0, 0, top, 1, left, 2, 0, 0});
    Op("Pad", {now_, name}).Type("Tpaddings", tf::DT_INT32);
    h_ += top + 1;
    w_ += left + 2;
  }
}

void Builder::AddChannels(uint32_t kind) {
  constexpr const char* kBinary[] = {"Add", "Sub", "Mul", "AddV2"};
  if (kind < 8) {
    const std::string other = choose_.Coin() ? Floats({c_}) : Floats({});
    if (choose_.Coin())
      Op(kBinary[choose_.Below(4)], {now_, other});
    else
      Op(kBinary[choose_.Below(4)], {other, now_});
  } else if (kind == 8) {
    Op("BiasAdd", {now_, Floats({c_})});
  } else if (kind == 9) {
    Op(choose_.Coin() ? "Relu" : "Relu6", {now_});
  } else if (kind == 10) {
    const std::vector<std::string> inputs = {now_, Floats({c_}), Floats({c_}), Floats({c_}), Floats({c_}, 0.5f)};
    Op(choose_.Coin() ? "FusedBatchNorm" : "FusedBatchNormV3", inputs).Float("epsilon", 0.001f).Bool("is_training", false);
  } else if (kind == 11) {
    const std::string left = now_;
    Op("Relu", {left});
    graph_.Tensor(NewName("axis"), tf::DT_INT32, {}).add_int_val(3);
    const std::string axis = "axis" + std::to_string(names_);
    Op("ConcatV2", {left, now_, axis}).attr("N").set_i(2);
    c_ *= 2;
  } else if (kind == 12) {
    Op("Identity", {now_});
  } else if (kind == 13) {
    Op("Mean", {now_, Integers({1, 2})}).Bool("keep_dims", false).Type("Tidx", tf::DT_INT32);
    flat_ = true;
  } else if (kind == 14) {
    Op("Reshape", {now_, Integers({-1, h_ * w_ * c_})});
    c_ *= h_ * w_;
    flat_ = true;
  } else if (h_ == 1 && w_ == 1) {
    Op("Squeeze", {now_}).Ints("squeeze_dims", {1, 2});
    flat_ = true;
  }
}

void Builder::AddFlat(uint32_t kind) {
  if (kind == 0) {
    const int oc = choose_.Between(1, 7);
    Op("MatMul", {now_, Floats({c_, oc})}).Bool("transpose_a", false).Bool("transpose_b", false);
    c_ = oc;
  } else if (kind == 1) {
    Op("Softmax", {now_});
  } else if (kind == 2) {
    Op("Add", {now_, Floats({c_})});
  } else {
    Op("Relu", {now_});
  }
}

// One thing about one node that no longer fits.
void Bend(tf::GraphDef* graph, Choices* choose) {
  tf::NodeDef* node = graph->mutable_node(static_cast<int>(choose->Below(static_cast<uint32_t>(graph->node_size()))));
  const tf::NodeDef& other = graph->node(static_cast<int>(choose->Below(static_cast<uint32_t>(graph->node_size()))));
  const auto any_attr = [&]() -> tf::AttrValue* {
    if (node->attr().empty()) return nullptr;
    // By name: the map's own order differs from run to run.
    std::vector<std::string> keys;
    for (const auto& [key, value] : node->attr()) keys.push_back(key);
    std::sort(keys.begin(), keys.end());
    return &(*node->mutable_attr())[keys[choose->Below(static_cast<uint32_t>(keys.size()))]];
  };
  switch (choose->Below(12)) {
    case 0:
      node->set_name(other.name());
      break;
    case 1:
      node->set_op(other.op());
      break;
    case 2:
      node->add_input(other.name());
      break;
    case 3:
      if (node->input_size() > 0) node->mutable_input()->RemoveLast();
      break;
    case 4:
      if (node->input_size() > 0)
        node->set_input(static_cast<int>(choose->Below(static_cast<uint32_t>(node->input_size()))),
                        choose->Coin() ? other.name() : choose->Coin() ? "^" + other.name() : other.name() + ":1");
      break;
    case 5:
      if (tf::AttrValue* attr = any_attr()) attr->Clear();
      break;
    case 6:
      if (tf::AttrValue* attr = any_attr(); attr != nullptr && attr->list().i_size() > 0)
        attr->mutable_list()->set_i(static_cast<int>(choose->Below(static_cast<uint32_t>(attr->list().i_size()))),
                                    choose->Number());
      else if (attr != nullptr)
        attr->set_i(choose->Number());
      break;
    case 7:
      if (tf::AttrValue* attr = any_attr(); attr != nullptr && attr->has_shape() && attr->shape().dim_size() > 0)
        attr->mutable_shape()->mutable_dim(0)->set_size(choose->Number());
      else if (attr != nullptr)
        attr->set_type(static_cast<tf::DataType>(choose->Below(24)));
      break;
    case 8: case 9: {
      const auto value = node->mutable_attr()->find("value");
      if (value == node->mutable_attr()->end()) break;
      tf::TensorProto* tensor = value->second.mutable_tensor();
      if (tensor->tensor_shape().dim_size() > 0 && choose->Coin())
        tensor->mutable_tensor_shape()->mutable_dim(0)->set_size(choose->Number());
      else if (choose->Coin())
        tensor->mutable_tensor_shape()->add_dim()->set_size(choose->Number());
      else
        tensor->set_dtype(static_cast<tf::DataType>(choose->Below(24)));
      break;
    }
    case 10: {
      const auto value = node->mutable_attr()->find("value");
      if (value == node->mutable_attr()->end()) break;
      tf::TensorProto* tensor = value->second.mutable_tensor();
      std::string content = tensor->tensor_content();
      // Cut, made a number that is awkward in every type, or replaced by a list of one.
      if (const uint32_t how = choose->Below(3); how == 0 && !content.empty()) content.pop_back();
      else if (how == 1 && content.size() >= 4) content.replace(choose->Below(static_cast<uint32_t>(content.size() - 3)), 4, "\x00\x00\x80\x7f");
      else content.clear();
      tensor->set_tensor_content(content);
      if (content.empty()) tensor->add_float_val(std::numeric_limits<float>::infinity());
      break;
    }
    default:
      if (node->attr().contains("padding")) (*node->mutable_attr())["padding"].set_s(choose->Coin() ? "EXPLICIT" : "VALID");
      break;
  }
}

}  // namespace

std::string RunGraphBytes(Input bytes) {
  return RunBytes(std::string(bytes.begin(), bytes.end()), kSize, kSize);
}

std::string RunGraphStructure(Input bytes) {
  Choices choices(bytes);
  test::TinyGraph graph;
  Builder builder(&graph, &choices);
  const uint32_t bends = choices.Below(4);
  builder.Build();
  for (uint32_t i = 0; i < bends; ++i) Bend(&graph.proto, &choices);
  return RunBytes(graph.Bytes(), builder.height(), builder.width());
}

std::vector<std::string> GraphStarts() {
  std::vector<std::string> starts;
  for (const std::string& choices : GraphChoiceStarts()) {
    Choices choose({reinterpret_cast<const uint8_t*>(choices.data()), choices.size()});
    test::TinyGraph graph;
    Builder builder(&graph, &choose);
    builder.Build();
    starts.push_back(graph.Bytes());
  }
  for (const test::HostileGraph& graph : test::HostileGraphs())
    if (graph.bytes.size() <= 4096) starts.push_back(graph.bytes);
  return starts;
}

std::vector<std::string> GraphChoiceStarts() {
  std::vector<std::string> starts;
  for (uint32_t seed = 1; seed <= 24; ++seed) {
    std::string choices;
    for (uint32_t i = 0; i < 40; ++i) choices += static_cast<char>(seed * 131 + i * i * (seed + 17) + i * 7);
    starts.push_back(choices);
  }
  return starts;
}

}  // namespace couplet::fuzz
