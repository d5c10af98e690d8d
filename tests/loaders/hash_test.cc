// SPDX-License-Identifier: Apache-2.0
#include "loaders/hash.h"

#include <cstring>
#include <string_view>
#include <vector>

#include "tests/support/test.h"

namespace couplet {
namespace {

std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

TEST_CASE("hash: SHA-1 and SHA-256 of FIPS 180's examples") {
  CHECK(ToHex(Sha1(Bytes(""))) == "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  CHECK(ToHex(Sha1(Bytes("abc"))) == "a9993e364706816aba3e25717850c26c9cd0d89d");
  CHECK(ToHex(Sha256(Bytes(""))) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(ToHex(Sha256(Bytes("abc"))) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const std::string million(1'000'000, 'a');
  CHECK(ToHex(Sha1(Bytes(million))) == "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
  CHECK(ToHex(Sha256(Bytes(million))) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("hash: CRC-32C of RFC 3720's examples, by instruction and without") {
  std::vector<std::byte> zeros(32), ones(32, std::byte{0xff}), up(32), down(32);
  for (size_t i = 0; i < 32; ++i) {
    up[i] = static_cast<std::byte>(i);
    down[i] = static_cast<std::byte>(31 - i);
  }
  for (uint32_t (*crc)(std::span<const std::byte>) : {&Crc32c, &Crc32cPortable}) {
    CHECK(crc({}) == 0u);
    CHECK(crc(Bytes("123456789")) == 0xe3069283u);
    CHECK(crc(zeros) == 0x8a9136aau);
    CHECK(crc(ones) == 0x62a8ab43u);
    CHECK(crc(up) == 0x46dd794eu);
    CHECK(crc(down) == 0x113fdb5cu);
  }
}

TEST_CASE("hash: both CRC-32C agree at every length and alignment") {
  std::vector<std::byte> bytes(4100);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * i * 151 + i / 256 * 31 + 7);
  const auto check = [&](size_t begin, size_t size) {
    const auto part = std::span<const std::byte>(bytes).subspan(begin, size);
    REQUIRE(Crc32c(part) == Crc32cPortable(part));
  };
  for (size_t begin = 0; begin < 9; ++begin)
    for (size_t size = 0; begin + size <= 80; ++size) check(begin, size);
  // Three lanes of 256 bytes at a time.
  for (const size_t size : {767, 768, 769, 1023, 1536, 4004})
    for (size_t begin = 0; begin < 9; ++begin) check(begin, size);
}

TEST_CASE("hash: masked CRC as in a TFRecord") {
  // The length field of 24 (a "brain.Event:2" record), whose masked CRC starts every event file TensorFlow
  // writes.
  const uint8_t length[8] = {24, 0, 0, 0, 0, 0, 0, 0};
  CHECK(MaskedCrc32c(std::as_bytes(std::span(length))) == 0x224b7fa3u);
}

}  // namespace
}  // namespace couplet
