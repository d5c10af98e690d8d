// retrain.py's bottleneck text files.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <string_view>

#include "loaders/bottleneck_store.h"
#include "loaders/files.h"

namespace couplet {
namespace {

constexpr uint64_t kMaxTextBytes = uint64_t{64} << 20;
constexpr std::string_view kSpace = " \t\n\r\f\v";

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

// Python takes 1_000.5: an underscore between two digits. False: one elsewhere.
bool DropUnderscores(std::string_view text, std::string* out) {
  out->clear();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      *out += text[i];
    } else if (i == 0 || i + 1 == text.size() || !IsDigit(text[i - 1]) || !IsDigit(text[i + 1])) {
      return false;
    }
  }
  return true;
}

template <class Float>
bool ParseAs(std::string_view text, Float* value, std::errc* error) {
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), *value);
  *error = code;
  return code == std::errc() && end == text.data() + text.size();
}

// As Python's float() and then a float32, as TensorFlow is fed. False: no number, or none that is finite.
bool ParsePythonFloat(std::string_view text, std::string* scratch, float* value) {
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return false;
  text = text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
  if (text.find('_') != std::string_view::npos) {
    if (!DropUnderscores(text, scratch)) return false;
    text = *scratch;
  }
  if (text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.starts_with('-')) return false;
  }
  double number = 0;
  std::errc error;
  if (!ParseAs(text, &number, &error)) {
    // Too small for a double is zero to Python; too large is infinite.
    long double wide = 0;
    if (error != std::errc::result_out_of_range || !ParseAs(text, &wide, &error)) return false;
    number = static_cast<double>(wide);
  }
  if (!std::isfinite(number) || std::fabs(number) > 3.4028235677973366e38)
    return false;  // rounds to infinity
  *value = static_cast<float>(number);
  return std::isfinite(*value);
}

}  // namespace

std::string BottleneckTextPath(const std::string& bottleneck_dir, const std::string& folder,
                               const std::string& file, const std::string& architecture) {
  return JoinPath(JoinPath(bottleneck_dir, folder), file) + "_" + architecture + ".txt";
}

Status ReadBottleneckText(const std::string& path, std::span<float> dst) {
  std::vector<uint8_t> bytes;
  COUPLET_RETURN_IF_ERROR(ReadFile(path, kMaxTextBytes, &bytes));
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::string scratch;
  size_t count = 0;
  for (bool more = true; more; ++count) {
    const size_t comma = text.find(',');
    more = comma != std::string_view::npos;
    const std::string_view item = text.substr(0, comma);
    float value;
    if (!ParsePythonFloat(item, &scratch, &value))
      return BadInput(
          fmt::format("{}: value {} is \"{}\", not a finite number", path, count + 1, item.substr(0, 40)));
    if (count < dst.size()) dst[count] = value;
    if (more) text.remove_prefix(comma + 1);
  }
  if (count != dst.size())
    return BadInput(fmt::format("{} holds {} values where {} are expected", path, count, dst.size()));
  return {};
}

std::string FormatBottleneckText(std::span<const float> vector) {
  std::string text;
  text.reserve(vector.size() * 12);
  for (const float value : vector) {
    char digits[32];
    const auto [end, error] = std::to_chars(digits, digits + sizeof digits, value);
    COUPLET_CHECK(error == std::errc());
    if (!text.empty()) text += ',';
    text.append(digits, end);
  }
  return text;
}

}  // namespace couplet
