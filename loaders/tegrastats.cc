// SPDX-License-Identifier: Apache-2.0
#include "loaders/tegrastats.h"

#include <charconv>
#include <vector>

namespace couplet {
namespace {

std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> words;
  for (size_t at = 0; (at = line.find_first_not_of(" \t\r\n", at)) != std::string_view::npos;) {
    const size_t end = std::min(line.find_first_of(" \t\r\n", at), line.size());
    words.push_back(line.substr(at, end - at));
    at = end;
  }
  return words;
}

// The number that `text` begins with, which is cut off.
std::optional<double> TakeNumber(std::string_view* text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc()) return std::nullopt;
  text->remove_prefix(static_cast<size_t>(end - text->data()));
  return value;
}

bool Take(std::string_view* text, std::string_view part) {
  if (!text->starts_with(part)) return false;
  text->remove_prefix(part.size());
  return true;
}

// "2586/7846MB"
bool TakeMemory(std::string_view word, DeviceSample* sample) {
  const auto used = TakeNumber(&word);
  if (!used || !Take(&word, "/")) return false;
  const auto total = TakeNumber(&word);
  if (!total || word != "MB") return false;
  sample->memory_mb = used;
  sample->memory_total_mb = total;
  return true;
}

// "[0%@960,off,7%@960]", "[0%,off]@345" of the oldest.
std::optional<double> ProcessorLoad(std::string_view word) {
  if (!Take(&word, "[")) return std::nullopt;
  double sum = 0;
  int processors = 0;
  for (;;) {
    if (!Take(&word, "off")) {
      const auto load = TakeNumber(&word);
      if (!load || !Take(&word, "%")) return std::nullopt;
      sum += *load;
    }
    ++processors;
    const size_t end = word.find_first_of(",]");
    if (end == std::string_view::npos) return std::nullopt;
    const bool last = word[end] == ']';
    word.remove_prefix(end + 1);
    if (last) return sum / processors;
  }
}

// "53%@140", "53%@[1300,1300]", "53%"
std::optional<double> GpuLoad(std::string_view word) {
  const auto load = TakeNumber(&word);
  return load && word.starts_with('%') ? load : std::nullopt;
}

// Milliwatts now, of "3177/3177" and "3177mW/3177mW": now and on average.
std::optional<double> RailMilliwatts(std::string_view word) {
  const auto now = TakeNumber(&word);
  Take(&word, "mW");
  if (!now || !Take(&word, "/")) return std::nullopt;
  const auto mean = TakeNumber(&word);
  Take(&word, "mW");
  return mean && word.empty() ? now : std::nullopt;
}

// Rails behind the board's input, or the whole of it.
struct Rails {
  std::optional<double> input, sum;  // mW

  void Add(std::string_view name, double milliwatts) {
    if (name == "VDD_IN" || name == "POM_5V_IN") input = milliwatts;
    // AGX Orin's VDDQ_VDD2_1V8AO is fed by VIN_SYS_5V0 and counted there; NC is not connected.
    if (name != "VDDQ_VDD2_1V8AO" && name != "NC") sum = sum.value_or(0) + milliwatts;
  }
};

}  // namespace

std::optional<DeviceSample> ParseTegrastats(std::string_view line) {
  DeviceSample sample;
  Rails rails;
  const std::vector<std::string_view> words = Words(line);
  for (size_t i = 0; i < words.size(); ++i) {
    std::string_view word = words[i];
    if (i + 1 < words.size()) {
      const std::string_view value = words[i + 1];
      if (word == "RAM") {
        if (!TakeMemory(value, &sample)) return std::nullopt;
      } else if ((word == "CPU" || word == "cpu") && value.starts_with('[')) {
        sample.cpu_percent = ProcessorLoad(value);
      } else if (word == "GR3D" || word == "GR3D_FREQ") {
        sample.gpu_percent = GpuLoad(value);
      } else if (const auto milliwatts = RailMilliwatts(value); milliwatts) {
        rails.Add(word, *milliwatts);
      }
    }
    // -256C stands for a sensor that sleeps. Newer releases write gpu@.
    if (Take(&word, "GPU@") || Take(&word, "gpu@"))
      if (const auto celsius = TakeNumber(&word); celsius && word == "C" && *celsius > -100) sample.celsius = celsius;
  }
  if (!sample.memory_mb) return std::nullopt;
  if (const auto& milliwatts = rails.input ? rails.input : rails.sum; milliwatts) sample.watts = *milliwatts / 1000;
  return sample;
}

}  // namespace couplet
