// The goldens' tables: lines of fields between tabs under a header line, lists of numbers between commas.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/test.h"

namespace couplet::test {

// An empty field at the end counts.
inline std::vector<std::string> Split(const std::string& text, char separator) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == separator) parts.emplace_back();
    else parts.back() += c;
  }
  return parts;
}

// The rows below the header line.
inline std::vector<std::vector<std::string>> ReadTable(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::vector<std::string>> rows;
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) rows.push_back(Split(line, '\t'));
  REQUIRE_MESSAGE(!rows.empty(), path);
  return rows;
}

// "" has none.
inline std::vector<float> ParseFloats(const std::string& text) {
  std::vector<float> values;
  if (text.empty()) return values;
  for (const std::string& part : Split(text, ',')) values.push_back(std::strtof(part.c_str(), nullptr));
  return values;
}

}  // namespace couplet::test
