// Counting what was tried against Couplet, for docs/reliability.md (tests/reliability/reliability.py has the format).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <string>
#include <vector>

namespace couplet::test {

// Whether a test is to do all of its work, which takes minutes (COUPLET_WHOLE=1: make check-faults), not the small part
// that belongs to the suite.
bool Whole();

// Assertions that have failed in this process so far, in whatever thread (tests/main.cc).
std::atomic<int>& FailedAsserts();

// One topic's count. A finding is said at once and fails the running test, and an assertion that fails meanwhile is one; so does, where the whole was asked for, a count
// below what is required, and then the count goes to build/reliability/.
class Count {
 public:
  Count(std::string topic, int required) : topic_(std::move(topic)), required_(required) {}
  ~Count();
  Count(const Count&) = delete;
  Count& operator=(const Count&) = delete;
  void Done(int more = 1) { done_ += more; }
  void Finding(const std::string& what);
  void Note(const std::string& notes) { notes_ = notes; }
  int done() const { return done_; }

 private:
  const std::string topic_;
  const int required_, failed_before_ = FailedAsserts();
  int done_ = 0, findings_ = 0;
  std::string notes_;
};

}  // namespace couplet::test
