// Runs every test case and closes with what kernels were run and the plain line "N passed, N failed, N skipped".
// SPDX-License-Identifier: Apache-2.0
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/device_memory.h"
#include "tests/support/test.h"

namespace {

struct Tally {
  std::string running;
  bool skipped_now = false;
  int passed = 0, failed = 0;
  std::vector<std::pair<std::string, std::string>> skipped;  // name, reason
};
Tally& tally() {
  static Tally instance;
  return instance;
}

// Counts cases beside doctest's own console output.
struct Counter : doctest::IReporter {
  explicit Counter(const doctest::ContextOptions&) {}
  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats&) override {}
  void test_case_start(const doctest::TestCaseData& data) override {
    tally().running = data.m_name;
    tally().skipped_now = false;
  }
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats& stats) override {
    if (stats.failure_flags != 0)
      ++tally().failed;
    else if (!tally().skipped_now)
      ++tally().passed;
  }
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}
};
REGISTER_LISTENER("counter", 1, Counter);

}  // namespace

namespace couplet::test {
void NoteSkip(const std::string& reason) {
  tally().skipped_now = true;
  tally().skipped.emplace_back(tally().running, reason);
}
}  // namespace couplet::test

int main(int argc, char** argv) {
  doctest::Context context(argc, argv);
  if (const std::string reason = couplet::test::DeviceLacking(); !reason.empty()) {
    for (const auto& test : doctest::detail::getRegisteredTests())
      tally().skipped.emplace_back(test.m_name, reason);
    context.setOption("no-run", true);
  }
  const int code = context.run();
  if (context.shouldExit()) return code;
  for (const auto& [name, reason] : tally().skipped) std::printf("skipped: %s: %s\n", name.c_str(), reason.c_str());
  const std::string kernels = couplet::test::KernelCounts();
  if (!kernels.empty()) std::printf("%s\n", kernels.c_str());
  std::printf("%d passed, %d failed, %zu skipped\n", tally().passed, tally().failed, tally().skipped.size());
  return code;
}
