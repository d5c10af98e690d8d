// Load, power and memory from trees of files as boards have them.
// SPDX-License-Identifier: Apache-2.0
#include "loaders/machine_files.h"

#include <filesystem>

#include "tests/support/board_tree.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

TEST_CASE("machine files: /proc tells memory at once and the processors' load between two looks") {
  const test::TempDir dir;
  ProcLoad proc(dir.path());
  DeviceSample sample;
  test::WriteLoad(dir.path(), 1000, 1000, 8192 * 1024, 2048 * 1024);
  proc.Read(&sample);
  CHECK(sample.memory_mb == 6144);
  CHECK(sample.memory_total_mb == 8192);
  CHECK_FALSE(sample.cpu_percent.has_value());
  test::WriteLoad(dir.path(), 1030, 1070, 8192 * 1024, 1024 * 1024);
  proc.Read(&sample);
  CHECK(sample.cpu_percent == doctest::Approx(30));
  CHECK(sample.memory_mb == 7168);

  DeviceSample nothing;
  ProcLoad(dir / "none").Read(&nothing);
  CHECK_FALSE(nothing.memory_mb.has_value());
}

TEST_CASE("machine files: a process's peak of memory grows with what it touches, its time with what it computes") {
  const size_t before = PeakResidentBytes();
  REQUIRE(before > size_t{1} << 20);
  // What an earlier test freed may be taken again without a new peak: more than all of it.
  const std::vector<char> touched(before + (size_t{8} << 20), 1);
  CHECK(PeakResidentBytes() >= touched.size());
  const double seconds = ProcessorSeconds();
  volatile uint64_t sum = 0;
  while (ProcessorSeconds() < seconds + 0.002 && sum < 2'000'000'000) sum = sum + 1;
  CHECK(sum < 2'000'000'000);
}

TEST_CASE("machine files: a TX2's sensors, of which the board's input is the power") {
  const test::TempDir dir;
  CHECK_FALSE(TegraSysfs::Find(dir.path()).has_value());
  test::WriteTx2(dir.path());
  const auto sysfs = TegraSysfs::Find(dir.path());
  REQUIRE(sysfs.has_value());
  DeviceSample sample;
  sysfs->Read(&sample);
  CHECK(sample.gpu_percent == doctest::Approx(53.1));
  CHECK(sample.celsius == doctest::Approx(41.5));
  CHECK(sample.watts == doctest::Approx(3.177));
}

TEST_CASE("machine files: an Orin's sensors, whose rails are added, and are no sum when one is missing") {
  const test::TempDir dir;
  test::WriteOrin(dir.path());
  const auto sysfs = TegraSysfs::Find(dir.path());
  REQUIRE(sysfs.has_value());
  DeviceSample sample;
  sysfs->Read(&sample);
  CHECK(sample.gpu_percent == doctest::Approx(7));
  CHECK(sample.celsius == doctest::Approx(44.25));
  CHECK(sample.watts == doctest::Approx(9));
  std::filesystem::remove(dir / "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3/curr3_input");
  DeviceSample less;
  sysfs->Read(&less);
  CHECK(less.gpu_percent == doctest::Approx(7));
  CHECK_FALSE(less.watts.has_value());
}

}  // namespace
}  // namespace couplet
