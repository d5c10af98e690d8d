// SPDX-License-Identifier: Apache-2.0
#include "loaders/quantize_graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "loaders/graph_rewrite.h"
#include "loaders/import_tf.h"
#include "loaders/node_writer.h"

namespace couplet {
namespace {

std::pair<std::string, std::string> Attr(const char* key, const tf::AttrValue& value) {
  return {key, value.SerializeAsString()};
}

GraphNode FloatScalar(const std::string& name, float value) {
  return {name, "Const", {}, {Attr("dtype", TypeAttr(tf::DT_FLOAT)), Attr("value", FloatScalarAttr(value))}, ""};
}

// X -> X_quint8_const, X_min, X_max and a Dequantize named X.
void AppendEightBits(const GraphNode& node, const std::vector<int64_t>& dims, const EightBits& eight, GraphNodes* out) {
  tf::AttrValue value;
  tf::TensorProto* tensor = value.mutable_tensor();
  tensor->set_dtype(tf::DT_QUINT8);
  for (const int64_t size : dims) tensor->mutable_tensor_shape()->add_dim()->set_size(size);
  tensor->mutable_tensor_shape();  // a scalar's is there, and empty
  tensor->set_tensor_content(eight.bytes);
  const std::string bytes = node.name + "_quint8_const", min = node.name + "_min", max = node.name + "_max";
  out->push_back({bytes, "Const", {}, {Attr("dtype", TypeAttr(tf::DT_QUINT8)), Attr("value", value)}, ""});
  out->push_back(FloatScalar(min, eight.min));
  out->push_back(FloatScalar(max, eight.max));
  out->push_back({node.name, "Dequantize", {bytes, min, max},
                  {Attr("T", TypeAttr(tf::DT_QUINT8)), Attr("mode", StringAttr("MIN_COMBINED"))}, ""});
}

}  // namespace

void RoundToBuckets(int bits, std::vector<float>* values) {
  if (values->empty()) return;
  const auto [least, greatest] = std::minmax_element(values->begin(), values->end());
  const float min = *least, max = *greatest, buckets = std::ldexp(1.0f, bits);
  const float width = (max - min) / buckets;
  if (max == min || width == 0.0f || !std::isfinite(width)) return;  // numpy would make NaN of the last two
  for (float& value : *values) {
    float bucket = std::floor((value - min) / width);
    if (bucket == buckets) bucket = buckets - 1;
    value = min + width * (bucket + 0.5f);
  }
}

// tensorflow/core/kernels/quantize_op.cc, mode MIN_COMBINED, T quint8.
EightBits QuantizeToEightBits(const std::vector<float>& values) {
  const auto [least, greatest] = std::minmax_element(values.begin(), values.end());
  EightBits eight{"", std::min(*least, 0.0f), *greatest, false};
  if (eight.min == eight.max) eight.max = std::fabs(eight.min) < 1e-6f ? eight.min + 1.0f : eight.min / 2.0f;
  const float epsilon = std::max(1.0f, std::max(std::fabs(eight.min), std::fabs(eight.max))) / 100.0f;
  const float max = std::max(0.0f, std::max(eight.max, eight.min + epsilon));
  eight.widened = max != eight.max || !std::isfinite(max - eight.min);
  const float scale = 255.0f / (max - eight.min);
  for (const float value : values)
    // TensorFlow's own rounding, of what is never below zero.
    eight.bytes.push_back(static_cast<char>(
        static_cast<uint8_t>((std::clamp(value, eight.min, max) - eight.min) * scale + 0.5f)));  // NOLINT(bugprone-incorrect-roundings)
  return eight;
}

Result<QuantizedGraph> QuantizeGraph(const GraphDef& def, const QuantizeOptions& options) {
  COUPLET_RETURN_IF_ERROR(CheckNames(def, options.outputs, "--output_node_names"));
  // Only what is kept: the original works on all and throws away the rest.
  const GraphNodes nodes = KeepNeeded(TakeApart(def), options.outputs);
  QuantizedGraph result;
  GraphNodes out;
  for (const GraphNode& node : nodes) {
    const NodeView& view = *def.Find(node.name);
    if (node.op != "Const" || GraphDef::AttrType(view, "dtype") != DataType::kFloat) {
      out.push_back(node);
      continue;
    }
    COUPLET_ASSIGN_OR_RETURN(const ConstTensor tensor, EvaluateConstant(def, node.name));
    std::vector<float> values = tensor.ToVector();
    if (options.mode == QuantizeOptions::Mode::kWeightsRounded) {
      RoundToBuckets(options.bits, &values);
      const tf::AttrValue value = values.size() == 1 && tensor.dims().empty() ? FloatScalarAttr(values[0])
                                                                             : FloatTensorAttr(tensor.dims(), values);
      out.push_back({node.name, "Const", {}, {Attr("dtype", TypeAttr(tf::DT_FLOAT)), Attr("value", value)}, node.rest});
      ++result.constants;
      continue;
    }
    if (values.empty()) {
      out.push_back(node);
      continue;
    }
    const EightBits eight = QuantizeToEightBits(values);
    if (eight.widened && !options.break_small_ranges) {
      result.left.push_back(node.name);
      out.push_back(node);
      continue;
    }
    for (const char* suffix : {"_quint8_const", "_min", "_max"})
      if (def.Find(node.name + suffix) != nullptr)
        return BadInput(fmt::format("{}: node '{}' would become '{}{}' and others, and there is a node of that name: "
                                    "use --mode=weights_rounded", def.path(), node.name, node.name, suffix));
    AppendEightBits(node, tensor.dims(), eight, &out);
    ++result.constants;
  }
  result.bytes = Serialize(out);
  return result;
}

}  // namespace couplet
