// SPDX-License-Identifier: Apache-2.0
#include "loaders/unpack.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "loaders/files.h"
#include "tests/support/make_archive.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

using test::FileContents;
using test::MakeArchive;
using test::Noise;
using Kind = test::ArchiveEntry::Kind;
constexpr uint64_t kLimit = uint64_t{64} << 20;

std::vector<std::string> Names(const std::string& folder) {
  auto names = ListDirectory(folder);
  REQUIRE(names.ok());
  return *names;
}

TEST_CASE("unpack: one member by its base name, to our own name") {
  const test::TempDir dir;
  const std::string weights = Noise(300'000);
  MakeArchive(dir / "m.tgz", {{Kind::kFolder, "m/", ""},
                              {Kind::kFile, "m/labels.txt", "a\nb\n"},
                              {Kind::kFile, "m/frozen_graph.pb", weights},
                              {Kind::kFile, "m/not_frozen_graph.pb", "no"}});
  const Status status = ExtractMember(dir / "m.tgz", "frozen_graph.pb", dir / "graph.pb", kLimit);
  REQUIRE_MESSAGE(status.ok(), status.message());
  CHECK(FileContents(dir / "graph.pb") == weights);
  CHECK(Names(dir.path()) == std::vector<std::string>{"graph.pb", "m.tgz"});
}

TEST_CASE("unpack: the original archive gives the original graph") {
  COUPLET_NEEDS_SHARED(shared);
  const test::TempDir dir;
  const std::string models = shared + "/models/";
  const Status status = ExtractMember(models + "mobilenet_v1_0.25_128_frozen.tgz", "quantized_graph.pb",
                                      dir / "graph.pb", kLimit);
  REQUIRE_MESSAGE(status.ok(), status.message());
  CHECK(FileContents(dir / "graph.pb") == FileContents(models + "mobilenet_v1_0.25_128/quantized_graph.pb"));
}

TEST_CASE("unpack: a member that is missing, twice there or a link") {
  const test::TempDir dir;
  const auto message = [&](const std::vector<test::ArchiveEntry>& entries) {
    MakeArchive(dir / "m.tgz", entries);
    const Status status = ExtractMember(dir / "m.tgz", "g.pb", dir / "out.pb", kLimit);
    CHECK(status.code() == Code::kBadInput);
    CHECK(!FileExists(dir / "out.pb"));
    return status.message();
  };
  CHECK_HAS(message({{Kind::kFile, "a/other.pb", "x"}}), "holds no g.pb");
  CHECK_HAS(message({{Kind::kFile, "a/g.pb", "x"}, {Kind::kFile, "b/g.pb", "y"}}), "two files named g.pb");
  CHECK_HAS(message({{Kind::kSymlink, "a/g.pb", "/etc/passwd"}}), "is a link");
  CHECK_HAS(message({{Kind::kFile, "x", "x"}, {Kind::kHardlink, "a/g.pb", "x"}}), "is a link");
}

TEST_CASE("unpack: names that leave the folder refuse the archive") {
  const test::TempDir dir;
  for (const std::string name : {"../g.jpg", "a/../../g.jpg", "/tmp/g.jpg", "a/..", ".."}) {
    CAPTURE(name);
    MakeArchive(dir / "m.tgz", {{Kind::kFile, "a/fine.jpg", "x"}, {Kind::kFile, name, "x"}});
    const Status tree = ExtractTree(dir / "m.tgz", dir / "tree", kLimit);
    CHECK(tree.code() == Code::kBadInput);
    CHECK_HAS(tree.message(), "would leave the folder");
    CHECK(Names(dir / "tree").empty());
    const Status member = ExtractMember(dir / "m.tgz", "fine.jpg", dir / "out.jpg", kLimit);
    CHECK_HAS(member.message(), "would leave the folder");
  }
  CHECK(Names(dir.path()) == std::vector<std::string>{"m.tgz", "tree"});
  // Dots inside a name are no way out.
  MakeArchive(dir / "m.tgz", {{Kind::kFile, "a..b/..c.jpg", "x"}});
  CHECK(ExtractTree(dir / "m.tgz", dir / "tree", kLimit).ok());
  CHECK(FileContents(dir / "tree/a..b/..c.jpg") == "x");
}

TEST_CASE("unpack: links out of the folder refuse the archive and write nothing") {
  const test::TempDir dir;
  MakeDirectories(dir / "outside").ok();
  std::ofstream(dir / "outside/victim.jpg") << "untouched";
  const std::string outside = std::filesystem::absolute(dir / "outside").string();
  const std::vector<std::vector<test::ArchiveEntry>> archives = {
      {{Kind::kSymlink, "a", outside}, {Kind::kFile, "a/victim.jpg", "changed"}},
      {{Kind::kHardlink, "a.jpg", outside + "/victim.jpg"}, {Kind::kFile, "a.jpg", "changed"}},
      {{Kind::kSymlink, "a.jpg", "../outside/victim.jpg"}},
  };
  for (const auto& entries : archives) {
    CAPTURE(entries[0].name);
    MakeArchive(dir / "m.tgz", entries);
    const Status status = ExtractTree(dir / "m.tgz", dir / "tree", kLimit);
    CHECK(status.code() == Code::kBadInput);
    CHECK_HAS(status.message(), "is a link");
    CHECK(Names(dir / "tree").empty());
    CHECK(FileContents(dir / "outside/victim.jpg") == "untouched");
    CHECK(Names(dir / "outside").size() == 1);
  }
}

TEST_CASE("unpack: a tree takes photos and licences, and appears whole") {
  const test::TempDir dir;
  MakeArchive(dir / "m.tgz", {{Kind::kFile, "flowers/LICENSE.txt", "by"},
                              {Kind::kFile, "flowers/run.sh", "rm"},
                              {Kind::kFile, "flowers/roses/1.jpg", "one"},
                              {Kind::kFile, "flowers/roses/2.JPEG", "two"},
                              {Kind::kFile, "./flowers/tulips/3.png", "three"}});
  const Status status = ExtractTree(dir / "m.tgz", dir / "tree", kLimit);
  REQUIRE_MESSAGE(status.ok(), status.message());
  CHECK(Names(dir / "tree") == std::vector<std::string>{"flowers"});
  CHECK(Names(dir / "tree/flowers") == std::vector<std::string>{"LICENSE.txt", "roses", "tulips"});
  CHECK(Names(dir / "tree/flowers/roses") == std::vector<std::string>{"1.jpg", "2.JPEG"});
  CHECK(FileContents(dir / "tree/flowers/tulips/3.png") == "three");
  struct stat info{};
  REQUIRE(stat((dir / "tree/flowers/roses/1.jpg").c_str(), &info) == 0);
  CHECK((info.st_mode & 0111) == 0);

  const Status again = ExtractTree(dir / "m.tgz", dir / "tree", kLimit);
  CHECK(again.code() == Code::kBadInput);
  CHECK_HAS(again.message(), "flowers exists already");
}

TEST_CASE("unpack: the same file twice is refused") {
  const test::TempDir dir;
  MakeArchive(dir / "m.tgz", {{Kind::kFile, "a/1.jpg", "x"}, {Kind::kFile, "a/1.jpg", "y"}});
  CHECK(!ExtractTree(dir / "m.tgz", dir / "tree", kLimit).ok());
  CHECK(Names(dir / "tree").empty());
}

TEST_CASE("unpack: a gzip bomb is stopped by its ratio and by the limit, wherever it lies") {
  const test::TempDir dir;
  const std::string zeros(40'000'000, '\0');
  MakeArchive(dir / "m.tgz", {{Kind::kFile, "zeros.txt", zeros}, {Kind::kFile, "g.pb", "x"}});
  for (const std::string member : {"g.pb", "zeros.txt"}) {
    const Status status = ExtractMember(dir / "m.tgz", member, dir / "out", uint64_t{1} << 30);
    CHECK(status.code() == Code::kBadInput);
    CHECK_HAS(status.message(), "times its size");
  }
  const Status status = ExtractMember(dir / "m.tgz", "zeros.txt", dir / "out", 10'000'000);
  CHECK_HAS(status.message(), "more than the 10 MB allowed");
  CHECK(!FileExists(dir / "out"));
}

TEST_CASE("unpack: truncated, plain garbage, another format, no file at all") {
  const test::TempDir dir;
  const std::string noise = Noise(100'000);
  MakeArchive(dir / "m.tgz", {{Kind::kFile, "a/1.jpg", noise}});
  const std::string whole = FileContents(dir / "m.tgz");
  for (const size_t length : {size_t{0}, size_t{1}, size_t{300}, whole.size() / 2, whole.size() - 600}) {
    CAPTURE(length);
    std::ofstream(dir / "cut.tgz", std::ios::binary) << whole.substr(0, length);
    const Status status = ExtractMember(dir / "cut.tgz", "1.jpg", dir / "out.jpg", kLimit);
    CHECK(status.code() == Code::kBadInput);
    CHECK_HAS(status.message(), "cut.tgz");
    CHECK(!FileExists(dir / "out.jpg"));
    CHECK(!ExtractTree(dir / "cut.tgz", dir / "tree", kLimit).ok());
    CHECK((!FileExists(dir / "tree") || Names(dir / "tree").empty()));
  }
  std::ofstream(dir / "zip.tgz", std::ios::binary) << "PK\3\4" << noise;
  CHECK(ExtractMember(dir / "zip.tgz", "1.jpg", dir / "out.jpg", kLimit).code() == Code::kBadInput);
  const Status missing = ExtractMember(dir / "none.tgz", "1.jpg", dir / "out.jpg", kLimit);
  CHECK(missing.code() == Code::kIo);
  CHECK_HAS(missing.message(), "none.tgz");
}

}  // namespace
}  // namespace couplet
