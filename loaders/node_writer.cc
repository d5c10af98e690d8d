// SPDX-License-Identifier: Apache-2.0
#include "loaders/node_writer.h"

#include <bit>

#include "runtime/status.h"

namespace couplet {

static_assert(std::endian::native == std::endian::little, "tensor_content is little-endian");

namespace {

// Numbers of fields.
constexpr int kGraphNode = 1, kGraphLibrary = 2, kNodeName = 1, kNodeOp = 2, kNodeInput = 3, kNodeAttr = 5, kEntryKey = 1,
              kEntryValue = 2;

void FillShape(std::span<const int64_t> dims, tf::TensorShapeProto* shape) {
  // protobuf 3.21 loses an element that it has no room for and no memory to make some.
  shape->mutable_dim()->Reserve(static_cast<int>(dims.size()));
  for (const int64_t size : dims) shape->add_dim()->set_size(size);
}

tf::TensorProto* NewTensor(tf::DataType type, std::span<const int64_t> dims, tf::AttrValue* attr) {
  tf::TensorProto* tensor = attr->mutable_tensor();
  tensor->set_dtype(type);
  FillShape(dims, tensor->mutable_tensor_shape());
  return tensor;
}

template <class T>
tf::AttrValue ContentAttr(tf::DataType type, std::span<const int64_t> dims, std::span<const T> values) {
  size_t count = 1;
  for (const int64_t size : dims) count *= static_cast<size_t>(size);
  COUPLET_CHECK(count == values.size());
  tf::AttrValue attr;
  NewTensor(type, dims, &attr)
      ->set_tensor_content(std::string(reinterpret_cast<const char*>(values.data()), values.size_bytes()));
  return attr;
}

}  // namespace

tf::AttrValue TypeAttr(tf::DataType type) {
  tf::AttrValue attr;
  attr.set_type(type);
  return attr;
}
tf::AttrValue BoolAttr(bool value) {
  tf::AttrValue attr;
  attr.set_b(value);
  return attr;
}
tf::AttrValue IntAttr(int64_t value) {
  tf::AttrValue attr;
  attr.set_i(value);
  return attr;
}
tf::AttrValue FloatAttr(float value) {
  tf::AttrValue attr;
  attr.set_f(value);
  return attr;
}
tf::AttrValue StringAttr(std::string_view value) {
  tf::AttrValue attr;
  attr.set_s(std::string(value));
  return attr;
}
tf::AttrValue IntsAttr(std::span<const int64_t> values) {
  tf::AttrValue attr;
  auto* list = attr.mutable_list();
  for (const int64_t value : values) list->add_i(value);
  return attr;
}
tf::AttrValue ShapeAttr(std::span<const int64_t> dims) {
  tf::AttrValue attr;
  FillShape(dims, attr.mutable_shape());
  return attr;
}
tf::AttrValue ColocationAttr(std::string_view name) {
  tf::AttrValue attr;
  attr.mutable_list()->mutable_s()->Reserve(1);  // as in FillShape
  attr.mutable_list()->add_s("loc:@" + std::string(name));
  return attr;
}
tf::AttrValue FloatTensorAttr(std::span<const int64_t> dims, std::span<const float> values) {
  return ContentAttr(tf::DT_FLOAT, dims, values);
}
tf::AttrValue IntTensorAttr(std::span<const int64_t> dims, std::span<const int32_t> values) {
  return ContentAttr(tf::DT_INT32, dims, values);
}
tf::AttrValue FloatScalarAttr(float value) {
  tf::AttrValue attr;
  NewTensor(tf::DT_FLOAT, {}, &attr)->add_float_val(value);
  return attr;
}
tf::AttrValue IntScalarAttr(std::span<const int64_t> dims, int32_t value) {
  tf::AttrValue attr;
  NewTensor(tf::DT_INT32, dims, &attr)->add_int_val(value);
  return attr;
}
tf::AttrValue StringScalarAttr(std::string_view value) {
  tf::AttrValue attr;
  tf::TensorProto* const tensor = NewTensor(tf::DT_STRING, {}, &attr);
  tensor->mutable_string_val()->Reserve(1);  // as in FillShape
  tensor->add_string_val(std::string(value));
  return attr;
}

void GraphWriter::AddRaw(std::string_view node) { AppendField(kGraphNode, node, &bytes_); }
void GraphWriter::AddRaw(std::span<const std::byte> node) {
  AddRaw(std::string_view(reinterpret_cast<const char*>(node.data()), node.size()));
}

void GraphWriter::Add(std::string_view name, std::string_view op, const std::vector<std::string>& inputs,
                      const NodeAttrs& attrs) {
  std::vector<std::pair<std::string, std::string>> serialized;
  for (const auto& [key, value] : attrs) serialized.emplace_back(key, value.bytes);
  AddSerialized(name, op, inputs, serialized, "");
}

void GraphWriter::AddSerialized(std::string_view name, std::string_view op,
                                const std::vector<std::string>& inputs,
                                const std::vector<std::pair<std::string, std::string>>& attrs,
                                std::string_view rest) {
  std::string node;
  AppendField(kNodeName, name, &node);
  AppendField(kNodeOp, op, &node);
  for (const std::string& input : inputs) AppendField(kNodeInput, input, &node);
  node += rest;
  for (const auto& [key, value] : attrs) {
    std::string entry;
    AppendField(kEntryKey, key, &entry);
    AppendField(kEntryValue, value, &entry);
    AppendField(kNodeAttr, entry, &node);
  }
  AddRaw(node);
}

std::string GraphWriter::Finish(bool with_library) && {
  if (with_library) AppendField(kGraphLibrary, "", &bytes_);
  return std::move(bytes_);
}

}  // namespace couplet
