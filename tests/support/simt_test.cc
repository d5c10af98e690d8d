// The harness that runs kernels: what it computes, and that each fault it claims to see is seen.
// SPDX-License-Identifier: Apache-2.0
#define COUPLET_SIMT
#include "tests/support/simt/simt.h"

#include <set>
#include <string>
#include <vector>

#include "kernels/device.h"
#include "kernels/ptx.h"
#include "tests/support/device_memory.h"
#include "tests/support/test.h"
#include "tests/support/values.h"

namespace couplet {
namespace {

// What a launch is refused or ended with: "" when it went well.
template <typename Kernel, typename... Args>
std::string FaultOf(Kernel kernel, dim3 grid, dim3 block, size_t shared_bytes, Args... args) {
  try {
    const LaunchResult result = Launch(kernel, grid, block, shared_bytes, nullptr, args...);
    return result == 0 ? "" : "error " + std::to_string(result);
  } catch (const simt::Fault& fault) {
    return fault.what();
  }
}

__global__ void WriteIndices(int* dst, int columns) {
  const int x = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const int y = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
  dst[y * columns + x] = static_cast<int>(blockIdx.z) * 1000000 + y * 1000 + x;
}

TEST_CASE("simt: every thread of every block runs once and knows its place") {
  test::ForEachSchedule("harness", [] {
    test::DeviceArray<int> dst(6 * 12);
    CHECK(FaultOf(WriteIndices, dim3(4, 3), dim3(3, 2), 0, dst.data(), 12) == "");
    const auto got = dst.Read();
    for (int i = 0; i < 72; ++i) CHECK(got[static_cast<size_t>(i)] == i / 12 * 1000 + i % 12);
    CHECK(dst.intact());
  });
}

// A block's sum by halving, with barriers; the classic.
template <int kThreads>
__global__ void BlockSum(const float* src, float* dst, bool last_barrier) {
  COUPLET_SHARED(float, partial, [kThreads]);
  const unsigned t = threadIdx.x;
  partial[t] = src[blockIdx.x * kThreads + t];
  if (last_barrier) __syncthreads();
  for (unsigned step = kThreads / 2; step > 0; step /= 2) {
    if (t < step) partial[t] += partial[t + step];
    __syncthreads();
  }
  if (t == 0) dst[blockIdx.x] = partial[0];
}

TEST_CASE("simt: barriers hold in every schedule [threads]") {
  std::vector<float> src(5 * 64);
  for (size_t i = 0; i < src.size(); ++i) src[i] = static_cast<float>(i % 17);
  test::ForEachSchedule("harness", [&] {
    test::DeviceArray<float> in(src), out(5);
    CHECK(FaultOf(BlockSum<64>, dim3(5), dim3(64), 0, in.data(), out.data(), true) == "");
    for (size_t b = 0; b < 5; ++b) {
      float sum = 0;
      for (size_t i = 0; i < 64; ++i) sum += src[b * 64 + i];
      CHECK(out.Read()[b] == sum);
    }
  });
}

#if !defined(__SANITIZE_THREAD__)  // which would report the race, as the case below demands
TEST_CASE("simt: a missing barrier changes the result in some schedule") {
  int wrong = 0;
  for (int i = 0; i < simt::kSchedules; ++i) {
    simt::SetSchedule(simt::ScheduleNumber(i));
    test::DeviceArray<float> in(std::vector<float>(64, 1.0f)), out(1);
    CHECK(FaultOf(BlockSum<64>, dim3(1), dim3(64), 0, in.data(), out.data(), false) == "");
    if (!(out.Read()[0] == 64.0f)) ++wrong;
  }
  simt::SetSchedule({});
  CHECK(wrong >= 3);
}
#endif

__global__ void EarlyExit(int leave) {
  if (static_cast<int>(threadIdx.x) < leave) return;
  __syncthreads();
}
__global__ void TwoBarriers() {
  if (threadIdx.x < 10) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}
__global__ void BarrierAgainstShuffle() {
  if (threadIdx.x == 0) {
    __syncthreads();
  } else {
    __shfl_xor_sync(0xffffffffu, 1, 1);
  }
}

TEST_CASE("simt: a barrier that not all threads reach") {
  const std::string exited = FaultOf(EarlyExit, dim3(1), dim3(64), 0, 48);
  CHECK_HAS(exited, "__syncthreads at line ");
  CHECK_HAS(exited, "simt_test.cc but 48 thread(s) already exited");
  const std::string two = FaultOf(TwoBarriers, dim3(1), dim3(64), 0);
  CHECK_HAS(two, "wait at two barriers: 10 at __syncthreads");
  CHECK_HAS(two, "54 at others");
  CHECK_HAS(FaultOf(BarrierAgainstShuffle, dim3(1), dim3(32), 0),
            "deadlock: 1 threads wait at __syncthreads");
  CHECK(FaultOf(EarlyExit, dim3(1), dim3(64), 0, 0) == "");  // and all is well again
}

__global__ void ShuffleAll(int* dst, int kind, int argument, int width) {
  const int lane = static_cast<int>(threadIdx.x);
  int got = -1;
  if (kind == 0) got = __shfl_sync(0xffffffffu, lane, argument, width);
  if (kind == 1) got = __shfl_up_sync(0xffffffffu, lane, argument, width);
  if (kind == 2) got = __shfl_down_sync(0xffffffffu, lane, argument, width);
  if (kind == 3) got = __shfl_xor_sync(0xffffffffu, lane, argument, width);
  dst[lane] = got;
}

TEST_CASE("simt: shuffles and votes by CUDA's rules [threads]") {
  test::ForEachSchedule("harness", [] {
    const auto shuffled = [](int kind, int argument, int width) {
      test::DeviceArray<int> dst(32);
      CHECK(FaultOf(ShuffleAll, dim3(1), dim3(32), 0, dst.data(), kind, argument, width) == "");
      return dst.Read();
    };
    for (int width : {32, 8}) {
      const auto index = shuffled(0, 3, width), up = shuffled(1, 2, width), down = shuffled(2, 5, width),
                 exclusive = shuffled(3, 4, width);
      for (int lane = 0; lane < 32; ++lane) {
        const size_t i = static_cast<size_t>(lane);
        const int first = lane / width * width;
        CHECK(index[i] == first + 3);
        CHECK(up[i] == (lane - 2 < first ? lane : lane - 2));
        CHECK(down[i] == (lane + 5 >= first + width ? lane : lane + 5));
        CHECK(exclusive[i] == (lane ^ 4));
      }
    }
  });
}

__global__ void Vote(unsigned* dst) {
  const unsigned lane = threadIdx.x;
  // Two halves of a warp vote apart, in different places.
  if (lane < 16) {
    dst[lane] = __ballot_sync(0x0000ffffu, lane % 3 == 0);
  } else {
    dst[lane] = __ballot_sync(0xffff0000u, lane % 5 == 0);
  }
  __syncwarp();
  dst[32 + lane] =
      static_cast<unsigned>(__any_sync(0xffffffffu, lane == 31) + 2 * __all_sync(0xffffffffu, lane < 31));
  __syncwarp();
  dst[64 + lane] = static_cast<unsigned>(__syncthreads_count(lane < 7));
}

TEST_CASE("simt: votes of parts of a warp") {
  test::ForEachSchedule("harness", [] {
    test::DeviceArray<unsigned> dst(96);
    CHECK(FaultOf(Vote, dim3(1), dim3(32), 0, dst.data()) == "");
    const auto got = dst.Read();
    unsigned low = 0, high = 0;
    for (unsigned lane = 0; lane < 32; ++lane) {
      if (lane < 16 && lane % 3 == 0) low |= 1u << lane;
      if (lane >= 16 && lane % 5 == 0) high |= 1u << lane;
    }
    for (size_t lane = 0; lane < 32; ++lane) {
      CHECK(got[lane] == (lane < 16 ? low : high));
      CHECK(got[32 + lane] == 1u);
      CHECK(got[64 + lane] == 7u);
    }
  });
}

__global__ void ShuffleMask(unsigned mask, int source, int exits, int width) {
  if (static_cast<int>(threadIdx.x) < exits) return;
  __shfl_sync(mask, 1, source, width);
}
__global__ void ShuffleTwoMasks() {
  if (threadIdx.x < 16) {
    __shfl_down_sync(0xffffffffu, 1, 1);
  } else {
    __syncwarp(0xffffffffu);
  }
}

TEST_CASE("simt: wrong masks") {
  const auto fault = [](unsigned threads, unsigned mask, int source, int exits, int width) {
    return FaultOf(ShuffleMask, dim3(1), dim3(threads), 0, mask, source, exits, width);
  };
  CHECK(fault(32, 0xffffffffu, 0, 0, 32) == "");
  CHECK_HAS(fault(32, 0x0000ffffu, 0, 0, 32), "lane 16 is not in its own mask 0x0000ffff");
  CHECK_HAS(fault(48, 0xffffffffu, 0, 0, 32),
            "names lane 16 in its mask 0xffffffff, which the block does not have");
  CHECK_HAS(fault(32, 0xffffffffu, 8, 4, 32), "names lane 0 in its mask 0xffffffff, which has exited");
  CHECK_HAS(fault(32, 0xfffffff0u, 2, 4, 32), "reads lane 2, which is not in the mask 0xfffffff0");
  CHECK_HAS(fault(32, 0xffffffffu, 2, 0, 12), "a width of 12");
  // The lane that exits comes last: those that wait for it are told.
  simt::SetSchedule(simt::ScheduleNumber(1));
  CHECK_HAS(fault(32, 0xffffffffu, 8, 4, 32), "which has exited");
  simt::SetSchedule({});
  CHECK_HAS(FaultOf(ShuffleTwoMasks, dim3(1), dim3(32), 0),
            "deadlock in a warp: thread 0 waits at __shfl_down_sync");
}

// d [16, 8] += a [16, terms] * b [terms, 8], fragments as the PTX ISA's figures have them.
__global__ void MultiplyHalves(const float* a, const float* b, float* d) {
  const int lane = static_cast<int>(threadIdx.x), group = lane >> 2, in_group = lane % 4;
  unsigned fa[4], fb[2];
  for (int i = 0; i < 8; i += 2) {
    const int row = i < 2 || (i >= 4 && i < 6) ? group : group + 8, column = in_group * 2 + (i < 4 ? 0 : 8);
    fa[i / 2] = vector_access::PackHalves(a[row * 16 + column], a[row * 16 + column + 1]);
  }
  for (int i = 0; i < 4; i += 2) {
    const int row = in_group * 2 + (i < 2 ? 0 : 8);
    fb[i / 2] = vector_access::PackHalves(b[row * 8 + group], b[(row + 1) * 8 + group]);
  }
  float fd[4];
  for (int i = 0; i < 4; ++i) fd[i] = d[(i < 2 ? group : group + 8) * 8 + in_group * 2 + (i & 1)];
  MmaHalf(fd, fa, fb);
  for (int i = 0; i < 4; ++i) d[(i < 2 ? group : group + 8) * 8 + in_group * 2 + (i & 1)] = fd[i];
}
__global__ void MultiplyTf32(const float* a, const float* b, float* d, bool rounded) {
  const int lane = static_cast<int>(threadIdx.x), group = lane >> 2, in_group = lane % 4;
  unsigned fa[4], fb[2];
  for (int i = 0; i < 4; ++i) {
    const float x = a[(i == 0 || i == 2 ? group : group + 8) * 8 + (i < 2 ? in_group : in_group + 4)];
    fa[i] = rounded ? ToTf32(x) : __float_as_uint(x);
  }
  for (int i = 0; i < 2; ++i) fb[i] = ToTf32(b[(i == 0 ? in_group : in_group + 4) * 8 + group]);
  float fd[4];
  for (int i = 0; i < 4; ++i) fd[i] = d[(i < 2 ? group : group + 8) * 8 + in_group * 2 + (i & 1)];
  MmaTf32(fd, fa, fb);
  for (int i = 0; i < 4; ++i) d[(i < 2 ? group : group + 8) * 8 + in_group * 2 + (i & 1)] = fd[i];
}

TEST_CASE("simt: tensor cores multiply, and see what is not rounded") {
  test::Values values(1);
  for (const size_t terms : {size_t{16}, size_t{8}}) {
    const auto a = values.Integers(16 * terms, -9, 9), b = values.Integers(terms * 8, -9, 9),
               d = values.Integers(128, -9, 9);
    test::ForEachSchedule("harness", [&] {
      const test::DeviceArray<float> da(a), db(b), dd(d);
      CHECK((terms == 16
                 ? FaultOf(MultiplyHalves, dim3(1), dim3(32), 0, da.data(), db.data(), dd.data())
                 : FaultOf(MultiplyTf32, dim3(1), dim3(32), 0, da.data(), db.data(), dd.data(), true)) == "");
      const auto got = dd.Read();
      for (size_t row = 0; row < 16; ++row)
        for (size_t column = 0; column < 8; ++column) {
          float sum = d[row * 8 + column];
          for (size_t k = 0; k < terms; ++k) sum += a[row * terms + k] * b[k * 8 + column];
          CHECK(got[row * 8 + column] == sum);
        }
    });
  }
  const test::DeviceArray<float> thirds(std::vector<float>(128, 1.0f / 3)), d(std::vector<float>(128, 0.0f));
  CHECK(FaultOf(MultiplyTf32, dim3(1), dim3(32), 0, thirds.data(), thirds.data(), d.data(), true) == "");
  CHECK_HAS(FaultOf(MultiplyTf32, dim3(1), dim3(32), 0, thirds.data(), thirds.data(), d.data(), false),
            "an operand is not rounded to TF32");
}

__global__ void ReadUnwritten(float* dst) {
  COUPLET_SHARED(float, kept, [4]);
  COUPLET_DYNAMIC_SHARED(float, dynamic);
  dst[blockIdx.x] = kept[threadIdx.x] + 0.0f;
  dst[2 + blockIdx.x] = dynamic[1] + 0.0f;
  kept[threadIdx.x] = 1.0f;
  dynamic[1] = 1.0f;
}
__global__ void TooMuchStatic() {
  COUPLET_SHARED(float, one, [12000]);
  COUPLET_SHARED(float, two, [400]);
  one[0] = two[0] = 0.0f;
}
__global__ void StaticBesideDynamic() {
  COUPLET_SHARED(float, one, [1024]);
  one[0] = 0.0f;
}

TEST_CASE("simt: shared memory begins as NaN in each block, and ends") {
  test::DeviceArray<float> dst(4);
  CHECK(FaultOf(ReadUnwritten, dim3(2), dim3(1), 8, dst.data()) == "");
  for (const float v : dst.Read()) CHECK(std::isnan(v));
  CHECK_HAS(FaultOf(ReadUnwritten, dim3(2), dim3(1), 0, dst.data()), "the launch has none");
  CHECK_HAS(FaultOf(TooMuchStatic, dim3(1), dim3(1), 0), "49600 bytes is more than the 48 KB");
  const size_t limit = simt::SharedLimit();
  simt::SetSharedLimit(64 * 1024);
  CHECK(FaultOf(StaticBesideDynamic, dim3(1), dim3(1), 60 * 1024) == "");
  CHECK_HAS(FaultOf(StaticBesideDynamic, dim3(1), dim3(1), 60 * 1024 + 16), "more than the limit of 65536");
  CHECK(FaultOf(StaticBesideDynamic, dim3(1), dim3(1), 64 * 1024 + 16) ==
        "error 1");  // refused, as by the runtime
  CHECK(SharedLimit() == 64 * 1024);
  simt::SetSharedLimit(limit);
}

__global__ void Nothing() {}
__global__ void Throws() {
  throw 1;
}
__global__ void LoadVector(const float* src, float* dst) {
  StoreFloats(dst, LoadFloats<4>(src));
}

TEST_CASE("simt: launches that the runtime refuses, and bodies that misbehave") {
  CHECK(FaultOf(Nothing, dim3(0), dim3(1), 0) == "error 9");
  CHECK(FaultOf(Nothing, dim3(1, 65536), dim3(1), 0) == "error 9");
  CHECK(FaultOf(Nothing, dim3(1), dim3(1025), 0) == "error 9");
  CHECK(FaultOf(Nothing, dim3(1), dim3(1024), 0) == "");
  CHECK_HAS(FaultOf(Throws, dim3(1), dim3(1), 0), "an exception left a kernel's body");
  test::DeviceArray<float> src(std::vector<float>(8, 1.0f)), dst(8);
  CHECK(FaultOf(LoadVector, dim3(1), dim3(1), 0, src.data() + 4, dst.data()) == "");
  CHECK_HAS(FaultOf(LoadVector, dim3(1), dim3(1), 0, src.data() + 1, dst.data()),
            "misaligned access of 16 bytes");
  CHECK_HAS(FaultOf(LoadVector, dim3(1), dim3(1), 0, src.data(), dst.data() + 2),
            "misaligned access of 16 bytes");
}

__global__ void Append(int* log, int* count, int value) {
  log[atomicAdd(count, 1)] = value;
}

TEST_CASE("simt: a stand-in may queue launches and run them later") {
  std::vector<std::function<void()>> queued;
  std::vector<DeviceStream> streams;
  simt::SetLaunchQueue([&](DeviceStream stream, std::function<void()> run) {
    streams.push_back(stream);
    queued.push_back(std::move(run));
    return 7;
  });
  test::DeviceArray<int> log(8), count(std::vector<int>{0});
  int place = 0;
  const auto stream = reinterpret_cast<DeviceStream>(&place);
  for (int i = 0; i < 3; ++i)
    CHECK(Launch(Append, dim3(1), dim3(2), 0, stream, log.data(), count.data(), i) == 7);
  CHECK(Launch(Nothing, dim3(0), dim3(2), 0, stream) == 9);  // refused before it is queued
  simt::SetLaunchQueue(nullptr);
  CHECK(count.Read()[0] == 0);
  CHECK(streams == std::vector<DeviceStream>(3, stream));
  for (const auto& run : queued) run();
  CHECK(log.Read() == std::vector<int>{0, 0, 1, 1, 2, 2, -1, -1});
}

__global__ void Order(int* log, int* count) {
  const int at = atomicAdd(count, 1);
  log[at] = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
}

TEST_CASE("simt: the schedules differ, and each repeats itself") {
  std::set<std::vector<int>> seen;
  for (int repeat = 0; repeat < 2; ++repeat)
    for (int i = 0; i < simt::kSchedules; ++i) {
      simt::SetSchedule(simt::ScheduleNumber(i));
      test::DeviceArray<int> log(40), count(std::vector<int>{0});
      CHECK(FaultOf(Order, dim3(4), dim3(10), 0, log.data(), count.data()) == "");
      auto order = log.Read();
      seen.insert(order);
      std::sort(order.begin(), order.end());
      for (int k = 0; k < 40; ++k) CHECK(order[static_cast<size_t>(k)] == k);
    }
  simt::SetSchedule({});
  CHECK(seen.size() == simt::kSchedules);
}

__global__ void WriteOutside(float* dst, int at) {
  dst[at] = 1.0f;
}

#if !defined(__SANITIZE_ADDRESS__)  // which would end the program here
TEST_CASE("simt: a write outside an array is seen") {
  for (const int at : {-1, -64, 4, 67}) {
    test::DeviceArray<float> dst(4);
    CHECK(dst.intact());
    CHECK(FaultOf(WriteOutside, dim3(1), dim3(1), 0, dst.data(), at) == "");
    CHECK_FALSE(dst.intact());
  }
}
#endif

TEST_CASE("simt: halves, every one of them") {
  for (uint32_t h = 0; h < 65536; ++h) {
    const float value = test::HalfValue(static_cast<uint16_t>(h));
    if (std::isnan(value)) {
      CHECK((h & 0x7fff) > 0x7c00);
      continue;
    }
    if (test::HalfBits(value) != h) FAIL(h);
    // Half way to the next one away from zero: ties go to the even one; a hair beyond goes up.
    if ((h & 0x7fff) >= 0x7c00) continue;
    const double next = (h & 0x7fff) == 0x7bff
                            ? std::copysign(65536.0, static_cast<double>(value))
                            : static_cast<double>(test::HalfValue(static_cast<uint16_t>(h + 1)));
    const float middle = static_cast<float>((static_cast<double>(value) + next) / 2);
    if (test::HalfBits(middle) != h + (h & 1)) FAIL(h);
    if (test::HalfBits(std::nextafterf(middle, std::copysign(INFINITY, value))) != h + 1) FAIL(h);
    if (test::HalfBits(std::nextafterf(middle, 0.0f)) != h) FAIL(h);
  }
  CHECK(test::HalfBits(NAN) == 0x7fff);
  CHECK(test::HalfValue(0x3555) == 0.333251953125f);  // of the standard's examples
}

// ---- What the sanitizers see, in a process of its own.

__global__ void Race(const float* src, float* dst, bool barrier) {
  COUPLET_SHARED(float, cell, [32]);
  cell[threadIdx.x] = src[threadIdx.x];
  if (barrier) __syncthreads();
  dst[blockIdx.x * 32 + threadIdx.x] = cell[threadIdx.x ^ 1];
}
__global__ void BlocksRace(int* dst, bool race) {
  dst[race ? 0 : blockIdx.x] = static_cast<int>(blockIdx.x) + 1;
}
__global__ void PastTheEnd(int at, float* dst) {
  COUPLET_DYNAMIC_SHARED(float, dynamic);
  COUPLET_SHARED(float, fixed, [4]);
  if (at < 100) dynamic[at] = 0.0f;
  float* hidden = fixed;
  if (at >= 100 && at < 200) hidden[at - 100] = 0.0f;
  if (at >= 200) dst[at - 200] = 0.0f;
}

// Runs the hidden case below under this program's sanitizer and gives what it wrote.
[[maybe_unused]] std::string HiddenCase(const std::string& name) {
  const auto result = test::RunProcess({"/proc/self/exe", "--no-skip", "-tc=simt hidden: " + name},
                                       {"TSAN_OPTIONS=atexit_sleep_ms=0"});
  return result.err + result.out + (result.code == 0 ? "\nall well" : "");
}
#define COUPLET_HIDDEN(name, ...)                                        \
  TEST_CASE("simt hidden: " name* doctest::skip()) {                     \
    test::DeviceArray<float> src(std::vector<float>(32, 1.0f)), dst(96); \
    test::DeviceArray<int> ints(2);                                      \
    (void)src, (void)dst, (void)ints;                                    \
    CHECK(FaultOf(__VA_ARGS__) == "");                                   \
  }
COUPLET_HIDDEN("no race", Race, dim3(3), dim3(32), 0, src.data(), dst.data(), true)
COUPLET_HIDDEN("race", Race, dim3(1), dim3(32), 0, src.data(), dst.data(), false)
COUPLET_HIDDEN("no race of blocks", BlocksRace, dim3(2), dim3(1), 0, ints.data(), false)
COUPLET_HIDDEN("race of blocks", BlocksRace, dim3(2), dim3(1), 0, ints.data(), true)
COUPLET_HIDDEN("inside", PastTheEnd, dim3(1), dim3(1), 16, 3, dst.data())
COUPLET_HIDDEN("past dynamic shared", PastTheEnd, dim3(1), dim3(1), 16, 4, dst.data())
COUPLET_HIDDEN("past a shared array", PastTheEnd, dim3(1), dim3(1), 16, 104, dst.data())
COUPLET_HIDDEN("past an array", PastTheEnd, dim3(1), dim3(1), 16, 296, dst.data())

#if defined(__SANITIZE_THREAD__)
TEST_CASE("simt: ThreadSanitizer names both sides of a race [threads]") {
  CHECK_HAS(HiddenCase("no race"), "all well");
  CHECK_HAS(HiddenCase("no race of blocks"), "all well");
  for (const auto& [name, body] : {std::pair("race", "Race"), std::pair("race of blocks", "BlocksRace")}) {
    const std::string said = HiddenCase(name);
    CHECK_HAS(said, "data race");
    const size_t previous = said.find("Previous ");
    REQUIRE(previous != std::string::npos);
    for (std::string side : {said.substr(0, previous), said.substr(previous)}) {
      // "#0 Race file:line" or "#0 couplet::(anonymous namespace)::Race(float ...) file:line", as the symbolizer has it.
      const size_t frame = side.find("#0 ");
      REQUIRE(frame != std::string::npos);
      side = side.substr(frame, side.find('\n', frame) - frame);
      CHECK_HAS(side, body);
      CHECK_HAS(side, "simt_test.cc:");
    }
  }
}
#endif
#if defined(__SANITIZE_ADDRESS__)
TEST_CASE("simt: AddressSanitizer sees the ends of memory") {
  CHECK_HAS(HiddenCase("inside"), "all well");
  CHECK_HAS(HiddenCase("past dynamic shared"), "heap-buffer-overflow");
  CHECK_HAS(HiddenCase("past a shared array"), "heap-buffer-overflow");
  CHECK_HAS(HiddenCase("past an array"), "use-after-poison");
}
#endif

}  // namespace
}  // namespace couplet
