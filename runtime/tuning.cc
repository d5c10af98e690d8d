// SPDX-License-Identifier: Apache-2.0
#include "runtime/tuning.h"

namespace couplet {

void Tuning::Reset(std::string identity, std::string_view text) {
  const std::lock_guard lock(mutex_);
  identity_ = std::move(identity);
  choices_.clear();
  const auto take_line = [&text] {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    return line;
  };
  if (take_line() != identity_) return;
  while (!text.empty()) {
    const std::string_view line = take_line();
    if (const size_t tab = line.find('\t'); tab != std::string_view::npos)
      choices_[std::string(line.substr(0, tab))] = line.substr(tab + 1);
  }
}

std::optional<std::string> Tuning::Find(const std::string& key) const {
  const std::lock_guard lock(mutex_);
  const auto found = choices_.find(key);
  return found == choices_.end() ? std::nullopt : std::optional(found->second);
}

void Tuning::Keep(const std::string& key, std::string choice) {
  const std::lock_guard lock(mutex_);
  choices_[key] = std::move(choice);
}

std::string Tuning::Text() const {
  const std::lock_guard lock(mutex_);
  if (choices_.empty()) return {};
  std::string text = identity_ + "\n";
  for (const auto& [key, choice] : choices_) text += key + "\t" + choice + "\n";
  return text;
}

}  // namespace couplet
