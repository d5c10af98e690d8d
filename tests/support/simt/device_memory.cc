// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>

#include "tests/support/device_memory.h"
#include "tests/support/simt/control.h"
#include "tests/support/test.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#endif

namespace couplet::test {
namespace {

// A read outside, or a race, is the sanitizer's to see in any order, and each run takes it ten times as long: one
// shuffled order there, all of them in the release build.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(COUPLET_TSAN)
constexpr int kSchedulesRun = 1;
#else
constexpr int kSchedulesRun = simt::kSchedules;
#endif

constexpr std::align_val_t kAlignment{256};
// NaN, as float and as half, and not the poison.
void FillGuard(unsigned char* guard, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) guard[i] = i % 2 == 0 ? 0xC5 : 0xFF;
}
bool GuardWhole(const unsigned char* guard, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i)
    if (guard[i] != (i % 2 == 0 ? 0xC5 : 0xFF)) return false;
  return true;
}

}  // namespace

DeviceBytes::DeviceBytes(size_t bytes) : bytes_(bytes) {
  auto* memory = static_cast<unsigned char*>(::operator new(bytes + 2 * kGuard, kAlignment));
  FillGuard(memory, kGuard);
  std::memset(memory + kGuard, 0xff, bytes);
  FillGuard(memory + kGuard + bytes, kGuard);
  ASAN_POISON_MEMORY_REGION(memory, kGuard);
  ASAN_POISON_MEMORY_REGION(memory + kGuard + bytes, kGuard);
  data_ = memory + kGuard;
}

DeviceBytes::~DeviceBytes() {
  if (data_ == nullptr) return;
  unsigned char* memory = static_cast<unsigned char*>(data_) - kGuard;
  ASAN_UNPOISON_MEMORY_REGION(memory, bytes_ + 2 * kGuard);
  ::operator delete(memory, kAlignment);
}

void DeviceBytes::Write(const void* from) {
  if (bytes_ != 0) std::memcpy(data_, from, bytes_);
}
void DeviceBytes::Read(void* to) const {
  if (bytes_ != 0) std::memcpy(to, data_, bytes_);
}

bool DeviceBytes::intact() const {
  unsigned char* memory = static_cast<unsigned char*>(data_) - kGuard;
  unsigned char* after = memory + kGuard + bytes_;
  ASAN_UNPOISON_MEMORY_REGION(memory, bytes_ + 2 * kGuard);
  const bool whole = GuardWhole(memory, kGuard) && GuardWhole(after, kGuard);
  ASAN_POISON_MEMORY_REGION(memory, kGuard);
  ASAN_POISON_MEMORY_REGION(after, kGuard);
  return whole;
}

std::string DeviceLacking() {
  return "";
}

DeviceStream TestStream() {
  return nullptr;
}
size_t TestSharedLimit() {
  return simt::SharedLimit();
}

void ForEachSchedule(const std::string& kernel, const std::function<void()>& body) {
  ++KernelCases()[kernel];
  for (int i = simt::kSchedules - kSchedulesRun; i < simt::kSchedules; ++i) {
    INFO("schedule: ", simt::ScheduleName(i));
    simt::SetSchedule(simt::ScheduleNumber(i));
    try {
      body();
    } catch (const simt::Fault& fault) {
      FAIL_CHECK(fault.what());
    }
  }
  simt::SetSchedule({});
}

std::string KernelCounts() {
  const std::map<std::string, int>& cases = KernelCases();
  if (cases.empty()) return "";
  int sum = 0;
  for (const auto& [name, count] : cases) sum += count;
  return std::to_string(cases.size()) + " kernels x " + std::to_string(kSchedulesRun) + " schedules, " +
         std::to_string(sum) + " cases, " + std::to_string(sum * kSchedulesRun) + " runs";
}

}  // namespace couplet::test
