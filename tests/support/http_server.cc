// SPDX-License-Identifier: Apache-2.0
#include "tests/support/http_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <sstream>
#include <utility>

namespace couplet::test {

HttpServer::HttpServer(std::function<HttpReply(const HttpRequest&)> handler) : handler_(std::move(handler)) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener_, 8) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0 || pipe2(wake_, O_CLOEXEC) != 0)
    std::abort();
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { Serve(); });
}

HttpServer::~HttpServer() {
  close(wake_[1]);
  thread_.join();
  close(wake_[0]);
  close(listener_);
}

std::string HttpServer::Url(const std::string& path) const {
  return "http://127.0.0.1:" + std::to_string(port_) + path;
}

std::vector<HttpRequest> HttpServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void HttpServer::Serve() {
  for (;;) {
    std::array<pollfd, 2> polled = {pollfd{listener_, POLLIN, 0}, pollfd{wake_[0], POLLIN, 0}};
    if (poll(polled.data(), polled.size(), -1) < 0) continue;
    if (polled[1].revents != 0) return;
    const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) continue;
    Answer(connection);
    close(connection);
  }
}

void HttpServer::Answer(int connection) {
  std::string head;
  std::array<char, 4096> chunk;
  while (head.find("\r\n\r\n") == std::string::npos) {
    const ssize_t got = recv(connection, chunk.data(), chunk.size(), 0);
    if (got <= 0) return;
    head.append(chunk.data(), static_cast<size_t>(got));
  }
  HttpRequest request;
  std::istringstream lines(head);
  std::string line, verb;
  std::getline(lines, line);
  std::istringstream(line) >> verb >> request.path;
  while (std::getline(lines, line)) {
    const size_t colon = line.find(": ");
    if (colon == std::string::npos) continue;
    std::string name = line.substr(0, colon);
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    request.headers[name] = line.substr(colon + 2, line.find('\r') - colon - 2);
  }
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(request);
  }
  const HttpReply reply = handler_(request);
  std::string answer = "HTTP/1.1 " + std::to_string(reply.status) + " x\r\nConnection: close\r\nContent-Length: " +
                       std::to_string(reply.body.size()) + "\r\n";
  for (const auto& header : reply.headers) answer += header + "\r\n";
  answer += "\r\n" + reply.body.substr(0, std::min(reply.cut_after, reply.body.size()));
  for (size_t sent = 0; sent < answer.size();) {
    const ssize_t got = send(connection, answer.data() + sent, answer.size() - sent, MSG_NOSIGNAL);
    if (got <= 0) return;
    sent += static_cast<size_t>(got);
  }
  // Silence, until the test or the client ends it.
  std::array<pollfd, 2> polled = {pollfd{wake_[0], POLLIN, 0}, pollfd{connection, POLLIN | POLLRDHUP, 0}};
  if (reply.stall_ms > 0) poll(polled.data(), polled.size(), reply.stall_ms);
}

}  // namespace couplet::test
