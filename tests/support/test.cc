// SPDX-License-Identifier: Apache-2.0
#include "tests/support/test.h"

#include "tests/support/emulator.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <utility>

extern char** environ;

namespace couplet::test {

namespace fs = std::filesystem;

std::string SharedDir() {
  const char* named = std::getenv("COUPLET_DATA");
  const std::string dir = named != nullptr ? named : "../shared";
  return fs::is_directory(dir + "/models") ? dir : "";
}

namespace {
// QEMU takes ten times as long, a busy machine more.
constexpr int kEmulatorSlowness = 40;

// Folder of the test program: build/tests, build/asan/tests.
std::string TestsDir() { return fs::read_symlink("/proc/self/exe").parent_path().string(); }
}  // namespace

std::string Noise(size_t bytes) {
  std::minstd_rand random(1);
  std::string noise(bytes, '\0');
  for (char& c : noise) c = static_cast<char>(random() >> 16);
  return noise;
}

std::string FileContents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  CHECK_MESSAGE(file.is_open(), path);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return std::move(bytes).str();
}

TempDir::TempDir() {
  path_ = TestsDir() + "/tmp.XXXXXX";
  if (mkdtemp(path_.data()) == nullptr) std::abort();
}
TempDir::~TempDir() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string ProgramPath(const std::string& name) {
  return (fs::path(TestsDir()).parent_path() / name).string();
}

namespace {
// Programs of this build need the emulator that the tests run in; what belongs to the machine, sh for one, does not.
std::vector<std::string> WithEmulator(std::vector<std::string> argv) {
  if (Emulated() && fs::path(argv[0]).lexically_normal().string().starts_with(fs::path(TestsDir()).parent_path().string() + "/"))
    argv.insert(argv.begin(), std::getenv("COUPLET_EMULATOR"));
  return argv;
}
}  // namespace

ProcessResult RunProcess(const std::vector<std::string>& given, const std::vector<std::string>& env, int timeout_s,
                         const std::string& cwd) {
  const std::vector<std::string> argv = WithEmulator(given);
  if (Emulated()) timeout_s *= kEmulatorSlowness;
  std::array<std::array<int, 2>, 2> pipes;
  for (auto& p : pipes)
    if (pipe2(p.data(), O_CLOEXEC) != 0) std::abort();
  const pid_t child = fork();
  if (child < 0) std::abort();
  if (child == 0) {
    if (!cwd.empty() && chdir(cwd.c_str()) != 0) _exit(127);
    const int null = open("/dev/null", O_RDONLY);
    dup2(null, 0);
    dup2(pipes[0][1], 1);
    dup2(pipes[1][1], 2);
    for (const auto& entry : env) putenv(const_cast<char*>(entry.c_str()));
    std::vector<char*> args;
    for (const auto& arg : argv) args.push_back(const_cast<char*>(arg.c_str()));
    args.push_back(nullptr);
    execvp(args[0], args.data());
    _exit(127);
  }
  for (auto& p : pipes) close(p[1]);
  ProcessResult result;
  std::array<std::string*, 2> sinks = {&result.out, &result.err};
  std::array<bool, 2> is_open = {true, true};
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(timeout_s);
  while (is_open[0] || is_open[1]) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) {
      kill(child, SIGKILL);
      break;
    }
    std::array<pollfd, 2> polled = {pollfd{is_open[0] ? pipes[0][0] : -1, POLLIN, 0},
                                    pollfd{is_open[1] ? pipes[1][0] : -1, POLLIN, 0}};
    if (poll(polled.data(), 2, static_cast<int>(left.count())) <= 0) continue;
    for (int i = 0; i < 2; ++i) {
      if (polled[i].revents == 0) continue;
      std::array<char, 65536> chunk;
      const ssize_t got = read(pipes[i][0], chunk.data(), chunk.size());
      if (got <= 0)
        is_open[i] = false;
      else
        sinks[i]->append(chunk.data(), static_cast<size_t>(got));
    }
  }
  for (auto& p : pipes) close(p[0]);
  int status = 0;
  rusage usage{};
  wait4(child, &status, 0, &usage);
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.peak_rss_kib = usage.ru_maxrss;
  return result;
}

}  // namespace couplet::test
