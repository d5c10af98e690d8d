// SPDX-License-Identifier: Apache-2.0
#include "loaders/graphdef.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "loaders/files.h"
#include "loaders/tensor_proto.h"
#include "loaders/tensorflow.pb.h"
#include "loaders/wire_fields.h"

namespace couplet {
namespace {

using Type = WireFields::Type;

// TensorFlow's field numbers.
enum GraphField { kNode = 1, kLibrary = 2, kVersion = 3, kVersions = 4, kDebugInfo = 5 };
enum NodeField { kName = 1, kOp = 2, kInput = 3, kAttr = 5 };
enum AttrField {
  kList = 1,
  kString = 2,
  kInt = 3,
  kFloat = 4,
  kBool = 5,
  kType = 6,
  kShape = 7,
  kTensor = 8,
  kPlaceholder = 9,
  kFunction = 10
};

constexpr size_t kMaxNameBytes = 4096;
// Of messages parsed by the generated classes.
constexpr int kMaxNesting = 32;

// Names stand in error messages, so they must not break a line or a terminal.
bool IsPlainText(std::string_view text) {
  return !text.empty() && text.size() <= kMaxNameBytes &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

// What somebody may have given in a graph's place; nullptr: no idea.
const char* LooksLike(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()),
                              std::min<size_t>(bytes.size(), 256));
  if (text.starts_with("\x1f\x8b")) return "a gzip archive: unpack it and give the .pb inside";
  if (text.starts_with("PK\x03\x04")) return "a zip archive: unpack it and give the .pb inside";
  if (text.starts_with("\x89HDF")) return "an HDF5 file (Keras): freeze the model to a .pb";
  if (text.size() >= 8 && text.substr(4, 4) == "TFL3")
    return "a TensorFlow Lite model: give the .pb it was made from";
  if (text.starts_with('\x08')) return "perhaps a SavedModel: freeze it to a .pb of one GraphDef";
  const bool is_text = std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= ' ' && c <= '~') || c == '\n' || c == '\r' || c == '\t';
  });
  return is_text ? "text (a .pbtxt, or a web page saved in its place?): give the binary .pb" : nullptr;
}

// The only field of an attribute's value, where it is of the wanted kind.
struct Found {
  bool ok = false;
  uint64_t bits = 0;
  std::span<const std::byte> bytes;
};
Found FindAttr(const NodeView& node, std::string_view attr, AttrField kind, Type type) {
  for (const auto& [key, value] : node.attrs) {
    if (key != attr) continue;
    WireFields fields(value);
    while (fields.Next())
      if (fields.is(kind, type))
        return {true, type == Type::kBytes ? 0 : fields.varint(),
                type == Type::kBytes ? fields.bytes() : std::span<const std::byte>()};
  }
  return {};
}

class GraphParser {
 public:
  GraphParser(const std::string& path, const GraphDefLimits& limits) : path_(path), limits_(limits) {}

  Result<std::vector<NodeView>> Parse(std::span<const std::byte> bytes);

 private:
  Status Error(const std::string& reason) const { return BadInput(fmt::format("{}: {}", path_, reason)); }
  // Before a node's name is known to be printable it goes by its number.
  Status NodeError(const NodeView& node, const std::string& reason) const {
    if (!IsPlainText(node.name)) return Error(fmt::format("node number {}: {}", index_, reason));
    return Error(fmt::format("node '{}': {}", node.name, reason));
  }
  Status ParseNode(NodeView* node);
  Status ParseAttr(std::span<const std::byte> entry, NodeView* node);
  Status CheckNames(const NodeView& node) const;
  Status CheckAttr(const NodeView& node, std::string_view key, std::span<const std::byte> value) const;
  Status CheckConst(const NodeView& node) const;

  const std::string& path_;
  const GraphDefLimits& limits_;
  size_t index_ = 0;
};

Result<std::vector<NodeView>> GraphParser::Parse(std::span<const std::byte> bytes) {
  std::vector<NodeView> nodes;
  WireFields fields(bytes);
  while (fields.Next()) {
    if (fields.is(kNode, Type::kBytes)) {
      if (nodes.size() == limits_.nodes) return Error(fmt::format("has more than {} nodes", limits_.nodes));
      index_ = nodes.size();
      nodes.emplace_back().raw = fields.bytes();
      COUPLET_RETURN_IF_ERROR(ParseNode(&nodes.back()));
    } else if (fields.is(kLibrary, Type::kBytes)) {
      if (!fields.bytes().empty())
        return Error(
            "has a function library, which Couplet does not run: freeze the graph with its functions "
            "inlined");
    } else if (!fields.is(kVersion, Type::kVarint) && !fields.is(kVersions, Type::kBytes) &&
               !fields.is(kDebugInfo, Type::kBytes)) {
      return Error(
          fmt::format("is no GraphDef: unknown field {} after {} nodes (damaged, or bytes added at its end)",
                      fields.number(), nodes.size()));
    }
  }
  if (fields.malformed())
    return Error(
        fmt::format("is no GraphDef, or breaks off, after {} nodes: fetch or write it again", nodes.size()));
  if (nodes.empty()) return Error("has no nodes");
  return nodes;
}

Status GraphParser::ParseNode(NodeView* node) {
  WireFields fields(node->raw);
  bool named_twice = false;
  while (fields.Next()) {
    if (fields.number() != kName && fields.number() != kOp && fields.number() != kInput &&
        fields.number() != kAttr)
      continue;  // device, debug info
    if (fields.type() != Type::kBytes) return NodeError(*node, "is malformed");
    if (fields.number() == kName) {
      named_twice |= node->name.data() != nullptr;
      node->name = fields.text();
    } else if (fields.number() == kOp) {
      named_twice |= node->op.data() != nullptr;
      node->op = fields.text();
    } else if (fields.number() == kInput) {
      if (node->inputs.size() == limits_.inputs)
        return NodeError(*node, fmt::format("has more than {} inputs", limits_.inputs));
      node->inputs.push_back(fields.text());
    } else {
      COUPLET_RETURN_IF_ERROR(ParseAttr(fields.bytes(), node));
    }
  }
  if (fields.malformed()) return NodeError(*node, "is malformed");
  if (named_twice) return NodeError(*node, "has two names or two ops");
  COUPLET_RETURN_IF_ERROR(CheckNames(*node));
  for (const auto& [key, value] : node->attrs) COUPLET_RETURN_IF_ERROR(CheckAttr(*node, key, value));
  return node->op == "Const" ? CheckConst(*node) : Status();
}

// One entry of map<string, AttrValue>.
Status GraphParser::ParseAttr(std::span<const std::byte> entry, NodeView* node) {
  constexpr int kKey = 1, kValue = 2;
  if (node->attrs.size() == limits_.attrs)
    return NodeError(*node, fmt::format("has more than {} attributes", limits_.attrs));
  std::optional<std::string_view> key;
  std::optional<std::span<const std::byte>> value;
  WireFields fields(entry);
  bool well_formed = true;
  while (fields.Next()) {
    if (fields.is(kKey, Type::kBytes) && !key) {
      key = fields.text();
    } else if (fields.is(kValue, Type::kBytes) && !value) {
      value = fields.bytes();
    } else {
      well_formed = false;
    }
  }
  if (fields.malformed() || !well_formed || !key || !IsPlainText(*key))
    return NodeError(*node, "has a malformed attribute");
  for (const auto& [other, ignored] : node->attrs)
    if (other == *key) return NodeError(*node, fmt::format("has the attribute '{}' twice", *key));
  node->attrs.emplace_back(*key, value.value_or(std::span<const std::byte>()));
  return {};
}

Status GraphParser::CheckNames(const NodeView& node) const {
  // (find_first_of looks each character up in turn: a twentieth of label_image's instructions.)
  if (!IsPlainText(node.name) || node.name.find(':') != std::string_view::npos || node.name.find('^') != std::string_view::npos)
    return Error(fmt::format("node number {} has no valid name", index_));
  if (!IsPlainText(node.op)) return NodeError(node, "has no valid op");
  for (std::string_view input : node.inputs) {
    std::string_view suffix;
    if (const size_t colon = input.find(':'); colon != std::string_view::npos)
      suffix = input.substr(colon + 1);
    const bool numbered = input.find(':') == std::string_view::npos ||
                          (!suffix.empty() && suffix.size() <= 4 &&
                           suffix.find_first_not_of("0123456789") == std::string_view::npos);
    if (!IsPlainText(input) || NodeNameOf(input).empty() || !numbered)
      return NodeError(node, "has an input without a valid name");
  }
  return {};
}

// An AttrValue has at most one kind; shapes and tensors keep the limits whatever the node is.
Status GraphParser::CheckAttr(const NodeView& node, std::string_view key,
                              std::span<const std::byte> value) const {
  const auto error = [&](const std::string& reason) {
    return NodeError(node, fmt::format("attribute '{}': {}", key, reason));
  };
  bool has_kind = false;
  WireFields fields(value);
  while (fields.Next()) {
    if (fields.number() < kList || fields.number() > kFunction) continue;
    if (has_kind) return error("has two values");
    has_kind = true;
    if (fields.is(kTensor, Type::kBytes)) {
      TensorValue ignored;
      if (const Status status = ReadTensorProto(fields.bytes(), false, &ignored); !status.ok())
        return NodeError(node, status.message());
    } else if (fields.is(kShape, Type::kBytes)) {
      if (const auto shape = ReadShapeProto(fields.bytes()); !shape.ok())
        return error(shape.status().message());
    }
  }
  return fields.malformed() ? error("is malformed") : Status();
}

Status GraphParser::CheckConst(const NodeView& node) const {
  const std::optional<DataType> dtype = GraphDef::AttrType(node, "dtype");
  if (!dtype) return NodeError(node, "is a Const without a dtype");
  const Found value = FindAttr(node, "value", kTensor, Type::kBytes);
  if (!value.ok) return NodeError(node, "is a Const without a value");
  TensorValue tensor;
  COUPLET_RETURN_IF_ERROR(ReadTensorProto(value.bytes, false, &tensor));
  if (tensor.dtype != *dtype)
    return NodeError(node, fmt::format("its dtype attribute says {}, its tensor {}", DataTypeName(*dtype),
                                       DataTypeName(tensor.dtype)));
  return {};
}

}  // namespace

std::string_view NodeNameOf(std::string_view input) {
  if (input.starts_with('^')) input.remove_prefix(1);
  return input.substr(0, input.find(':'));
}

Result<GraphDef> GraphDef::Open(const std::string& path, const GraphDefLimits& limits) {
  COUPLET_ASSIGN_OR_RETURN(auto file, MappedFile::Open(path, limits.file_bytes));
  const std::span<const std::byte> bytes = file->bytes();
  return Parse(bytes, std::move(file), path, limits);
}

Result<GraphDef> GraphDef::Parse(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                                 const std::string& name, const GraphDefLimits& limits) {
  if (bytes.empty()) return BadInput(fmt::format("{}: is empty", name));
  if (bytes.size() > std::min<uint64_t>(limits.file_bytes, INT32_MAX))
    return BadInput(fmt::format("{}: has {} bytes; the limit is {}", name, bytes.size(), limits.file_bytes));
  Result<std::vector<NodeView>> nodes = GraphParser(name, limits).Parse(bytes);
  if (!nodes.ok()) {
    const char* looks_like = LooksLike(bytes);
    if (looks_like == nullptr) return nodes.status();
    return BadInput(fmt::format("{}: is no GraphDef but {}", name, looks_like));
  }
  GraphDef def;
  def.path_ = name;
  def.bytes_ = bytes;
  def.owner_ = std::move(owner);
  def.nodes_ = *std::move(nodes);
  def.index_.reserve(def.nodes_.size());
  for (size_t i = 0; i < def.nodes_.size(); ++i)
    if (!def.index_.emplace(def.nodes_[i].name, static_cast<int>(i)).second)
      return BadInput(fmt::format("{}: node '{}': there are two of this name", name, def.nodes_[i].name));
  for (const NodeView& node : def.nodes_)
    for (std::string_view input : node.inputs)
      if (def.IndexOf(NodeNameOf(input)) < 0)
        return BadInput(
            fmt::format("{}: node '{}': its input '{}' is not in the graph", name, node.name, input));
  return def;
}

const NodeView* GraphDef::Find(std::string_view name) const {
  const int index = IndexOf(name);
  return index < 0 ? nullptr : &nodes_[static_cast<size_t>(index)];
}

int GraphDef::IndexOf(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? -1 : found->second;
}

std::optional<std::string> GraphDef::AttrString(const NodeView& node, std::string_view attr) {
  const Found found = FindAttr(node, attr, kString, Type::kBytes);
  if (!found.ok) return std::nullopt;
  return std::string(reinterpret_cast<const char*>(found.bytes.data()), found.bytes.size());
}

std::optional<int64_t> GraphDef::AttrInt(const NodeView& node, std::string_view attr) {
  const Found found = FindAttr(node, attr, kInt, Type::kVarint);
  return found.ok ? std::optional(static_cast<int64_t>(found.bits)) : std::nullopt;
}

std::optional<float> GraphDef::AttrFloat(const NodeView& node, std::string_view attr) {
  const Found found = FindAttr(node, attr, kFloat, Type::kFixed32);
  return found.ok ? std::optional(std::bit_cast<float>(static_cast<uint32_t>(found.bits))) : std::nullopt;
}

std::optional<bool> GraphDef::AttrBool(const NodeView& node, std::string_view attr) {
  const Found found = FindAttr(node, attr, kBool, Type::kVarint);
  return found.ok ? std::optional(found.bits != 0) : std::nullopt;
}

std::optional<DataType> GraphDef::AttrType(const NodeView& node, std::string_view attr) {
  const Found found = FindAttr(node, attr, kType, Type::kVarint);
  return found.ok ? std::optional(static_cast<DataType>(found.bits & 0x7fffffff)) : std::nullopt;
}

std::optional<std::vector<int64_t>> GraphDef::AttrInts(const NodeView& node, std::string_view attr) {
  const Found found = FindAttr(node, attr, kList, Type::kBytes);
  if (!found.ok) return std::nullopt;
  google::protobuf::io::CodedInputStream stream(reinterpret_cast<const uint8_t*>(found.bytes.data()),
                                                static_cast<int>(found.bytes.size()));
  stream.SetRecursionLimit(kMaxNesting);
  tf::AttrValue::ListValue list;
  if (!list.ParseFromCodedStream(&stream) || !stream.ConsumedEntireMessage()) return std::nullopt;
  // An empty list does not say of what; a list of anything else is none of integers.
  if (list.s_size() + list.f_size() + list.b_size() + list.type_size() + list.shape_size() > 0)
    return std::nullopt;
  return std::vector<int64_t>(list.i().begin(), list.i().end());
}

std::optional<std::vector<int64_t>> GraphDef::AttrShape(const NodeView& node, std::string_view attr) {
  const Found found = FindAttr(node, attr, kShape, Type::kBytes);
  if (!found.ok) return std::nullopt;
  Result<std::optional<std::vector<int64_t>>> shape = ReadShapeProto(found.bytes);
  return shape.ok() ? *shape : std::nullopt;
}

Result<TensorValue> GraphDef::ConstValue(const NodeView& node) const {
  const auto error = [&](const std::string& reason) {
    return BadInput(fmt::format("{}: node '{}': {}", path_, node.name, reason));
  };
  const Found found = FindAttr(node, "value", kTensor, Type::kBytes);
  if (node.op != "Const" || !found.ok) return error("is no Const");
  TensorValue tensor;
  if (const Status status = ReadTensorProto(found.bytes, true, &tensor); !status.ok())
    return error(status.message());
  if (DataTypeSize(tensor.dtype) == 0)
    return error(fmt::format("its tensor holds {}, not numbers", DataTypeName(tensor.dtype)));
  return tensor;
}

}  // namespace couplet
