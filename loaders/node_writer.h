// Writes a serialised GraphDef node by node: nodes as they were found, and new ones whose attributes keep the
// order they are given in (protobuf's own maps would shuffle them).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "loaders/tensorflow.pb.h"
#include "loaders/wire_append.h"

namespace couplet {

// An AttrValue as bytes: copying protobuf's own object loses memory where there is too little of it.
struct AttrBytes {
  AttrBytes(const tf::AttrValue& value) : bytes(value.SerializeAsString()) {}
  std::string bytes;
};
using NodeAttrs = std::vector<std::pair<std::string, AttrBytes>>;

tf::AttrValue TypeAttr(tf::DataType type);
tf::AttrValue BoolAttr(bool value);
tf::AttrValue IntAttr(int64_t value);
tf::AttrValue FloatAttr(float value);
tf::AttrValue StringAttr(std::string_view value);
tf::AttrValue IntsAttr(std::span<const int64_t> values);
tf::AttrValue ShapeAttr(std::span<const int64_t> dims);  // -1: unknown
// `_class`: lives on the same device as node `name`.
tf::AttrValue ColocationAttr(std::string_view name);
// Tensors with tensor_content. REQUIRES: the values are as many as the dims say.
tf::AttrValue FloatTensorAttr(std::span<const int64_t> dims, std::span<const float> values);
tf::AttrValue IntTensorAttr(std::span<const int64_t> dims, std::span<const int32_t> values);
// Tensors with one typed value, as TensorFlow writes scalars.
tf::AttrValue FloatScalarAttr(float value);
tf::AttrValue IntScalarAttr(std::span<const int64_t> dims, int32_t value);
tf::AttrValue StringScalarAttr(std::string_view value);

class GraphWriter {
 public:
  void Reserve(size_t bytes) { bytes_.reserve(bytes); }
  // A NodeDef as it was found, to the byte.
  void AddRaw(std::span<const std::byte> node);
  void AddRaw(std::string_view node);
  void Add(std::string_view name, std::string_view op, const std::vector<std::string>& inputs,
           const NodeAttrs& attrs);
  // Attributes serialised already, and `rest`: fields of the NodeDef that nobody looks at.
  void AddSerialized(std::string_view name, std::string_view op, const std::vector<std::string>& inputs,
                     const std::vector<std::pair<std::string, std::string>>& attrs, std::string_view rest);
  // The finished GraphDef: no `versions`, and an empty `library` at the end as the freeze tools write it.
  std::string Finish(bool with_library = true) &&;

 private:
  std::string bytes_;
};

}  // namespace couplet
