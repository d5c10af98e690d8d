// Lines of tegrastats: of the lab's TX2, of Nano, Xavier and Orin, and what is none.
// SPDX-License-Identifier: Apache-2.0
#include "loaders/tegrastats.h"

#include <string>

#include "tests/support/test.h"

namespace couplet {
namespace {

void CheckLine(const std::string& line, double memory, double total, double cpu, double gpu, double watts, double celsius) {
  CAPTURE(line);
  const auto sample = ParseTegrastats(line);
  REQUIRE(sample.has_value());
  CHECK(sample->memory_mb == memory);
  CHECK(sample->memory_total_mb == total);
  CHECK(sample->cpu_percent == doctest::Approx(cpu));
  CHECK(sample->gpu_percent == gpu);
  CHECK(sample->watts == doctest::Approx(watts));
  CHECK(sample->celsius == doctest::Approx(celsius));
  CHECK_FALSE(sample->gpu_memory_mb.has_value());
}

TEST_CASE("tegrastats: the lab's TX2") {
  CheckLine("RAM 2586/7846MB (lfb 1x1MB) CPU [0%@960,0%@960,12%@960,0%@960,7%@960,5%@960] EMC_FREQ 10%@665 GR3D_FREQ 53%@140 "
            "APE 150 MTS fg 0% bg 0% BCPU@42C MCPU@42C GPU@41.5C PLL@42C Tboard@38C Tdiode@40.25C PMIC@100C thermal@41.6C "
            "VDD_IN 3177/3177 VDD_CPU 152/152 VDD_GPU 152/152 VDD_SOC 687/687 VDD_WIFI 19/19 VDD_DDR 554/554",
            2586, 7846, 4, 53, 3.177, 41.5);
}

TEST_CASE("tegrastats: Nano, with swap and processors that are off") {
  CheckLine("RAM 1903/3964MB (lfb 5x1MB) SWAP 12/1982MB (cached 0MB) IRAM 0/252kB(lfb 252kB) CPU [10%@1479,off,off,30%@102] "
            "EMC_FREQ 2%@1600 GR3D_FREQ 99%@921 APE 25 PLL@29.5C CPU@31C PMIC@100C GPU@30C AO@36.5C thermal@30.5C "
            "POM_5V_IN 2156/2100 POM_5V_GPU 40/40 POM_5V_CPU 241/241",
            1903, 3964, 10, 99, 2.156, 30);
}

TEST_CASE("tegrastats: Xavier has no input rail, so all rails are added") {
  CheckLine("RAM 2505/15692MB (lfb 2931x4MB) SWAP 0/7846MB (cached 0MB) CPU [2%@1190,1%@1190,3%@1190,2%@1190,off,off,off,off] "
            "EMC_FREQ 0%@2133 GR3D_FREQ 7%@318 APE 150 MTS fg 0% bg 0% AO@36.5C GPU@36.5C Tdiode@39.75C PMIC@100C AUX@36C CPU@38.5C "
            "thermal@37.1C Tboard@37C GPU 310/300 CPU 469/469 SOC 1251/1251 CV 0/0 VDDRQ 155/155 SYS5V 1836/1836",
            2505, 15692, 1, 7, 4.021, 36.5);
  // Later releases say which unit it is.
  CheckLine("RAM 2505/15692MB (lfb 1x4MB) CPU [2%@1190,2%@1190] EMC_FREQ 0%@2133 GR3D_FREQ 7%@318 GPU@36.5C "
            "GPU 310mW/300mW CPU 469mW/469mW SOC 1251mW/1251mW CV 0mW/0mW VDDRQ 155mW/155mW SYS5V 1836mW/1836mW",
            2505, 15692, 2, 7, 4.021, 36.5);
}

TEST_CASE("tegrastats: Orin, with the date, lists of clocks, sensors that sleep and a rail that is counted in another") {
  const std::string orin =
      "11-28-2026 09:15:48 RAM 3064/30592MB (lfb 4x4MB) SWAP 0/15296MB (cached 0MB) CPU [40%@729,20%@729,0%@729,off] "
      "EMC_FREQ 0%@2133 GR3D_FREQ 61%@[1300,1300] VIC_FREQ 729 APE 174 CV0@-256C CPU@46.781C Tboard@36C SOC2@43.25C GPU@44.2C "
      "tj@46.781C VDD_GPU_SOC 2367mW/2367mW VDD_CPU_CV 394mW/394mW VIN_SYS_5V0 3022mW/3022mW NC 5mW/5mW "
      "VDDQ_VDD2_1V8AO 602mW/602mW";
  CheckLine(orin, 3064, 30592, 15, 61, 5.783, 44.2);
  // Orin Nano has an input rail; the GPU's sensor sleeps, newer releases write it small and leave the clock out.
  const auto nano = ParseTegrastats(
      "11-28-2026 09:15:48 RAM 2100/7620MB (lfb 4x4MB) SWAP 0/3810MB (cached 0MB) CPU [4%@1510,0%@1510] GR3D_FREQ 5% "
      "gpu@-256C VDD_IN 4960mW/4960mW VDD_CPU_GPU_CV 722mW/722mW VDD_SOC 1405mW/1405mW");
  REQUIRE(nano.has_value());
  CHECK(nano->gpu_percent == 5);
  CHECK(nano->watts == doctest::Approx(4.96));
  CHECK_FALSE(nano->celsius.has_value());
}

TEST_CASE("tegrastats: what a line does not tell stays unknown, and no line at all is nothing") {
  const auto sample = ParseTegrastats("RAM 1903/7854MB (lfb 5x1MB) cpu [0%,off,off,30%]@345 EMC 4%@1600 APE 25 GR3D 0%@114");
  REQUIRE(sample.has_value());
  CHECK(sample->cpu_percent == doctest::Approx(7.5));
  CHECK(sample->gpu_percent == 0);
  CHECK_FALSE(sample->watts.has_value());
  CHECK_FALSE(sample->celsius.has_value());
  for (const char* line : {"", "RAM", "RAM 12/", "RAM x/yMB CPU [0%@9]", "tegrastats: not found", "RAM 2586/7846kB GR3D_FREQ 5%@1"}) {
    CAPTURE(line);
    CHECK_FALSE(ParseTegrastats(line).has_value());
  }
  // Cut in the middle of a list.
  CHECK_FALSE(ParseTegrastats("RAM 2586/7846MB (lfb 1x1MB) CPU [0%@960,0%@9")->cpu_percent.has_value());
}

}  // namespace
}  // namespace couplet
