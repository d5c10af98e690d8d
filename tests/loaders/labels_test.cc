// SPDX-License-Identifier: Apache-2.0
#include "loaders/labels.h"

#include <string>
#include <vector>

#include "loaders/files.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

using Labels = std::vector<std::string>;

Result<Labels> Read(const std::string& text) {
  const test::TempDir dir;
  REQUIRE(WriteFileAtomically(dir / "labels.txt", text).ok());
  return ReadLabels(dir / "labels.txt");
}

TEST_CASE("labels: written with a newline after each, read back") {
  const Labels labels = {"daisy", "plum tree", "roses"};
  CHECK(FormatLabels(labels) == "daisy\nplum tree\nroses\n");
  const auto read = Read(FormatLabels(labels));
  REQUIRE(read.ok());
  CHECK(*read == labels);
}

TEST_CASE("labels: what other programs write") {
  const std::pair<std::string, Labels> cases[] = {
      {"a\nb", {"a", "b"}},
      {"a", {"a"}},
      {"a\r\nb\r\n", {"a", "b"}},
      {"a\n\n\n", {"a"}},
      {"a\r\n\r\n", {"a"}},
      {"\xef\xbb\xbf"
       "a\nb\n",
       {"a", "b"}},
      {"a \t\n b\n", {"a", " b"}},   // leading white space stays, as rstrip() leaves it
      {"a\n\nc\n", {"a", "", "c"}},  // a line's number counts
      {"\nb\n", {"", "b"}},
      {"a\n \n", {"a", ""}},  // retrain.py's label of a folder named in another script
      {"\xd1\x86\xd0\xb2\n", {"\xd1\x86\xd0\xb2"}},
  };
  for (const auto& [text, expected] : cases) {
    CAPTURE(text);
    const auto labels = Read(text);
    REQUIRE(labels.ok());
    CHECK(*labels == expected);
  }
}

TEST_CASE("labels: files that hold none") {
  for (const std::string& text : {std::string(), std::string("\n\r\n"), std::string("\xef\xbb\xbf\n"),
                                  std::string("a\0b\n", 4), std::string((16 << 20) + 1, 'a')}) {
    const auto labels = Read(text);
    REQUIRE(!labels.ok());
    CHECK(labels.status().code() == Code::kBadInput);
    CHECK(labels.status().message().find("labels.txt") != std::string::npos);
  }
  const auto missing = ReadLabels("/nonexistent/labels.txt");
  REQUIRE(!missing.ok());
  CHECK(missing.status().code() == Code::kIo);
}

TEST_CASE("labels: ImageNet's 1001 lines") {
  COUPLET_NEEDS_SHARED(shared);
  const auto labels = ReadLabels(shared + "/models/labels.txt");
  REQUIRE(labels.ok());
  CHECK(labels->size() == 1001);
  CHECK(labels->front() == "0:background");
}

}  // namespace
}  // namespace couplet
