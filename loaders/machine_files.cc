// SPDX-License-Identifier: Apache-2.0
#include "loaders/machine_files.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string_view>

#include "loaders/files.h"

namespace couplet {
namespace {

std::optional<double> NumberIn(const std::string& path) {
  std::ifstream file(path);
  double value = 0;
  return file >> value ? std::optional(value) : std::nullopt;
}

std::string WordIn(const std::string& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return word;
}

// Paths of what lies in `folder` and has `part` in its name; none where there is no such folder.
std::vector<std::string> Entries(const std::string& folder, std::string_view part) {
  std::vector<std::string> paths;
  if (auto names = ListDirectory(folder); names.ok())
    for (const std::string& name : *names)
      if (name.find(part) != std::string::npos) paths.push_back(JoinPath(folder, name));
  return paths;
}

// Names of rails and where their numbers are, whatever the kernel calls them.
struct NamedRail {
  std::string name, milliwatts, millivolts, milliamperes;
};

// L4T 28 to 32: /sys/bus/i2c/drivers/ina3221x/0-0040/iio:device0/rail_name_0, in_power0_input.
void AddOldRails(const std::string& root, std::vector<NamedRail>* rails) {
  for (const std::string& chip : Entries(root + "/sys/bus/i2c/drivers/ina3221x", "-"))
    for (const std::string& device : Entries(chip, "iio:device"))
      for (int i = 0; i < 3; ++i) {
        const std::string power = fmt::format("{}/in_power{}_input", device, i);
        if (FileExists(power)) rails->push_back({WordIn(fmt::format("{}/rail_name_{}", device, i)), power, "", ""});
      }
}

// L4T 35 and later: /sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3/in1_label, in1_input, curr1_input.
void AddNewRails(const std::string& root, std::vector<NamedRail>* rails) {
  for (const std::string& chip : Entries(root + "/sys/bus/i2c/drivers/ina3221", "-"))
    for (const std::string& device : Entries(chip + "/hwmon", "hwmon"))
      for (int i = 1; i <= 3; ++i) {
        const std::string volts = fmt::format("{}/in{}_input", device, i);
        if (FileExists(volts))
          rails->push_back({WordIn(fmt::format("{}/in{}_label", device, i)), "", volts,
                            fmt::format("{}/curr{}_input", device, i)});
      }
}

}  // namespace

size_t PeakResidentBytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<size_t>(usage.ru_maxrss) << 10;
}

double ProcessorSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void ProcLoad::Read(DeviceSample* sample) {
  // "cpu  user nice system idle iowait irq softirq steal guest guest_nice": guests are in user and nice already.
  std::ifstream stat(root_ + "/proc/stat");
  std::string word;
  if (stat >> word && word == "cpu") {
    double all = 0, idle = 0, ticks = 0;
    for (int i = 0; i < 8 && stat >> ticks; ++i) {
      all += ticks;
      if (i == 3 || i == 4) idle += ticks;
    }
    if (last_ && all > last_->second)
      sample->cpu_percent = 100 * (all - idle - last_->first) / (all - last_->second);
    last_ = {all - idle, all};
  }
  std::ifstream meminfo(root_ + "/proc/meminfo");
  std::optional<double> total, available;  // kB, which are KiB
  for (std::string line; std::getline(meminfo, line);) {
    std::istringstream words(line);
    double number = 0;
    if (!(words >> word >> number)) continue;
    if (word == "MemTotal:") total = number;
    if (word == "MemAvailable:") available = number;
  }
  if (!total || !available) return;
  sample->memory_mb = (*total - *available) / 1024;
  sample->memory_total_mb = *total / 1024;
}

std::optional<TegraSysfs> TegraSysfs::Find(const std::string& root) {
  TegraSysfs tegra;
  std::vector<std::string> places = {root + "/sys/devices/gpu.0/load", root + "/sys/devices/platform/gpu.0/load"};
  // gm20b, gp10b, gv11b, ga10b are the GPUs of Nano, TX2, Xavier and Orin; later kernels say gpu.
  for (const char* name : {"gpu", "gm20b", "gp10b", "gv11b", "ga10b"})
    for (const std::string& device : Entries(root + "/sys/class/devfreq", name)) places.push_back(device + "/device/load");
  for (const std::string& place : places)
    if (tegra.load_.empty() && NumberIn(place)) tegra.load_ = place;
  if (tegra.load_.empty()) return std::nullopt;
  tegra.FindRails(root);
  tegra.FindTemperature(root);
  return tegra;
}

void TegraSysfs::FindRails(const std::string& root) {
  std::vector<NamedRail> named;
  AddOldRails(root, &named);
  AddNewRails(root, &named);
  // As ParseTegrastats: the board's input where there is one, else the rails that are fed from it.
  const auto input = std::find_if(named.begin(), named.end(), [](const NamedRail& rail) {
    return rail.name == "VDD_IN" || rail.name == "POM_5V_IN";
  });
  for (auto rail = named.begin(); rail != named.end(); ++rail) {
    const bool counts = input == named.end() ? rail->name != "VDDQ_VDD2_1V8AO" && rail->name != "NC" : rail == input;
    if (counts) rails_.push_back({rail->milliwatts, rail->millivolts, rail->milliamperes});
  }
}

void TegraSysfs::FindTemperature(const std::string& root) {
  for (const std::string& zone : Entries(root + "/sys/class/thermal", "thermal_zone")) {
    const std::string type = WordIn(zone + "/type");
    if (type.starts_with("GPU") || type.starts_with("gpu")) temperature_ = zone + "/temp";
  }
}

void TegraSysfs::Read(DeviceSample* sample) const {
  if (const auto load = NumberIn(load_)) sample->gpu_percent = *load / 10;  // per mille
  if (const auto celsius = NumberIn(temperature_)) sample->celsius = *celsius / 1000;
  double milliwatts = 0;
  for (const Rail& rail : rails_) {
    const auto power = NumberIn(rail.milliwatts), volts = NumberIn(rail.millivolts), amperes = NumberIn(rail.milliamperes);
    // A sum that lacks one is no sum.
    if (!power && !(volts && amperes)) return;
    milliwatts += power ? *power : *volts * *amperes / 1000;
  }
  if (!rails_.empty()) sample->watts = milliwatts / 1000;
}

}  // namespace couplet
