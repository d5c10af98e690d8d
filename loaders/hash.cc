// SPDX-License-Identifier: Apache-2.0
#include "loaders/hash.h"

#include <openssl/evp.h>

#include <bit>
#include <boost/crc.hpp>
#include <cstring>
#include <new>

#include "runtime/status.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace couplet {
namespace {

// Looked up once: OpenSSL 3 looks EVP_sha1() up in its providers, under locks, for every digest, which takes as long as the
// digest of a path. Kept until the process ends.
const EVP_MD* Fetch(const char* name) {
  const EVP_MD* algorithm = EVP_MD_fetch(nullptr, name, nullptr);
  if (algorithm == nullptr) throw std::bad_alloc();  // every OpenSSL we build with has it; it may lack the memory to say so
  return algorithm;
}

template <size_t kSize>
std::array<uint8_t, kSize> Digest(std::span<const std::byte> bytes, const EVP_MD* algorithm) {
  std::array<uint8_t, kSize> digest;
  unsigned size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, algorithm, nullptr) != 1) throw std::bad_alloc();
  COUPLET_CHECK(size == kSize);
  return digest;
}

#if defined(__x86_64__)
#define COUPLET_CRC __attribute__((target("sse4.2")))
constexpr bool kHasInstruction = true;
bool CpuHasCrc32c() {
  return __builtin_cpu_supports("sse4.2") != 0;
}
COUPLET_CRC inline uint32_t Add(uint32_t crc, uint64_t word) { return static_cast<uint32_t>(_mm_crc32_u64(crc, word)); }
COUPLET_CRC inline uint32_t Add(uint32_t crc, uint8_t byte) { return _mm_crc32_u8(crc, byte); }
#elif defined(__aarch64__)
#define COUPLET_CRC __attribute__((target("+crc")))
constexpr bool kHasInstruction = true;
bool CpuHasCrc32c() {
  return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
}
COUPLET_CRC inline uint32_t Add(uint32_t crc, uint64_t word) { return __crc32cd(crc, word); }
COUPLET_CRC inline uint32_t Add(uint32_t crc, uint8_t byte) { return __crc32cb(crc, byte); }
#endif
#if defined(COUPLET_CRC)
uint64_t WordAt(std::span<const std::byte> bytes, size_t at) {
  uint64_t word;
  std::memcpy(&word, bytes.data() + at, sizeof word);
  return word;
}

// An instruction takes eight bytes and its result comes three cycles later, so three lanes of bytes are added side by side.
constexpr size_t kLane = 256;

// What a lane of zeros makes of a state, by its bytes: adding is linear.
class OverLane {
 public:
  COUPLET_CRC OverLane() {
    for (uint32_t i = 0; i < 4; ++i)
      for (uint32_t value = 0; value < 256; ++value) {
        uint32_t crc = value << 8 * i;
        for (size_t at = 0; at < kLane; at += 8) crc = Add(crc, uint64_t{0});
        table_[i][value] = crc;
      }
  }
  uint32_t operator()(uint32_t crc) const {
    return table_[0][crc & 255] ^ table_[1][crc >> 8 & 255] ^ table_[2][crc >> 16 & 255] ^ table_[3][crc >> 24];
  }

 private:
  uint32_t table_[4][256];
};

COUPLET_CRC uint32_t Crc32cByInstruction(std::span<const std::byte> bytes) {
  uint32_t crc = 0xffffffffu;
  size_t i = 0;
  if (bytes.size() >= 3 * kLane) {
    static const OverLane over_lane;
    for (; i + 3 * kLane <= bytes.size(); i += 3 * kLane) {
      uint32_t second = 0, third = 0;
      for (size_t at = i; at < i + kLane; at += 8) {
        crc = Add(crc, WordAt(bytes, at));
        second = Add(second, WordAt(bytes, at + kLane));
        third = Add(third, WordAt(bytes, at + 2 * kLane));
      }
      crc = over_lane(over_lane(crc) ^ second) ^ third;
    }
  }
  for (; i + 8 <= bytes.size(); i += 8) crc = Add(crc, WordAt(bytes, i));
  for (; i < bytes.size(); ++i) crc = Add(crc, static_cast<uint8_t>(bytes[i]));
  return ~crc;
}
#else
constexpr bool kHasInstruction = false;
bool CpuHasCrc32c() {
  return false;
}
uint32_t Crc32cByInstruction(std::span<const std::byte> bytes) {
  return Crc32cPortable(bytes);
}
#endif

}  // namespace

Sha1Digest Sha1(std::span<const std::byte> bytes) {
  static const EVP_MD* const kAlgorithm = Fetch("SHA1");
  return Digest<20>(bytes, kAlgorithm);
}
Sha256Digest Sha256(std::span<const std::byte> bytes) {
  static const EVP_MD* const kAlgorithm = Fetch("SHA256");
  return Digest<32>(bytes, kAlgorithm);
}

std::string ToHex(std::span<const uint8_t> bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

uint32_t Crc32cPortable(std::span<const std::byte> bytes) {
  boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> crc;
  crc.process_bytes(bytes.data(), bytes.size());
  return crc.checksum();
}

uint32_t Crc32c(std::span<const std::byte> bytes) {
  if (kHasInstruction && CpuHasCrc32c()) return Crc32cByInstruction(bytes);
  return Crc32cPortable(bytes);
}

uint32_t MaskedCrc32c(std::span<const std::byte> bytes) {
  return std::rotr(Crc32c(bytes), 15) + 0xa282ead8u;
}

}  // namespace couplet
