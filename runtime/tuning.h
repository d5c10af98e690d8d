// Choices made by measurement, a line each, as text that a caller can keep: "key<TAB>choice". They hold for
// the device and the libraries named in the first line, and for no other.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace couplet {

class Tuning {
 public:
  // `identity` names device and libraries. `text` is taken where its first line is the same.
  void Reset(std::string identity, std::string_view text);
  std::optional<std::string> Find(const std::string& key) const;
  void Keep(const std::string& key, std::string choice);
  // Empty when there are no choices.
  std::string Text() const;

 private:
  mutable std::mutex mutex_;
  std::string identity_;
  std::map<std::string, std::string> choices_;
};

}  // namespace couplet
