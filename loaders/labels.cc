// SPDX-License-Identifier: Apache-2.0
#include "loaders/labels.h"

#include <cstdint>
#include <string_view>

#include <fmt/format.h>

#include "loaders/files.h"

namespace couplet {
namespace {

constexpr uint64_t kMaxFileBytes = 16 << 20;

// As Python's rstrip() on ASCII; takes a carriage return too.
std::string_view WithoutTrailingSpace(std::string_view line) {
  const size_t last = line.find_last_not_of(" \t\r\v\f");
  return last == std::string_view::npos ? "" : line.substr(0, last + 1);
}

}  // namespace

Result<std::vector<std::string>> ReadLabels(const std::string& path) {
  std::vector<uint8_t> bytes;
  COUPLET_RETURN_IF_ERROR(ReadFile(path, kMaxFileBytes, &bytes));
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  if (text.find('\0') != std::string_view::npos) return BadInput(fmt::format("{} is not a text file", path));
  // Newlines at the very end separate nothing. Any other line is a label, blank or not: its number counts.
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  if (text.empty()) return BadInput(fmt::format("{} holds no labels", path));
  std::vector<std::string> labels;
  while (true) {
    const size_t end = text.find('\n');
    labels.emplace_back(WithoutTrailingSpace(text.substr(0, end)));
    if (end == std::string_view::npos) return labels;
    text.remove_prefix(end + 1);
  }
}

std::string FormatLabels(std::span<const std::string> labels) {
  std::string text;
  for (const std::string& label : labels) text += label + '\n';
  return text;
}

}  // namespace couplet
