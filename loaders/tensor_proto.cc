// SPDX-License-Identifier: Apache-2.0
#include "loaders/tensor_proto.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>

#include "loaders/wire_fields.h"
#include "runtime/shape.h"

namespace couplet {
namespace {

using Type = WireFields::Type;

// TensorProto's field numbers.
enum TensorField {
  kDtype = 1,
  kShape = 2,
  kContent = 4,
  kFloatVal = 5,
  kDoubleVal = 6,
  kIntVal = 7,
  kStringVal = 8,
  kInt64Val = 10,
  kBoolVal = 11,
  kHalfVal = 13
};
// The highest number of a typed list in TensorFlow's message (float8_val).
constexpr int kLastTensorField = 18;

struct DtypeRow {
  DataType dtype;
  const char* name;
  size_t size;
  int list_field;     // where its values stand when they are not in tensor_content
  Type element_type;  // of one unpacked value
};
constexpr DtypeRow kDtypes[] = {
    {DataType::kFloat, "float", 4, kFloatVal, Type::kFixed32},
    {DataType::kDouble, "double", 8, kDoubleVal, Type::kFixed64},
    {DataType::kInt32, "int32", 4, kIntVal, Type::kVarint},
    {DataType::kUint8, "uint8", 1, kIntVal, Type::kVarint},
    {DataType::kString, "string", 0, kStringVal, Type::kBytes},
    {DataType::kInt64, "int64", 8, kInt64Val, Type::kVarint},
    {DataType::kBool, "bool", 1, kBoolVal, Type::kVarint},
    {DataType::kQint8, "qint8", 1, kIntVal, Type::kVarint},
    {DataType::kQuint8, "quint8", 1, kIntVal, Type::kVarint},
    {DataType::kHalf, "half", 2, kHalfVal, Type::kVarint},
};

const DtypeRow* FindDtype(DataType dtype) {
  for (const DtypeRow& row : kDtypes)
    if (row.dtype == dtype) return &row;
  return nullptr;
}

double ValueOf(const DtypeRow& row, uint64_t bits) {
  if (row.dtype == DataType::kFloat) return std::bit_cast<float>(static_cast<uint32_t>(bits));
  if (row.dtype == DataType::kDouble) return std::bit_cast<double>(bits);
  if (row.dtype == DataType::kInt64) return static_cast<double>(static_cast<int64_t>(bits));
  return static_cast<double>(static_cast<int32_t>(static_cast<uint32_t>(bits)));
}

constexpr char kMalformed[] = "its tensor is malformed";

// Calls `each(bits)` for every value of one appearance of a typed list, packed or not. False: malformed.
template <class Each>
bool ForEachListValue(const DtypeRow& row, const WireFields& field, Each each) {
  if (field.type() == row.element_type) {
    each(row.element_type == Type::kBytes ? 0 : field.varint());
    return true;
  }
  if (field.type() != Type::kBytes) return false;
  const std::span<const std::byte> packed = field.bytes();
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(packed.data()),
                                            static_cast<int>(packed.size()));
  while (in.CurrentPosition() < static_cast<int>(packed.size())) {
    uint64_t bits = 0;
    uint32_t bits32 = 0;
    bool read = false;
    if (row.element_type == Type::kFixed32) {
      read = in.ReadLittleEndian32(&bits32);
      bits = bits32;
    } else if (row.element_type == Type::kFixed64) {
      read = in.ReadLittleEndian64(&bits);
    } else {
      read = in.ReadVarint64(&bits);
    }
    if (!read) return false;
    each(bits);
  }
  return true;
}

// dtype, dims and content; the dtype must be known before the lists can be read.
Status ReadHeader(std::span<const std::byte> proto, TensorValue* tensor) {
  std::span<const std::byte> shape;
  uint32_t seen = 0;
  WireFields fields(proto);
  while (fields.Next()) {
    if (fields.number() > kContent) continue;
    const uint32_t bit = uint32_t{1} << fields.number();
    if ((seen & bit) != 0) return BadInput("its tensor has a field twice");
    seen |= bit;
    if (fields.is(kDtype, Type::kVarint)) {
      if (fields.varint() == 0 || fields.varint() > 100)
        return BadInput(fmt::format("its tensor has no valid dtype ({})", fields.varint()));
      tensor->dtype = static_cast<DataType>(fields.varint());
    } else if (fields.is(kShape, Type::kBytes)) {
      shape = fields.bytes();
    } else if (fields.is(kContent, Type::kBytes)) {
      tensor->content = fields.bytes();
    } else if (fields.number() == kDtype || fields.number() == kShape || fields.number() == kContent) {
      return BadInput(kMalformed);
    }
  }
  if (fields.malformed()) return BadInput(kMalformed);
  if (tensor->dtype == DataType::kInvalid) return BadInput("its tensor has no dtype");
  COUPLET_ASSIGN_OR_RETURN(const auto dims, ReadShapeProto(shape));
  if (!dims) return BadInput("its tensor has an unknown rank");
  const std::optional<int64_t> count = ElementCount(*dims);
  if (!count)
    return BadInput(fmt::format("its tensor's shape [{}] has an unknown dimension or more than {} elements",
                                fmt::join(*dims, ","), kMaxElements));
  tensor->dims = *dims;
  tensor->count = static_cast<size_t>(*count);
  return {};
}

Status CheckListLength(const TensorValue& tensor, size_t listed) {
  if (!tensor.content.empty())
    return listed == 0 ? Status() : BadInput("its tensor has both tensor_content and a list of values");
  if (listed == tensor.count || (listed == 1 && tensor.count > 0)) return {};
  return BadInput(fmt::format("its tensor lists {} values; shape [{}] needs 1 or {}", listed,
                              fmt::join(tensor.dims, ","), tensor.count));
}

}  // namespace

size_t DataTypeSize(DataType dtype) {
  const DtypeRow* row = FindDtype(dtype);
  return row == nullptr ? 0 : row->size;
}

std::string DataTypeName(DataType dtype) {
  const DtypeRow* row = FindDtype(dtype);
  return row == nullptr ? fmt::format("type {}", static_cast<int>(dtype)) : row->name;
}

Status ReadTensorProto(std::span<const std::byte> proto, bool want_values, TensorValue* tensor) {
  *tensor = {};
  COUPLET_RETURN_IF_ERROR(ReadHeader(proto, tensor));
  const DtypeRow* row = FindDtype(tensor->dtype);
  if (row == nullptr) return {};  // its content means nothing to us; whoever needs the value is told so
  if (row->size != 0 && !tensor->content.empty() && tensor->content.size() != tensor->count * row->size)
    return BadInput(fmt::format("its tensor_content has {} bytes; {} [{}] needs {}", tensor->content.size(),
                                row->name, fmt::join(tensor->dims, ","), tensor->count * row->size));
  size_t listed = 0;
  WireFields fields(proto);
  while (fields.Next()) {
    if (fields.number() <= kContent || fields.number() > kLastTensorField) continue;
    if (fields.number() != row->list_field) {
      if (fields.type() == Type::kBytes && fields.bytes().empty()) continue;  // an empty packed list
      return BadInput(fmt::format("its tensor is of dtype {} but lists values of another type", row->name));
    }
    const bool read = ForEachListValue(*row, fields, [&](uint64_t bits) {
      ++listed;
      if (want_values && row->size != 0) tensor->values.push_back(ValueOf(*row, bits));
    });
    if (!read) return BadInput(kMalformed);
  }
  return CheckListLength(*tensor, listed);
}

Result<std::optional<std::vector<int64_t>>> ReadShapeProto(std::span<const std::byte> proto) {
  constexpr int kDim = 2, kUnknownRank = 3, kSize = 1;
  std::vector<int64_t> dims;
  bool unknown_rank = false;
  WireFields fields(proto);
  while (fields.Next()) {
    if (fields.is(kUnknownRank, Type::kVarint)) unknown_rank = fields.varint() != 0;
    if (!fields.is(kDim, Type::kBytes)) continue;
    if (dims.size() == kMaxRank)
      return BadInput(fmt::format("a shape has more than {} dimensions", kMaxRank));
    int64_t size = 0;
    WireFields dim(fields.bytes());
    while (dim.Next())
      if (dim.is(kSize, Type::kVarint)) size = static_cast<int64_t>(dim.varint());
    if (dim.malformed()) return BadInput("a shape is malformed");
    if (size < -1 || size > INT32_MAX) return BadInput(fmt::format("a shape has the dimension {}", size));
    dims.push_back(size);
  }
  if (fields.malformed()) return BadInput("a shape is malformed");
  if (unknown_rank) return std::optional<std::vector<int64_t>>();
  return std::optional(std::move(dims));
}

}  // namespace couplet
