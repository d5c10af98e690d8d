// A web server on a loopback port that answers as a test tells it to, badly too.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace couplet::test {

struct HttpRequest {
  std::string path;                            // "/x.tgz"
  std::map<std::string, std::string> headers;  // names in lower case
};

struct HttpReply {
  int status = 200;
  std::vector<std::string> headers = {};  // "ETag: \"1\""; Content-Length is added
  std::string body = {};
  size_t cut_after = std::string::npos;  // bytes of the body that are sent before the line is cut
  int stall_ms = 0;                      // silence before the cut
};

// Answers each request in turn on its own thread. The handler runs there; what it shares with the test is its to lock.
class HttpServer {
 public:
  explicit HttpServer(std::function<HttpReply(const HttpRequest&)> handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::string Url(const std::string& path) const;  // "http://127.0.0.1:4711" + path
  std::vector<HttpRequest> requests() const;       // so far

 private:
  void Serve();
  void Answer(int connection);

  std::function<HttpReply(const HttpRequest&)> handler_;
  int listener_ = -1;
  int port_ = 0;
  int wake_[2] = {-1, -1};  // a pipe: closed to end the thread
  mutable std::mutex mutex_;
  std::vector<HttpRequest> requests_;
  std::thread thread_;
};

}  // namespace couplet::test
