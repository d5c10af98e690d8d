// Expressions of constants, computed once while the graph is read: Dequantize of eight-bit weights, the
// arithmetic of unfolded batch norms. In float32 and in TensorFlow's order of operations, so that the numbers
// are TensorFlow's.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "loaders/import_context.h"
#include "loaders/tensor_proto.h"
#include "runtime/shape.h"

namespace couplet::import_tf {
namespace {

// Numpy's rule: dimensions aligned at the right, equal or 1. nullopt: they do not fit.
std::optional<std::vector<int64_t>> BroadcastDims(const std::vector<int64_t>& a,
                                                  const std::vector<int64_t>& b) {
  std::vector<int64_t> dims(std::max(a.size(), b.size()));
  for (size_t back = 1; back <= dims.size(); ++back) {
    const int64_t da = back <= a.size() ? a[a.size() - back] : 1;
    const int64_t db = back <= b.size() ? b[b.size() - back] : 1;
    if (da != db && da != 1 && db != 1) return std::nullopt;
    dims[dims.size() - back] = da == 1 ? db : da;
  }
  return dims;
}

// Steps of `from` for each dimension of `dims`: 0 where it is repeated.
std::vector<size_t> BroadcastSteps(const std::vector<int64_t>& from, const std::vector<int64_t>& dims) {
  std::vector<size_t> steps(dims.size(), 0);
  size_t step = 1;  // bounded by the element count, which was checked
  for (size_t back = 1; back <= from.size(); ++back) {
    const int64_t size = from[from.size() - back];
    if (size != 1) steps[dims.size() - back] = step;
    step *= static_cast<size_t>(size);
  }
  return steps;
}

template <class Op>
Result<Value> FoldBinary(ImportContext& context, const NodeView& node, Inputs inputs, Op op) {
  COUPLET_ASSIGN_OR_RETURN(const ConstTensor a, context.Floats(node, inputs, 0));
  COUPLET_ASSIGN_OR_RETURN(const ConstTensor b, context.Floats(node, inputs, 1));
  const auto dims = BroadcastDims(a.dims(), b.dims());
  const auto count = dims ? ElementCount(*dims) : std::nullopt;
  if (!count)
    return context.Error(node,
                         fmt::format("its constants have shapes [{}] and [{}], which do not go together",
                                     fmt::join(a.dims(), ","), fmt::join(b.dims(), ",")));
  COUPLET_RETURN_IF_ERROR(context.Charge(node, static_cast<size_t>(*count)));
  const std::vector<size_t> steps_a = BroadcastSteps(a.dims(), *dims),
                            steps_b = BroadcastSteps(b.dims(), *dims);
  std::vector<float> result(static_cast<size_t>(*count));
  std::vector<int64_t> position(dims->size(), 0);
  size_t ia = 0, ib = 0;
  for (float& value : result) {
    value = op(a.at(ia), b.at(ib));
    for (size_t d = dims->size(); d-- > 0;) {  // the next position, last dimension first
      ia += steps_a[d];
      ib += steps_b[d];
      if (++position[d] < (*dims)[d]) break;
      ia -= steps_a[d] * static_cast<size_t>(position[d]);
      ib -= steps_b[d] * static_cast<size_t>(position[d]);
      position[d] = 0;
    }
  }
  return context.AddConstant(node, ConstTensor(*dims, std::move(result)));
}

// The element of an eight-bit constant, wherever the file keeps it.
int ByteAt(const TensorValue& tensor, size_t i) {
  if (tensor.content.empty()) return static_cast<int>(tensor.values[tensor.values.size() == 1 ? 0 : i]);
  const int byte = static_cast<int>(tensor.content[i]);
  return tensor.dtype == DataType::kQint8 && byte > 127 ? byte - 256 : byte;
}

struct Dequantizer {
  float scale, offset;
  int lowest;  // subtracted from the stored number
  float operator()(int stored) const { return static_cast<float>(stored - lowest) * scale + offset; }
};

// tensorflow/core/kernels/dequantize_op.cc and quantization_utils.h (QuantizedToFloatStruct).
Result<Dequantizer> MakeDequantizer(const ImportContext& context, const NodeView& node, DataType dtype,
                                    float min, float max) {
  if (!std::isfinite(min) || !std::isfinite(max) || min > max)
    return context.Error(node, fmt::format("its range is {} to {}", min, max));
  const std::string mode = GraphDef::AttrString(node, "mode").value_or("MIN_COMBINED");
  const int lowest = dtype == DataType::kQint8 ? -128 : 0;
  if (mode == "MIN_COMBINED") return Dequantizer{(max - min) / 255.0f, min, lowest};
  if (mode != "MIN_FIRST")
    return context.Error(node, fmt::format("Couplet does not know its mode {}", Printable(mode)));
  const float scale = static_cast<float>((max - min) / 255.0);
  return Dequantizer{scale, max == min ? min : std::round(min / scale) * scale, lowest};
}

}  // namespace

Result<Value> FoldConst(ImportContext& context, const NodeView& node, Inputs) {
  COUPLET_ASSIGN_OR_RETURN(TensorValue tensor, context.def().ConstValue(node));
  if (tensor.dtype != DataType::kFloat) {
    auto constant = std::make_shared<Constant>();
    constant->dims = tensor.dims;
    constant->raw = std::move(tensor);
    return Value{.constant = std::move(constant), .layer = -1, .rank = 0};
  }
  if (!tensor.content.empty())
    return context.AddConstant(
        node, ConstTensor(tensor.dims, tensor.content.data(), tensor.count, context.def().owner()));
  COUPLET_RETURN_IF_ERROR(context.Charge(node, tensor.count));
  std::vector<float> floats(tensor.count);
  for (size_t i = 0; i < floats.size(); ++i)
    floats[i] = static_cast<float>(tensor.values[tensor.values.size() == 1 ? 0 : i]);
  return context.AddConstant(node, ConstTensor(tensor.dims, std::move(floats)));
}

Result<Value> FoldIdentity(ImportContext&, const NodeView&, Inputs inputs) {
  return inputs[0];
}

Result<Value> FoldAdd(ImportContext& context, const NodeView& node, Inputs inputs) {
  return FoldBinary(context, node, inputs, [](float a, float b) { return a + b; });
}
Result<Value> FoldSub(ImportContext& context, const NodeView& node, Inputs inputs) {
  return FoldBinary(context, node, inputs, [](float a, float b) { return a - b; });
}
Result<Value> FoldMul(ImportContext& context, const NodeView& node, Inputs inputs) {
  return FoldBinary(context, node, inputs, [](float a, float b) { return a * b; });
}

Result<Value> FoldRsqrt(ImportContext& context, const NodeView& node, Inputs inputs) {
  COUPLET_ASSIGN_OR_RETURN(const ConstTensor src, context.Floats(node, inputs, 0));
  COUPLET_RETURN_IF_ERROR(context.Charge(node, src.count()));
  std::vector<float> result = src.ToVector();
  for (float& value : result) value = 1.0f / std::sqrt(value);
  return context.AddConstant(node, ConstTensor(src.dims(), std::move(result)));
}

Result<Value> FoldReshape(ImportContext& context, const NodeView& node, Inputs inputs) {
  COUPLET_ASSIGN_OR_RETURN(const ConstTensor src, context.Floats(node, inputs, 0));
  COUPLET_ASSIGN_OR_RETURN(std::vector<int64_t> dims, context.Integers(node, inputs, 1));
  const auto error = [&] {
    return context.Error(node, fmt::format("cannot reshape a constant of [{}] to [{}]",
                                           fmt::join(src.dims(), ","), fmt::join(dims, ",")));
  };
  const auto free_dim = std::find(dims.begin(), dims.end(), -1);
  if (free_dim != dims.end()) {
    *free_dim = 1;
    const std::optional<int64_t> known = ElementCount(dims);
    if (!known || *known == 0) return error();
    *free_dim = static_cast<int64_t>(src.count()) / *known;
  }
  if (ElementCount(dims) != static_cast<int64_t>(src.count())) return error();
  COUPLET_RETURN_IF_ERROR(context.Charge(node, src.count()));
  return context.AddConstant(node, ConstTensor(dims, src.ToVector()));
}

Result<Value> FoldDequantize(ImportContext& context, const NodeView& node, Inputs inputs) {
  const TensorValue& src = inputs[0].constant->raw;
  if (src.dtype != DataType::kQuint8 && src.dtype != DataType::kQint8)
    return context.Error(node, "its weights are neither quint8 nor qint8");
  if (const auto type = GraphDef::AttrType(node, "T"); type && *type != src.dtype)
    return context.Error(node, fmt::format("its attribute T says {}, its weights are {}", DataTypeName(*type),
                                           DataTypeName(src.dtype)));
  COUPLET_ASSIGN_OR_RETURN(const ConstTensor min, context.Floats(node, inputs, 1));
  COUPLET_ASSIGN_OR_RETURN(const ConstTensor max, context.Floats(node, inputs, 2));
  if (min.count() != 1 || max.count() != 1) return context.Error(node, "its range is not one number each");
  COUPLET_ASSIGN_OR_RETURN(const Dequantizer dequantize,
                           MakeDequantizer(context, node, src.dtype, min.at(0), max.at(0)));
  for (double value : src.values)
    if (!(value - dequantize.lowest >= 0 && value - dequantize.lowest <= 255))
      return context.Error(node, fmt::format("its weights hold {}, which has not eight bits", value));
  COUPLET_RETURN_IF_ERROR(context.Charge(node, src.count));
  std::vector<float> result(src.count);
  for (size_t i = 0; i < result.size(); ++i) result[i] = dequantize(ByteAt(src, i));
  return context.AddConstant(node, ConstTensor(src.dims, std::move(result)));
}

}  // namespace couplet::import_tf
