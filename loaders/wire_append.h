// Writes the fields of a serialised protobuf message.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace couplet {

// A varint alone.
inline void AppendVarint(uint64_t value, std::string* out) {
  for (; value >= 0x80; value >>= 7) out->push_back(static_cast<char>(value | 0x80));
  out->push_back(static_cast<char>(value));
}

// A payload with its number and length.
inline void AppendField(int number, std::string_view payload, std::string* out) {
  AppendVarint(static_cast<uint64_t>(number) << 3 | 2, out);
  AppendVarint(payload.size(), out);
  out->append(payload);
}

}  // namespace couplet
