// The fields of one serialised protobuf message, walked in place: payloads are views into the bytes, so that
// a constant of many megabytes is never copied.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <google/protobuf/io/coded_stream.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace couplet {

//   WireFields fields(message);
//   while (fields.Next()) switch (fields.number()) { ... }
//   if (fields.malformed()) ...
class WireFields {
 public:
  enum class Type : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

  // REQUIRES: bytes.size() <= INT32_MAX
  explicit WireFields(std::span<const std::byte> bytes)
      : bytes_(bytes),
        stream_(reinterpret_cast<const uint8_t*>(bytes.data()), static_cast<int>(bytes.size())) {}

  // Reads the next field; false at the end of the message and where it breaks off or is no protobuf. Groups,
  // which proto3 does not have, count as malformed: so nothing here ever nests.
  bool Next() {
    if (malformed_) return false;
    const uint32_t tag = stream_.ReadTag();
    if (tag == 0) {
      malformed_ = !stream_.ConsumedEntireMessage();
      return false;
    }
    number_ = static_cast<int>(tag >> 3);
    type_ = static_cast<Type>(tag & 7);
    malformed_ = number_ == 0 || !ReadPayload();
    return !malformed_;
  }
  bool malformed() const { return malformed_; }

  int number() const { return number_; }
  Type type() const { return type_; }
  bool is(int number, Type type) const { return number_ == number && type_ == type; }
  uint64_t varint() const { return scalar_; }                    // kVarint; kFixed64 and kFixed32: the bits
  std::span<const std::byte> bytes() const { return payload_; }  // kBytes
  std::string_view text() const { return {reinterpret_cast<const char*>(payload_.data()), payload_.size()}; }

 private:
  bool ReadPayload() {
    switch (type_) {
      case Type::kVarint:
        return stream_.ReadVarint64(&scalar_);
      case Type::kFixed64:
        return stream_.ReadLittleEndian64(&scalar_);
      case Type::kFixed32: {
        uint32_t bits;
        if (!stream_.ReadLittleEndian32(&bits)) return false;
        scalar_ = bits;
        return true;
      }
      case Type::kBytes: {
        uint64_t size;
        if (!stream_.ReadVarint64(&size)) return false;
        const size_t start = static_cast<size_t>(stream_.CurrentPosition());
        if (size > bytes_.size() - start || !stream_.Skip(static_cast<int>(size))) return false;
        payload_ = bytes_.subspan(start, size);
        return true;
      }
    }
    return false;
  }

  std::span<const std::byte> bytes_;
  google::protobuf::io::CodedInputStream stream_;
  int number_ = 0;
  Type type_ = Type::kVarint;
  uint64_t scalar_ = 0;
  std::span<const std::byte> payload_;
  bool malformed_ = false;
};

}  // namespace couplet
