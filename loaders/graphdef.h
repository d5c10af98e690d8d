// A TensorFlow GraphDef on disk: opened, held to the limits of hostile input, and written again.
// Nodes and their big constants are views into the mapped file; nothing is copied.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/head_trainer.h"
#include "runtime/status.h"
#include "runtime/tensor.h"

namespace couplet {

struct GraphDefLimits {
  uint64_t file_bytes = uint64_t{512} << 20;
  size_t nodes = 50'000;
  size_t inputs = 64;  // a node
  size_t attrs = 64;   // a node
};

// TensorFlow's DataType numbers, those that occur.
enum class DataType : int { kInvalid = 0, kFloat = 1, kDouble = 2, kInt32 = 3, kUint8 = 4, kString = 7, kInt64 = 9,
                            kBool = 10, kQint8 = 11, kQuint8 = 12, kHalf = 19 };

// A constant, checked: the product of dims, the length of its data and the dtype agree.
struct TensorValue {
  DataType dtype = DataType::kInvalid;
  std::vector<int64_t> dims;
  size_t count = 0;
  std::span<const std::byte> content;  // tensor_content, `count` elements; or empty, then `values` below
  std::vector<double> values;          // from float_val, int_val, ...: 1 (a splat) or count
};

struct NodeView {
  std::string_view name, op;
  std::vector<std::string_view> inputs;  // as written: "a", "a:1", "^control"
  std::span<const std::byte> raw;        // the whole NodeDef, to be written again unchanged
  std::vector<std::pair<std::string_view, std::span<const std::byte>>> attrs;  // name, serialised AttrValue
};

class GraphDef {
 public:
  // kIo when it cannot be read, kBadInput with file, node and reason when it is not a graph or breaks a limit.
  static Result<GraphDef> Open(const std::string& path, const GraphDefLimits& limits = {});
  // `bytes` are kept alive by `owner`; `name` stands for the path in messages.
  static Result<GraphDef> Parse(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                                const std::string& name, const GraphDefLimits& limits = {});

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return bytes_; }
  const std::shared_ptr<const void>& owner() const { return owner_; }
  const std::vector<NodeView>& nodes() const { return nodes_; }  // in the file's order
  const NodeView* Find(std::string_view name) const;
  int IndexOf(std::string_view name) const;  // -1: none

  // Attributes; nullopt when absent or of another kind.
  static std::optional<std::string> AttrString(const NodeView& node, std::string_view attr);
  static std::optional<int64_t> AttrInt(const NodeView& node, std::string_view attr);
  static std::optional<float> AttrFloat(const NodeView& node, std::string_view attr);
  static std::optional<bool> AttrBool(const NodeView& node, std::string_view attr);
  static std::optional<DataType> AttrType(const NodeView& node, std::string_view attr);
  static std::optional<std::vector<int64_t>> AttrInts(const NodeView& node, std::string_view attr);
  static std::optional<std::vector<int64_t>> AttrShape(const NodeView& node, std::string_view attr);
  // A Const's value; the error names file, node and reason.
  Result<TensorValue> ConstValue(const NodeView& node) const;

 private:
  std::string path_;
  std::span<const std::byte> bytes_;
  std::shared_ptr<const void> owner_;
  std::vector<NodeView> nodes_;
  std::unordered_map<std::string_view, int> index_;
};

// "a:0" -> "a", "^a" -> "a"
std::string_view NodeNameOf(std::string_view input);

struct RetrainedGraphOptions {
  std::string bottleneck_tensor;               // "MobilenetV1/Predictions/Reshape:0"
  std::string final_tensor_name = "final_result";
  float learning_rate = 0.01f;                 // a constant of the training graph
};
// The frozen graph that retrain.py writes (COMPATIBILITY section 4): the backbone's nodes that the head needs, in
// their order and to the byte, then the head with `params`; names made unique as TensorFlow does ("input_1/...").
Result<std::string> SerializeRetrainedGraph(const GraphDef& backbone, const HeadShape& shape,
                                            const HeadParams& params, const RetrainedGraphOptions& options);
// Whether it could be written: kBadInput for a final tensor's name that cannot be used, say.
Status CheckRetrainedGraph(const GraphDef& backbone, const HeadShape& shape, const RetrainedGraphOptions& options);
// The training graph for TensorBoard: the same plus loss, accuracy and training scopes; big constants without values.
Result<std::string> SerializeTrainingGraph(const GraphDef& backbone, const HeadShape& shape,
                                           const RetrainedGraphOptions& options);
// Any graph for TensorBoard: constants over a kilobyte with type and shape, without values.
std::string SerializeWithoutValues(const GraphDef& def);

}  // namespace couplet
