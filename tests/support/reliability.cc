// SPDX-License-Identifier: Apache-2.0
#include "tests/support/reliability.h"

#include <cstdlib>

#include "tests/support/test.h"

namespace couplet::test {

bool Whole() { return std::getenv("COUPLET_WHOLE") != nullptr; }

Count::~Count() {
  if (!Whole()) return;
  findings_ += FailedAsserts() - failed_before_;
  const ProcessResult run = RunProcess(
      {"python3", "tests/reliability/reliability.py", "count", topic_, "--required=" + std::to_string(required_),
       "--done=" + std::to_string(done_), "--open=" + std::to_string(findings_), "--command=make check-faults", "--notes=" + notes_});
  std::fputs(run.out.c_str(), stdout);
  CHECK_MESSAGE(run.code == 0, run.out, run.err);
}

void Count::Finding(const std::string& what) {
  ++findings_;
  FAIL_CHECK(topic_ << ": " << what);
}

}  // namespace couplet::test
