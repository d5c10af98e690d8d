// SPDX-License-Identifier: Apache-2.0
#include "loaders/model_archive.h"

#include <stdlib.h>

#include <fstream>
#include <string>
#include <vector>

#include "loaders/files.h"
#include "loaders/hash.h"
#include "tests/support/http_server.h"
#include "tests/support/make_archive.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

using test::FileContents;
using test::HttpReply;
using test::HttpRequest;
using test::HttpServer;
using test::MakeArchive;
using Kind = test::ArchiveEntry::Kind;

// COUPLET_MIRROR for as long as it lives; none when `mirror` is empty.
class MirrorSetting {
 public:
  explicit MirrorSetting(const std::string& mirror) {
    const char* before = getenv("COUPLET_MIRROR");
    if (before != nullptr) before_ = before;
    Set(mirror);
  }
  ~MirrorSetting() { Set(before_); }

 private:
  static void Set(const std::string& mirror) {
    if (mirror.empty())
      unsetenv("COUPLET_MIRROR");
    else
      setenv("COUPLET_MIRROR", mirror.c_str(), 1);
  }
  std::string before_;
};

std::string Sha256Of(const std::string& text) { return ToHex(Sha256(std::as_bytes(std::span(text)))); }

// A model of one file "m/g.pb" in m.tgz, served, mirrored or lying about.
struct Fixture {
  Fixture() : server([this](const HttpRequest& asked) { return Serve(asked); }) {
    MakeArchive(dir / "made.tgz", {{Kind::kFile, "m/labels.txt", "a\n"}, {Kind::kFile, "m/g.pb", "the graph"}});
    archive = FileContents(dir / "made.tgz");
    request.dir = dir / "models";
    request.folder = "m";
    request.archive_name = "m.tgz";
    request.member = "g.pb";
    request.url = server.Url("/models/m.tgz");
    request.archive_sha256 = Sha256Of(archive);
    request.member_sha256 = Sha256Of("the graph");
    request.advice = "or give a graph";
  }
  HttpReply Serve(const HttpRequest& asked) const {
    return asked.path == "/models/m.tgz" ? HttpReply{.body = archive} : HttpReply{.status = 404};
  }
  Result<std::string> Obtain() {
    lines.clear();
    return ObtainModel(request, [this](const std::string& line, bool transient) {
      if (!transient) lines += line + "\n";
    });
  }
  void Write(const std::string& path, const std::string& text) {
    MakeDirectories(path.substr(0, path.rfind('/'))).ok();
    std::ofstream(path, std::ios::binary) << text;
  }
  std::string GraphPath() const { return dir / "models/m/g.pb"; }

  test::TempDir dir;
  std::string archive, lines;
  ArchiveRequest request;
  HttpServer server;
  MirrorSetting no_mirror{""};
};

TEST_CASE("model archive: the unpacked folder of the codelab is taken as it is [threads]") {
  Fixture f;
  f.Write(f.GraphPath(), "the graph");
  const auto path = f.Obtain();
  REQUIRE_MESSAGE(path.ok(), path.status().message());
  CHECK(*path == f.GraphPath());
  CHECK(f.server.requests().empty());
  CHECK(f.lines == "");
}

TEST_CASE("model archive: an archive in model_dir is unpacked, nothing is downloaded [threads]") {
  Fixture f;
  f.request.offline = true;
  f.Write(f.dir / "models/m.tgz", f.archive);
  const auto path = f.Obtain();
  REQUIRE_MESSAGE(path.ok(), path.status().message());
  CHECK(FileContents(*path) == "the graph");
  CHECK(*ListDirectory(f.dir / "models/m") == std::vector<std::string>{"g.pb"});
  CHECK(f.server.requests().empty());
}

TEST_CASE("model archive: downloaded once, verified, unpacked [threads]") {
  Fixture f;
  auto path = f.Obtain();
  REQUIRE_MESSAGE(path.ok(), path.status().message());
  CHECK(FileContents(*path) == "the graph");
  CHECK_HAS(f.lines, "Downloading " + f.request.url);
  CHECK_HAS(f.lines, "Unpacked " + f.GraphPath());
  CHECK(*ListDirectory(f.dir / "models") == std::vector<std::string>{"m", "m.tgz"});
  path = f.Obtain();
  CHECK(path.ok());
  CHECK(f.server.requests().size() == 1);
}

TEST_CASE("model archive: other bytes than the published ones, wherever they come from [threads]") {
  Fixture f;
  SUBCASE("the graph in the folder") {
    f.Write(f.GraphPath(), "another graph");
    const Status status = f.Obtain().status();
    CHECK(status.code() == Code::kBadInput);
    CHECK_HAS(status.message(), f.GraphPath() + " has SHA-256 " + Sha256Of("another graph"));
    CHECK_HAS(status.message(), "--model_file");
  }
  SUBCASE("the archive in model_dir, cut off as an interrupted download leaves it") {
    f.Write(f.dir / "models/m.tgz", f.archive.substr(0, 100));
    const Status status = f.Obtain().status();
    CHECK(status.code() == Code::kBadInput);
    CHECK_HAS(status.message(), "m.tgz has SHA-256");
    CHECK_HAS(status.message(), "remove it");
  }
  SUBCASE("the download") {
    f.request.archive_sha256 = Sha256Of("x");
    const Status status = f.Obtain().status();
    CHECK(status.code() == Code::kIo);
    CHECK_HAS(status.message(), "it was thrown away");
    CHECK(ListDirectory(f.dir / "models")->empty());
  }
  SUBCASE("the archive of a mirror") {
    f.Write(f.dir / "mirror/m.tgz", "something");
    const MirrorSetting mirror(f.dir / "mirror");
    const Status status = f.Obtain().status();
    CHECK(status.code() == Code::kBadInput);
    CHECK_HAS(status.message(), "(in COUPLET_MIRROR) has SHA-256");
    CHECK(ListDirectory(f.dir / "models")->empty());
  }
}

TEST_CASE("model archive: a hash nobody published is shown, kept, and held to [threads]") {
  Fixture f;
  f.request.archive_sha256 = f.request.member_sha256 = "";
  auto path = f.Obtain();
  REQUIRE_MESSAGE(path.ok(), path.status().message());
  CHECK_HAS(f.lines, "SHA-256 " + Sha256Of(f.archive));
  CHECK(FileContents(f.dir / "models/m.tgz.sha256") == Sha256Of(f.archive) + "  m.tgz\n");

  // Deleted and fetched again: the same bytes are fine, others are not.
  for (const std::string name : {"models/m.tgz", "models/m/g.pb"}) REQUIRE(remove((f.dir / name).c_str()) == 0);
  CHECK(f.Obtain().ok());
  CHECK(f.lines.find("none is known") == std::string::npos);
  for (const std::string name : {"models/m.tgz", "models/m/g.pb"}) REQUIRE(remove((f.dir / name).c_str()) == 0);
  MakeArchive(f.dir / "made.tgz", {{Kind::kFile, "m/g.pb", "a graph put in its place"}});
  f.archive = FileContents(f.dir / "made.tgz");
  Status status = f.Obtain().status();
  CHECK(status.code() == Code::kIo);
  CHECK_HAS(status.message(), "it was thrown away");
  // Put there by hand, too.
  f.Write(f.dir / "models/m.tgz", f.archive);
  status = f.Obtain().status();
  CHECK(status.code() == Code::kBadInput);
  CHECK_HAS(status.message(), "m.tgz.sha256 says");
  CHECK(!FileExists(f.GraphPath()));
}

TEST_CASE("model archive: a mirror comes first, as an address or as a folder [threads]") {
  Fixture f;
  const HttpServer mirror([&](const HttpRequest& asked) {
    return asked.path == "/pub/m.tgz" ? HttpReply{.body = f.archive} : HttpReply{.status = 404};
  });
  SUBCASE("address") {
    const MirrorSetting setting(mirror.Url("/pub"));
    CHECK(f.Obtain().ok());
    CHECK(mirror.requests().size() == 1);
    CHECK(f.server.requests().empty());
  }
  SUBCASE("address without the file: the next one is asked") {
    const MirrorSetting setting(mirror.Url("/elsewhere/"));
    CHECK(f.Obtain().ok());
    CHECK(mirror.requests()[0].path == "/elsewhere/m.tgz");
    CHECK(f.server.requests().size() == 1);
  }
  SUBCASE("folder with the archive, also offline") {
    f.Write(f.dir / "mirror/m.tgz", f.archive);
    const MirrorSetting setting(f.dir / "mirror");
    f.request.offline = true;
    CHECK(f.Obtain().ok());
    CHECK(FileContents(f.GraphPath()) == "the graph");
    CHECK(f.server.requests().empty());
  }
  SUBCASE("folder with the graph unpacked") {
    f.Write(f.dir / "mirror/m/g.pb", "the graph");
    const MirrorSetting setting(f.dir / "mirror");
    CHECK(f.Obtain().ok());
    CHECK(FileContents(f.GraphPath()) == "the graph");
    CHECK(f.server.requests().empty());
  }
  SUBCASE("folder without either: the network is asked") {
    const MirrorSetting setting(f.dir.path());
    CHECK(f.Obtain().ok());
    CHECK(f.server.requests().size() == 1);
  }
}

TEST_CASE("model archive: the http address is asked only when the SHA-256 is known [threads]") {
  Fixture f;
  f.request.http_url = f.request.url;
  f.request.url = f.server.Url("/gone");
  SUBCASE("known") {
    CHECK(f.Obtain().ok());
    CHECK(f.server.requests().size() == 2);
  }
  SUBCASE("not known") {
    f.request.archive_sha256 = "";
    CHECK(f.Obtain().status().code() == Code::kIo);
    CHECK(f.server.requests().size() == 1);
  }
}

TEST_CASE("model archive: when nothing helps the line says what was asked, why it failed, and the ways out [threads]") {
  Fixture f;
  SUBCASE("not found") {
    f.request.url = f.server.Url("/gone");
    const Status status = f.Obtain().status();
    CHECK(status.code() == Code::kIo);
    CHECK_HAS(status.message(), f.request.url);
    CHECK_HAS(status.message(), "404");
    CHECK_HAS(status.message(), "put the archive into " + f.request.dir + " by hand, or give a graph");
    CHECK(status.message().find('\n') == std::string::npos);
  }
  SUBCASE("offline") {
    f.request.offline = true;
    const MirrorSetting setting(f.server.Url("/models"));
    const Status status = f.Obtain().status();
    CHECK(status.code() == Code::kIo);
    CHECK_HAS(status.message(), "no m.tgz: --offline forbids the download of " + f.request.url);
    CHECK(f.server.requests().empty());
  }
  CHECK(!FileExists(f.dir / "models/m"));
}

TEST_CASE("model archive: Inception lies in model_dir itself [threads]") {
  Fixture f;
  f.request.folder = "";
  const auto path = f.Obtain();
  REQUIRE_MESSAGE(path.ok(), path.status().message());
  CHECK(*path == f.dir / "models/g.pb");
}

}  // namespace
}  // namespace couplet
