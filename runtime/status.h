// Errors as values. A user's mistake (a bad file, a bad flag) is a Status with one line that names the file or node,
// the reason and the way out; a programmer's mistake aborts (COUPLET_CHECK).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <variant>

namespace couplet {

// The numbers are the programs' exit codes, but for kOutOfMemory.
enum class Code {
  kOk = 0,
  kInternal = 1,  // a bug in Couplet
  kBadInput = 2,  // usage, or a file that is not what it should be
  kDevice = 3,    // environment or device
  kIo = 4,        // the disk or the network refused
  kDiverged = 5,  // training left the finite numbers
  // The device's memory (or pinned memory) does not suffice; a smaller batch may do. As kDevice to a user.
  kOutOfMemory = 6,
  kInterrupted = 130,
  kTerminated = 143,
};

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}
  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  int exit_code() const { return static_cast<int>(code_ == Code::kOutOfMemory ? Code::kDevice : code_); }
  const std::string& message() const { return message_; }

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

inline Status BadInput(std::string message) { return {Code::kBadInput, std::move(message)}; }
inline Status IoError(std::string message) { return {Code::kIo, std::move(message)}; }
inline Status DeviceError(std::string message) { return {Code::kDevice, std::move(message)}; }
inline Status OutOfMemory(std::string message) { return {Code::kOutOfMemory, std::move(message)}; }
inline Status Internal(std::string message) { return {Code::kInternal, std::move(message)}; }

// A value or the Status that says why there is none.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : held_(std::move(value)) {}           // NOLINT: implicit on purpose
  Result(Status status) : held_(std::move(status)) {}    // NOLINT
  bool ok() const { return std::holds_alternative<T>(held_); }
  // REQUIRES: ok()
  T& value() & { return std::get<T>(held_); }
  const T& value() const& { return std::get<T>(held_); }
  T&& value() && { return std::get<T>(std::move(held_)); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  Status status() const { return ok() ? Status() : std::get<Status>(held_); }

 private:
  std::variant<T, Status> held_;
};

}  // namespace couplet

#define COUPLET_CONCAT_(a, b) a##b
#define COUPLET_CONCAT(a, b) COUPLET_CONCAT_(a, b)

// Leaves the function with the Status when `expr` is not ok.
#define COUPLET_RETURN_IF_ERROR(expr)                          \
  do {                                                         \
    if (::couplet::Status status_ = (expr); !status_.ok()) return status_; \
  } while (false)

// COUPLET_ASSIGN_OR_RETURN(auto x, F()): x is F()'s value, or the function returns F()'s Status.
#define COUPLET_ASSIGN_OR_RETURN(lhs, expr)                                \
  auto COUPLET_CONCAT(result_, __LINE__) = (expr);                         \
  if (!COUPLET_CONCAT(result_, __LINE__).ok()) return COUPLET_CONCAT(result_, __LINE__).status(); \
  lhs = std::move(COUPLET_CONCAT(result_, __LINE__)).value()

// For what only a bug can break; stays on in release builds.
#define COUPLET_CHECK(condition)                                                              \
  do {                                                                                        \
    if (!(condition)) {                                                                       \
      std::fprintf(stderr, "couplet: internal error: %s:%d: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                           \
    }                                                                                         \
  } while (false)
