// SPDX-License-Identifier: Apache-2.0
#include "loaders/download.h"

#include <atomic>
#include <fstream>
#include <string>
#include <thread>
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
using test::Noise;

std::string Sha256Of(const std::string& text) { return ToHex(Sha256(std::as_bytes(std::span(text)))); }

void Ignore(const std::string&, bool) {}

DownloadRequest Request(const HttpServer& server, const test::TempDir& dir) {
  return {.url = server.Url("/x.tgz"), .path = dir / "x.tgz", .sha256 = "", .stall_seconds = 2, .retry_pause_ms = 1,
          .interrupted = nullptr};
}

// Gives the rest of `body` when asked to, as servers do: only while the tag is still the same.
HttpReply ServeRange(const HttpRequest& request, const std::string& body, const std::string& etag) {
  const auto range = request.headers.find("range");
  const auto condition = request.headers.find("if-range");
  if (range == request.headers.end() || (condition != request.headers.end() && condition->second != etag))
    return {.status = 200, .headers = {"ETag: " + etag}, .body = body};
  const size_t from = std::stoul(range->second.substr(6));
  if (from >= body.size()) return {.status = 416};
  return {.status = 206,
          .headers = {"ETag: " + etag, "Content-Range: bytes " + std::to_string(from) + "-" +
                                           std::to_string(body.size() - 1) + "/" + std::to_string(body.size())},
          .body = body.substr(from)};
}

TEST_CASE("download: a file comes whole, with its lines, and leaves nothing beside it [threads]") {
  const test::TempDir dir;
  const std::string body = Noise(3'000'000);
  const HttpServer server([&](const HttpRequest&) { return HttpReply{.body = body}; });
  std::vector<std::string> lines;
  auto request = Request(server, dir);
  request.sha256 = Sha256Of(body);
  const Status status = Download(request, [&](const std::string& line, bool transient) {
    if (!transient) lines.push_back(line);
  });
  REQUIRE_MESSAGE(status.ok(), status.message());
  CHECK(FileContents(request.path) == body);
  CHECK(ListDirectory(dir.path())->size() == 1);
  CHECK(lines == std::vector<std::string>{"Downloaded x.tgz: 3.0 MB"});
  CHECK(server.requests().size() == 1);
  CHECK(server.requests()[0].headers.count("range") == 0);
}

TEST_CASE("download: a transfer that breaks off goes on where it stopped [threads]") {
  const test::TempDir dir;
  const std::string body = Noise(1'000'000);
  std::atomic<int> asked = 0;
  const HttpServer server([&](const HttpRequest& request) {
    HttpReply reply = ServeRange(request, body, "\"one\"");
    if (asked++ == 0) reply.cut_after = 400'000;
    return reply;
  });
  const auto request = Request(server, dir);
  const Status status = Download(request, Ignore);
  REQUIRE_MESSAGE(status.ok(), status.message());
  CHECK(FileContents(request.path) == body);
  const auto requests = server.requests();
  REQUIRE(requests.size() == 2);
  CHECK(requests[1].headers.at("range") == "bytes=400000-");
  CHECK(requests[1].headers.at("if-range") == "\"one\"");
  CHECK(ListDirectory(dir.path())->size() == 1);
}

TEST_CASE("download: the next run goes on, unless the file has changed [threads]") {
  for (const bool has_changed : {false, true}) {
    CAPTURE(has_changed);
    const test::TempDir dir;
    const std::string first = Noise(500'000), second = first + "more";
    std::atomic<bool> is_up = false;
    const HttpServer server([&](const HttpRequest& request) {
      HttpReply reply = has_changed && is_up ? ServeRange(request, second, "\"two\"")
                                             : ServeRange(request, first, "\"one\"");
      if (!is_up) reply.cut_after = request.headers.count("range") != 0 ? 0 : 200'000;
      return reply;
    });
    const auto request = Request(server, dir);
    const Status broken = Download(request, Ignore);
    CHECK(broken.code() == Code::kIo);
    CHECK_HAS(broken.message(), server.Url("/x.tgz"));
    CHECK(!FileExists(request.path));
    CHECK(FileContents(request.path + ".part").size() == 200'000);
    is_up = true;
    const Status status = Download(request, Ignore);
    REQUIRE_MESSAGE(status.ok(), status.message());
    CHECK(FileContents(request.path) == (has_changed ? second : first));
    CHECK(server.requests().back().headers.at("range") == "bytes=200000-");
  }
}

TEST_CASE("download: a part of another address is not gone on with [threads]") {
  const test::TempDir dir;
  const std::string body = Noise(1000);
  const HttpServer server([&](const HttpRequest& request) { return ServeRange(request, body, "\"one\""); });
  std::ofstream(dir / "x.tgz.part") << "of another file";
  std::ofstream(dir / "x.tgz.part.etag") << "https://example.org/x.tgz\n\"one\"";
  const auto request = Request(server, dir);
  const Status status = Download(request, Ignore);
  REQUIRE_MESSAGE(status.ok(), status.message());
  CHECK(FileContents(request.path) == body);
  CHECK(server.requests()[0].headers.count("range") == 0);
}

TEST_CASE("download: halves that do not make the known file are fetched anew, once [threads]") {
  const test::TempDir dir;
  const std::string body = Noise(100'000);
  const HttpServer server([&](const HttpRequest& request) { return ServeRange(request, body, "\"one\""); });
  auto request = Request(server, dir);
  request.sha256 = Sha256Of(body);
  std::ofstream(request.path + ".part") << "a wrong beginning";
  const Status status = Download(request, Ignore);
  REQUIRE_MESSAGE(status.ok(), status.message());
  CHECK(FileContents(request.path) == body);
  REQUIRE(server.requests().size() == 2);
  CHECK(server.requests()[0].headers.at("range") == "bytes=17-");
  CHECK(server.requests()[1].headers.count("range") == 0);
}

TEST_CASE("download: a part longer than the file, and a server that resumes elsewhere [threads]") {
  const test::TempDir dir;
  const std::string body = Noise(1000);
  std::atomic<bool> is_honest = true;
  const HttpServer server([&](const HttpRequest& request) {
    HttpReply reply = ServeRange(request, body, "\"one\"");
    if (!is_honest && reply.status == 206) reply.headers[1] = "Content-Range: bytes 3-999/1000";
    return reply;
  });
  auto request = Request(server, dir);
  request.sha256 = Sha256Of(body);
  for (const size_t length : {size_t{2000}, size_t{10}}) {
    is_honest = length == 2000;
    std::ofstream(request.path + ".part") << Noise(length);
    const Status status = Download(request, Ignore);
    CHECK_MESSAGE(status.ok(), status.message());
    CHECK(FileContents(request.path) == body);
  }
}

TEST_CASE("download: another hash than the known one is thrown away [threads]") {
  const test::TempDir dir;
  const HttpServer server([](const HttpRequest&) { return HttpReply{.body = "something else"}; });
  auto request = Request(server, dir);
  request.sha256 = Sha256Of("what was wanted");
  const Status status = Download(request, Ignore);
  CHECK(status.code() == Code::kIo);
  CHECK_HAS(status.message(), ("has SHA-256 " + Sha256Of("something else")));
  CHECK_HAS(status.message(), request.sha256);
  CHECK(ListDirectory(dir.path())->empty());
  CHECK(server.requests().size() == 1);
}

TEST_CASE("download: 404 is final, 503 is tried three times [threads]") {
  const test::TempDir dir;
  for (const int code : {404, 503}) {
    CAPTURE(code);
    const HttpServer server([&](const HttpRequest&) { return HttpReply{.status = code, .body = "no"}; });
    const Status status = Download(Request(server, dir), Ignore);
    CHECK(status.code() == Code::kIo);
    CHECK_HAS(status.message(), std::to_string(code));
    CHECK(server.requests().size() == (code == 404 ? 1 : 3));
    CHECK(ListDirectory(dir.path())->empty());
  }
}

TEST_CASE("download: five redirects are followed, a loop is not [threads]") {
  const test::TempDir dir;
  const HttpServer server([](const HttpRequest& request) -> HttpReply {
    if (request.path == "/loop") return {.status = 302, .headers = {"Location: /loop"}, .body = "moved"};
    const int left = request.path[1] - '0';
    if (left == 0) return {.body = "here"};
    return {.status = 302, .headers = {"Location: /" + std::to_string(left - 1)}, .body = "moved"};
  });
  auto request = Request(server, dir);
  request.url = server.Url("/5");
  Status status = Download(request, Ignore);
  REQUIRE_MESSAGE(status.ok(), status.message());
  CHECK(FileContents(request.path) == "here");
  for (const std::string path : {"/6", "/loop"}) {
    CAPTURE(path);
    request.url = server.Url(path);
    status = Download(request, Ignore);
    CHECK(status.code() == Code::kIo);
    CHECK_HAS(status.message(), "redirected more than 5 times");
  }
  CHECK(server.requests().size() == 18);
}

TEST_CASE("download: plain http and other schemes, also behind a redirect [threads]") {
  const test::TempDir dir;
  auto refused = [&](const std::string& url, const std::string& reason) {
    CAPTURE(url);
    const Status status = Download({.url = url, .path = dir / "x", .sha256 = "", .interrupted = nullptr}, Ignore);
    CHECK(status.code() == Code::kIo);
    CHECK_HAS(status.message(), reason);
  };
  refused("http://example.invalid/x", "plain http is not asked");
  refused("http://127.0.0.1.example.invalid/x", "plain http is not asked");
  refused("http://127.0.0.1@example.invalid/x", "plain http is not asked");
  refused("ftp://127.0.0.1/x", "only https and http");
  refused("file:///etc/passwd", "only https and http");
  refused("no address", "only https and http");
  for (const std::string target : {"http://example.invalid/x", "file:///etc/passwd"}) {
    const HttpServer server([&](const HttpRequest&) {
      return HttpReply{.status = 301, .headers = {"Location: " + target}};
    });
    refused(server.Url("/x"), target);
  }
  CHECK(ListDirectory(dir.path())->empty());
  CHECK(IsLoopbackUrl("http://localhost:80/x"));
  CHECK(IsLoopbackUrl("http://[::1]:8080/x"));
  CHECK(!IsLoopbackUrl("http://localhost.example.org/x"));
}

TEST_CASE("download: size limits, told beforehand and met on the way [threads]") {
  const test::TempDir dir;
  const std::string body = Noise(100'000);
  for (const bool is_told : {true, false}) {
    CAPTURE(is_told);
    const HttpServer server([&](const HttpRequest&) {
      HttpReply reply{.body = body};
      // Two lengths that disagree: libcurl then believes neither and reads to the end of the line.
      if (!is_told) reply.headers = {"Transfer-Encoding: identity"};
      return reply;
    });
    auto request = Request(server, dir);
    request.max_bytes = 50'000;
    const Status status = Download(request, Ignore);
    CHECK(status.code() == Code::kIo);
    CHECK_HAS(status.message(), "larger than");
    CHECK(!FileExists(request.path));
  }
}

TEST_CASE("download: a server that falls silent is given up [threads]") {
  const test::TempDir dir;
  const HttpServer server([](const HttpRequest&) {
    return HttpReply{.body = Noise(100'000), .cut_after = 10, .stall_ms = 60'000};
  });
  auto request = Request(server, dir);
  request.stall_seconds = 1;
  const Status status = Download(request, Ignore);
  CHECK(status.code() == Code::kIo);
  CHECK_HAS(status.message(), "too slow");
}

TEST_CASE("download: a body that says it is compressed is kept as it came, never unpacked [threads]") {
  const test::TempDir dir;
  // 10 MB of nothing, packed: what a client that unpacks on the way would write.
  test::MakeArchive(dir / "bomb", {{test::ArchiveEntry::Kind::kFile, "zeros", std::string(10'000'000, '\0')}});
  const std::string bomb = FileContents(dir / "bomb");
  REQUIRE(bomb.size() < 50'000);
  for (const std::string encoding : {"gzip", "deflate", "br", "gzip, gzip"}) {
    CAPTURE(encoding);
    const HttpServer server([&](const HttpRequest& request) {
      CHECK(request.headers.count("accept-encoding") == 0);
      return HttpReply{.headers = {"Content-Encoding: " + encoding}, .body = bomb};
    });
    auto request = Request(server, dir);
    request.max_bytes = 50'000;
    const Status status = Download(request, Ignore);
    REQUIRE_MESSAGE(status.ok(), status.message());
    CHECK(FileContents(request.path) == bomb);
  }
}

TEST_CASE("download: an answer of no meaning, none at all, and one shorter than it says end well [threads]") {
  const test::TempDir dir;
  const HttpServer server([](const HttpRequest& request) -> HttpReply {
    if (request.path == "/nowhere") return {.status = 302};
    if (request.path == "/short") return {.body = Noise(1000), .cut_after = 500};
    if (request.path == "/refused") return {.status = 403, .body = "a page of text that is no archive"};
    return {.status = 999, .body = "?"};
  });
  for (const std::string path : {"/nowhere", "/short", "/refused", "/999"}) {
    CAPTURE(path);
    auto request = Request(server, dir);
    request.url = server.Url(path);
    const Status status = Download(request, Ignore);
    CHECK(status.code() == Code::kIo);
    CHECK_HAS(status.message(), request.url);
    CHECK(!FileExists(request.path));
  }
}

TEST_CASE("download: an interrupt ends it and keeps what has come [threads]") {
  const test::TempDir dir;
  const HttpServer server([](const HttpRequest& request) {
    HttpReply reply = ServeRange(request, Noise(100'000), "\"one\"");
    reply.cut_after = 50'000;
    reply.stall_ms = 60'000;
    return reply;
  });
  auto request = Request(server, dir);
  std::atomic<bool> is_interrupted = false;
  request.interrupted = [&] { return is_interrupted.load(); };
  request.stall_seconds = 60;
  std::thread user([&] {
    while (!FileExists(request.path + ".part.etag")) std::this_thread::yield();
    is_interrupted = true;
  });
  const Status status = Download(request, Ignore);
  user.join();
  CHECK(status.code() == Code::kInterrupted);
  CHECK(FileExists(request.path + ".part"));
  CHECK(!FileExists(request.path));
}

TEST_CASE("download: two at once bring one file, whole [threads]") {
  const test::TempDir dir;
  const std::string body = Noise(2'000'000);
  const HttpServer server([&](const HttpRequest& request) { return ServeRange(request, body, "\"one\""); });
  auto request = Request(server, dir);
  request.sha256 = Sha256Of(body);
  std::vector<std::thread> runs;
  std::atomic<int> good = 0;
  for (int i = 0; i < 2; ++i) runs.emplace_back([&] { good += Download(request, Ignore).ok() ? 1 : 0; });
  for (auto& run : runs) run.join();
  CHECK(good == 2);
  CHECK(FileContents(request.path) == body);
  CHECK(ListDirectory(dir.path())->size() == 1);
}

TEST_CASE("download: a folder that is not there") {
  const test::TempDir dir;
  const Status status = Download({.url = "http://127.0.0.1:1/x", .path = dir / "none/x", .sha256 = "",
                                  .interrupted = nullptr}, Ignore);
  CHECK(status.code() == Code::kIo);
  CHECK_HAS(status.message(), "none/x.part cannot be written");
}

}  // namespace
}  // namespace couplet
