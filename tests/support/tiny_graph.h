// Small GraphDefs for tests, built with the generated message classes: what they serialise, the loader must
// read.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "loaders/graphdef.h"
#include "loaders/tensorflow.pb.h"

namespace couplet::test {

inline std::span<const std::byte> AsBytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// Parses serialised bytes that the graph then owns.
inline Result<GraphDef> ParseBytes(std::string serialised, const GraphDefLimits& limits = {}) {
  auto owner = std::make_shared<const std::string>(std::move(serialised));
  const auto bytes = AsBytes(*owner);
  return GraphDef::Parse(bytes, std::move(owner), "tiny.pb", limits);
}

// A node under construction; setters return it, so that attributes read like a list.
class TinyNode {
 public:
  explicit TinyNode(tf::NodeDef* node) : node_(node) {}
  tf::NodeDef& proto() { return *node_; }
  tf::AttrValue& attr(const std::string& key) { return (*node_->mutable_attr())[key]; }
  TinyNode& Ints(const std::string& key, std::initializer_list<int64_t> values) {
    attr(key).mutable_list();
    for (int64_t value : values) attr(key).mutable_list()->add_i(value);
    return *this;
  }
  TinyNode& String(const std::string& key, const std::string& value) {
    attr(key).set_s(value);
    return *this;
  }
  TinyNode& Bool(const std::string& key, bool value) {
    attr(key).set_b(value);
    return *this;
  }
  TinyNode& Float(const std::string& key, float value) {
    attr(key).set_f(value);
    return *this;
  }
  TinyNode& Type(const std::string& key, tf::DataType value) {
    attr(key).set_type(value);
    return *this;
  }
  TinyNode& Shape(const std::string& key, std::initializer_list<int64_t> dims) {
    tf::TensorShapeProto* shape = attr(key).mutable_shape();
    for (int64_t dim : dims) shape->add_dim()->set_size(dim);
    return *this;
  }

 private:
  tf::NodeDef* node_;
};

class TinyGraph {
 public:
  tf::GraphDef proto;

  TinyNode Node(const std::string& name, const std::string& op, const std::vector<std::string>& inputs = {}) {
    tf::NodeDef* node = proto.add_node();
    node->set_name(name);
    node->set_op(op);
    for (const std::string& input : inputs) node->add_input(input);
    return TinyNode(node);
  }
  TinyNode Placeholder(const std::string& name = "input") {
    return Node(name, "Placeholder").Type("dtype", tf::DT_FLOAT);
  }
  // A Const of `dtype` without any value yet.
  tf::TensorProto& Tensor(const std::string& name, tf::DataType dtype, const std::vector<int64_t>& dims) {
    TinyNode node = Node(name, "Const").Type("dtype", dtype);
    tf::TensorProto& tensor = *node.attr("value").mutable_tensor();
    tensor.set_dtype(dtype);
    tensor.mutable_tensor_shape();
    for (int64_t dim : dims) tensor.mutable_tensor_shape()->add_dim()->set_size(dim);
    return tensor;
  }
  void Floats(const std::string& name, const std::vector<int64_t>& dims, const std::vector<float>& values) {
    Tensor(name, tf::DT_FLOAT, dims)
        .set_tensor_content(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  }
  // `dims` floats 0.5, 1, 1.5, ...
  void Ramp(const std::string& name, const std::vector<int64_t>& dims) {
    size_t count = 1;
    for (int64_t dim : dims) count *= static_cast<size_t>(dim);
    std::vector<float> values(count);
    for (size_t i = 0; i < count; ++i) values[i] = 0.5f * static_cast<float>(i + 1);
    Floats(name, dims, values);
  }
  void Int32s(const std::string& name, const std::vector<int64_t>& dims, const std::vector<int32_t>& values) {
    Tensor(name, tf::DT_INT32, dims)
        .set_tensor_content(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(int32_t));
  }
  // Deterministic: a map's entries come in the order of their keys, or tests would differ from run to run.
  std::string Bytes() const {
    std::string bytes;
    google::protobuf::io::StringOutputStream sink(&bytes);
    google::protobuf::io::CodedOutputStream stream(&sink);
    stream.SetSerializationDeterministic(true);
    proto.SerializePartialToCodedStream(&stream);
    stream.Trim();
    return bytes;
  }
  Result<GraphDef> Parse(const GraphDefLimits& limits = {}) const { return ParseBytes(Bytes(), limits); }
};

// Empty when `status` is the one line a user should see, with every one of `parts`; otherwise what it is.
inline std::string NotTheLine(const Status& status, std::initializer_list<std::string> parts,
                              Code code = Code::kBadInput) {
  const std::string& line = status.message();
  if (status.code() != code) return "code " + std::to_string(status.exit_code()) + ": " + line;
  if (line.find('\n') != std::string::npos) return "more than one line: " + line;
  for (const std::string& part : parts)
    if (line.find(part) == std::string::npos) return "lacks '" + part + "': " + line;
  return "";
}

}  // namespace couplet::test
