// SPDX-License-Identifier: Apache-2.0
#include "tests/support/board_tree.h"

#include <fmt/format.h>

#include <cstdlib>
#include <fstream>

#include "loaders/files.h"

namespace couplet::test {

void WriteUnder(const std::string& root, const std::string& path, const std::string& text) {
  const std::string whole = root + path;
  if (!MakeDirectories(ParentDirectory(whole)).ok()) std::abort();
  std::ofstream(whole) << text;
}

void WriteTx2(const std::string& root) {
  WriteUnder(root, "/sys/devices/gpu.0/load", "531\n");
  WriteUnder(root, "/sys/class/thermal/thermal_zone1/type", "MCPU-therm\n");
  WriteUnder(root, "/sys/class/thermal/thermal_zone1/temp", "60000\n");
  WriteUnder(root, "/sys/class/thermal/thermal_zone2/type", "GPU-therm\n");
  WriteUnder(root, "/sys/class/thermal/thermal_zone2/temp", "41500\n");
  const std::string chips = "/sys/bus/i2c/drivers/ina3221x/";
  const auto rail = [&](const std::string& chip, int i, const std::string& name, int milliwatts) {
    WriteUnder(root, fmt::format("{}{}/rail_name_{}", chips, chip, i), name + "\n");
    WriteUnder(root, fmt::format("{}{}/in_power{}_input", chips, chip, i), fmt::format("{}\n", milliwatts));
  };
  rail("0-0040/iio:device0", 0, "VDD_SYS_GPU", 152);
  rail("0-0040/iio:device0", 1, "VDD_SYS_SOC", 687);
  rail("0-0041/iio:device1", 0, "VDD_IN", 3177);
  rail("0-0041/iio:device1", 1, "VDD_SYS_CPU", 152);
}

void WriteOrin(const std::string& root) {
  WriteUnder(root, "/sys/class/devfreq/17000000.ga10b/device/load", "70\n");
  WriteUnder(root, "/sys/class/thermal/thermal_zone0/type", "gpu-thermal\n");
  WriteUnder(root, "/sys/class/thermal/thermal_zone0/temp", "44250\n");
  const std::string chip = "/sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3/";
  const auto rail = [&](int i, const std::string& name, int millivolts, int milliamperes) {
    WriteUnder(root, fmt::format("{}in{}_label", chip, i), name + "\n");
    WriteUnder(root, fmt::format("{}in{}_input", chip, i), fmt::format("{}\n", millivolts));
    WriteUnder(root, fmt::format("{}curr{}_input", chip, i), fmt::format("{}\n", milliamperes));
  };
  rail(1, "VDD_GPU_SOC", 20000, 250);
  rail(2, "VDD_CPU_CV", 20000, 50);
  rail(3, "VIN_SYS_5V0", 5000, 600);
}

void WriteLoad(const std::string& root, long busy_ticks, long idle_ticks, long total_kb, long available_kb) {
  // Guests' ticks, the last two, are in user and nice already.
  WriteUnder(root, "/proc/stat", fmt::format("cpu  {} 0 0 {} 0 0 0 0 17 17\ncpu0 1 1 1 1 0 0 0 0 0 0\n", busy_ticks, idle_ticks));
  WriteUnder(root, "/proc/meminfo", fmt::format("MemTotal:       {} kB\nMemFree:        1000 kB\nMemAvailable:   {} kB\n",
                                                total_kb, available_kb));
}

}  // namespace couplet::test
