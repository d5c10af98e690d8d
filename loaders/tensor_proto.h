// A serialised TensorProto or TensorShapeProto, held to the limits without copying its content.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "loaders/graphdef.h"

namespace couplet {

// Bytes of one element; 0 for text and for types Couplet does not know.
size_t DataTypeSize(DataType dtype);
// "float", "quint8", "type 23"
std::string DataTypeName(DataType dtype);

// Checks dims (ElementCount's limits), the length of tensor_content (exact) and of the typed list (1 or all
// elements, in the field that belongs to the dtype), and fills `tensor`. `values` is filled only where
// `want_values`; `content` is a view into `proto`. The error is the bare reason: the caller knows file and
// node.
Status ReadTensorProto(std::span<const std::byte> proto, bool want_values, TensorValue* tensor);

// At most kMaxRank dimensions, each below 2^31; -1 stands for an unknown one. nullopt: unknown rank.
Result<std::optional<std::vector<int64_t>>> ReadShapeProto(std::span<const std::byte> proto);

}  // namespace couplet
