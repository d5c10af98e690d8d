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

// One instruction takes eight bytes; the last few go one by one.
#if defined(__x86_64__)
constexpr bool kHasInstruction = true;
bool CpuHasCrc32c() {
  return __builtin_cpu_supports("sse4.2") != 0;
}
__attribute__((target("sse4.2"))) uint32_t Crc32cByInstruction(std::span<const std::byte> bytes) {
  uint64_t crc = 0xffffffffu;
  size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + i, sizeof word);
    crc = _mm_crc32_u64(crc, word);
  }
  uint32_t tail = static_cast<uint32_t>(crc);
  for (; i < bytes.size(); ++i) tail = _mm_crc32_u8(tail, static_cast<uint8_t>(bytes[i]));
  return ~tail;
}
#elif defined(__aarch64__)
constexpr bool kHasInstruction = true;
bool CpuHasCrc32c() {
  return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
}
__attribute__((target("+crc"))) uint32_t Crc32cByInstruction(std::span<const std::byte> bytes) {
  uint32_t crc = 0xffffffffu;
  size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + i, sizeof word);
    crc = __crc32cd(crc, word);
  }
  for (; i < bytes.size(); ++i) crc = __crc32cb(crc, static_cast<uint8_t>(bytes[i]));
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
