// The kept seeds once more, without clang: inputs the fuzzers found their way by, and each that broke something.
// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "loaders/files.h"
#include "tests/fuzz/targets.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

fuzz::Input AsInput(const std::string& bytes) {
  return {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
}

void Replay(const fuzz::Target& target) {
  for (const std::string& start : target.starts()) CHECK(target.run(AsInput(start)) == "");
  const std::string folder = JoinPath("tests/fuzz/seeds", target.name);
  const auto names = ListDirectory(folder);
  REQUIRE_MESSAGE(names.ok(), names.status().message());
  CHECK(!names->empty());
  for (const std::string& name : *names) {
    CAPTURE(name);
    const std::string seed = test::FileContents(JoinPath(folder, name));
    CHECK(seed.size() <= 4096);  // small enough to read in a hex dump
    CHECK(target.run(AsInput(seed)) == "");
  }
}

TEST_CASE("fuzz: kept seeds of the graphs") {
  for (const char* name : {"graph_bytes", "graph_structure"}) Replay(*fuzz::FindTarget(name));
}
TEST_CASE("fuzz: kept seeds of the photos") {
  for (const char* name : {"jpeg", "png", "bmp", "gif"}) Replay(*fuzz::FindTarget(name));
}
TEST_CASE("fuzz: kept seeds of the other files and of the flags") {
  for (const char* name : {"archive", "events", "bottleneck_text", "labels", "store", "flags"})
    Replay(*fuzz::FindTarget(name));
}

TEST_CASE("fuzz: every target is replayed, and what is no line for a user is seen") {
  CHECK(fuzz::Targets().size() == 12);
  CHECK(fuzz::FindTarget("nothing") == nullptr);
  CHECK(fuzz::NotOneLine(Status(), "f") == "");
  CHECK(fuzz::NotOneLine(BadInput("f: why"), "f") == "");
  CHECK(fuzz::NotOneLine(BadInput("why"), "f") != "");
  CHECK(fuzz::NotOneLine(BadInput(""), "") != "");
  CHECK(fuzz::NotOneLine(IoError("f: why"), "f") != "");
}

}  // namespace
}  // namespace couplet
