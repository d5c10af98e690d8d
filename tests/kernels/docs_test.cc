// docs/kernels.md lists every kernel, and what it points at exists.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "tests/support/test.h"

namespace couplet {
namespace {

namespace fs = std::filesystem;

// First cells of the table's rows.
std::set<std::string> RowNames(const std::string& page) {
  std::set<std::string> names;
  for (size_t at = page.find("\n| "); at != std::string::npos; at = page.find("\n| ", at + 1))
    names.insert(page.substr(at + 3, page.find(" |", at + 3) - at - 3));
  names.erase("kernel");
  return names;
}

// Targets of [text](target), those of the web left out.
std::vector<std::string> Links(const std::string& page) {
  std::vector<std::string> links;
  for (size_t at = page.find("]("); at != std::string::npos; at = page.find("](", at + 1)) {
    const std::string target = page.substr(at + 2, page.find(')', at) - at - 2);
    if (target.find("://") == std::string::npos) links.push_back(target.substr(0, target.find('#')));
  }
  return links;
}

TEST_CASE("kernels: docs/kernels.md has one row for each kernel and none besides") {
  std::set<std::string> kernels;
  for (const auto& entry : fs::directory_iterator("kernels"))
    if (entry.path().extension() == ".cu") kernels.insert(entry.path().stem());
  CHECK(kernels.size() >= 10);
  const std::string page = test::FileContents("docs/kernels.md");
  CHECK(RowNames(page) == kernels);
  size_t benches = 0;
  for (size_t at = page.find("[bench]("); at != std::string::npos; at = page.find("[bench](", at + 1))
    ++benches;
  CHECK(benches == kernels.size());
}

TEST_CASE("kernels: every link of docs/kernels.md leads to a file, each row's to its body and its test") {
  const std::string page = test::FileContents("docs/kernels.md");
  const auto links = Links(page);
  CHECK(links.size() >= 30);
  for (const std::string& link : links) {
    CAPTURE(link);
    CHECK(fs::exists("docs/" + link));
  }
  for (const std::string& name : RowNames(page)) {
    CAPTURE(name);
    for (const std::string& wanted : {"../kernels/" + name + ".cuh", "../tests/kernels/" + name + "_test.cc"})
      CHECK(std::find(links.begin(), links.end(), wanted) != links.end());
  }
}

}  // namespace
}  // namespace couplet
