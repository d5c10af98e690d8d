// Runs every test case, in several processes with --jobs=N, and closes with what kernels were run and the plain line
// "N passed, N failed, N skipped".
// SPDX-License-Identifier: Apache-2.0
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/device_memory.h"
#include "tests/support/reliability.h"
#include "tests/support/test.h"

namespace {

struct Tally {
  int passed = 0, failed = 0;
  std::vector<std::pair<std::string, std::string>> skipped;  // name, reason
};
Tally& tally() {
  static Tally instance;
  return instance;
}

// The test cases a process takes: the next that no other process has. doctest decides on each case when it comes to
// it, so marking all but the one taken as skipped leaves just that one; both go through them in the same order.
class Taker {
 public:
  // Before the first case of a run. `next` lies in memory that the processes share.
  void Begin(std::atomic<size_t>* next) {
    next_ = next;
    // Skipped or not is no part of the set's order.
    for (const auto& test : doctest::detail::getRegisteredTests())
      if (!test.m_skip) cases_.push_back(const_cast<doctest::detail::TestCase*>(&test));
    for (auto* test : cases_) test->m_skip = true;
    Take();
  }
  // After a case was run, or passed over because of the command line's filters.
  void Ended(const doctest::TestCaseData* data) {
    if (next_ != nullptr && taken_ == data) Take();
  }

 private:
  void Take() {
    const size_t number = (*next_)++;
    taken_ = number < cases_.size() ? cases_[number] : nullptr;
    if (taken_ != nullptr) cases_[number]->m_skip = false;
  }

  std::atomic<size_t>* next_ = nullptr;
  std::vector<doctest::detail::TestCase*> cases_;
  const doctest::TestCaseData* taken_ = nullptr;
};
Taker& taker() {
  static Taker instance;
  return instance;
}

const doctest::TestCaseData* running = nullptr;
bool skipped_now = false;

// Counts cases beside doctest's own console output.
struct Counter : doctest::IReporter {
  explicit Counter(const doctest::ContextOptions&) {}
  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats&) override {}
  void test_case_start(const doctest::TestCaseData& data) override {
    running = &data;
    skipped_now = false;
  }
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats& stats) override {
    if (stats.failure_flags != 0)
      ++tally().failed;
    else if (!skipped_now)
      ++tally().passed;
    taker().Ended(running);
  }
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData& data) override {
    if (data.m_failed) ++couplet::test::FailedAsserts();
  }
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData& data) override { taker().Ended(&data); }
};
REGISTER_LISTENER("counter", 1, Counter);

// A process that runs tests: what it says and what it counted come back in files that have no name.
struct Worker {
  pid_t pid = -1;
  std::FILE* said = nullptr;
  std::FILE* counted = nullptr;
};

void WriteTally(std::FILE* file) {
  std::fprintf(file, "counts\t%d\t%d\n", tally().passed, tally().failed);
  for (const auto& [name, reason] : tally().skipped) std::fprintf(file, "skip\t%s\t%s\n", name.c_str(), reason.c_str());
  for (const auto& [name, count] : couplet::test::KernelCases()) std::fprintf(file, "kernel\t%s\t%d\n", name.c_str(), count);
  std::fflush(file);
}

std::vector<std::vector<std::string>> Rows(std::FILE* file) {
  std::rewind(file);
  std::vector<std::vector<std::string>> rows(1, std::vector<std::string>(1));
  for (int c; (c = std::getc(file)) != EOF;) {
    if (c == '\n')
      rows.emplace_back(1);
    else if (c == '\t')
      rows.back().emplace_back();
    else
      rows.back().back().push_back(static_cast<char>(c));
  }
  rows.pop_back();
  return rows;
}

// Adds a finished worker's tally to ours. One that died, or ended badly without a failed case (a leak, say), is a failure.
void Collect(const Worker& worker, int status) {
  std::rewind(worker.said);
  for (int c; (c = std::getc(worker.said)) != EOF;) std::putchar(c);
  int failed = -1;  // it never came to count
  for (const auto& row : Rows(worker.counted)) {
    if (row[0] == "counts") {
      tally().passed += std::atoi(row[1].c_str());
      failed = std::atoi(row[2].c_str());
    } else if (row[0] == "skip") {
      tally().skipped.emplace_back(row[1], row[2]);
    } else {
      couplet::test::KernelCases()[row[1]] += std::atoi(row[2].c_str());
    }
  }
  if (failed < 0 || (status != 0 && failed == 0)) {
    std::printf("a test process ended with status %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    failed = 1;
  }
  tally().failed += failed;
}

Worker StartWorker(doctest::Context& context, std::atomic<size_t>* next) {
  Worker worker{-1, std::tmpfile(), std::tmpfile()};
  if (worker.said == nullptr || worker.counted == nullptr) std::abort();
  std::fflush(nullptr);
  worker.pid = fork();
  if (worker.pid != 0) return worker;
  dup2(fileno(worker.said), STDOUT_FILENO);
  dup2(fileno(worker.said), STDERR_FILENO);
  tally() = {};  // what the parent noted is the parent's
  taker().Begin(next);
  const int code = context.run();
  WriteTally(worker.counted);
  std::exit(code);
}

int RunInProcesses(doctest::Context& context, int jobs) {
  void* shared = mmap(nullptr, sizeof(std::atomic<size_t>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) std::abort();
  auto* next = new (shared) std::atomic<size_t>(0);
  context.setOption("order-by", "none");  // the order in which Taker goes through them
  std::vector<Worker> workers;
  for (int i = 0; i < jobs; ++i) workers.push_back(StartWorker(context, next));
  for (const Worker& worker : workers) {
    int status = 0;
    if (worker.pid < 0 || waitpid(worker.pid, &status, 0) != worker.pid) status = 1;
    Collect(worker, status);
  }
  return tally().failed == 0 ? 0 : 1;
}

// Takes --jobs=N out of the arguments.
int Jobs(int& argc, char** argv) {
  int jobs = 1;
  char** end = std::remove_if(argv + 1, argv + argc, [&jobs](const char* argument) {
    if (std::strncmp(argument, "--jobs=", 7) != 0) return false;
    jobs = std::max(std::atoi(argument + 7), 1);
    return true;
  });
  argc = static_cast<int>(end - argv);
  return jobs;
}

}  // namespace

namespace couplet::test {
std::atomic<int>& FailedAsserts() {
  static std::atomic<int> count = 0;
  return count;
}

void NoteSkip(const std::string& reason) {
  skipped_now = true;
  tally().skipped.emplace_back(running->m_name, reason);
}
}  // namespace couplet::test

int main(int argc, char** argv) {
  const int jobs = Jobs(argc, argv);
  doctest::Context context(argc, argv);
  if (const std::string reason = couplet::test::DeviceLacking(); !reason.empty()) {
    for (const auto& test : doctest::detail::getRegisteredTests())
      tally().skipped.emplace_back(test.m_name, reason);
    context.setOption("no-run", true);
  }
  const int code = jobs > 1 ? RunInProcesses(context, jobs) : context.run();
  if (context.shouldExit()) return code;
  for (const auto& [name, reason] : tally().skipped) std::printf("skipped: %s: %s\n", name.c_str(), reason.c_str());
  const std::string kernels = couplet::test::KernelCounts();
  if (!kernels.empty()) std::printf("%s\n", kernels.c_str());
  std::printf("%d passed, %d failed, %zu skipped\n", tally().passed, tally().failed, tally().skipped.size());
  return code;
}
