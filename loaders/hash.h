// SHA-1 and SHA-256 (OpenSSL), CRC-32C (the CPU's instruction where there is one).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace couplet {

using Sha1Digest = std::array<uint8_t, 20>;
using Sha256Digest = std::array<uint8_t, 32>;
Sha1Digest Sha1(std::span<const std::byte> bytes);
Sha256Digest Sha256(std::span<const std::byte> bytes);
std::string ToHex(std::span<const uint8_t> bytes);  // lower case
uint32_t Crc32c(std::span<const std::byte> bytes);
// The same without the CPU's instruction (Boost.CRC); for tests, and for machines that have none.
uint32_t Crc32cPortable(std::span<const std::byte> bytes);
// TensorFlow's record checksum: rotate right by 15, add 0xa282ead8.
uint32_t MaskedCrc32c(std::span<const std::byte> bytes);

}  // namespace couplet
