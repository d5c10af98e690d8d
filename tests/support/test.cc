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

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <utility>

extern char** environ;

namespace couplet::test {

namespace fs = std::filesystem;

bool Sanitized() {
#if defined(__SANITIZE_ADDRESS__)
  return true;
#else
  return false;
#endif
}

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

// Not fork: it would copy the page tables of a large program, a sanitizer's shadow with them, for each that is run. < 0: there is
// no such program.
pid_t Spawn(std::vector<std::string> argv, const std::vector<std::string>& env, const std::string& cwd, int out, int err) {
  if (!cwd.empty()) {  // posix_spawn can change folders from glibc 2.29 on. What disturbs the program does not disturb env
    std::vector<std::string> front = {"env", "-C", cwd};
    front.insert(front.end(), env.begin(), env.end());
    argv.insert(argv.begin(), front.begin(), front.end());
  }
  std::vector<char*> args, variables;
  for (const std::string& arg : argv) args.push_back(const_cast<char*>(arg.c_str()));
  args.push_back(nullptr);
  // One of a name: of those given the last.
  std::vector<std::string_view> names;
  const auto add = [&](const char* entry) {
    const std::string_view name(entry, std::strcspn(entry, "="));
    if (std::ranges::find(names, name) != names.end()) return;
    names.push_back(name);
    variables.push_back(const_cast<char*>(entry));
  };
  for (auto entry = env.rbegin(); cwd.empty() && entry != env.rend(); ++entry) add(entry->c_str());
  for (char** old = environ; *old != nullptr; ++old) add(*old);
  variables.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out, 1);
  posix_spawn_file_actions_adddup2(&actions, err, 2);
  pid_t child = -1;
  const int error = posix_spawnp(&child, args[0], &actions, nullptr, args.data(), variables.data());
  posix_spawn_file_actions_destroy(&actions);
  return error == 0 ? child : -1;
}
}  // namespace

ProcessResult RunProcess(const std::vector<std::string>& given, const std::vector<std::string>& env, int timeout_s,
                         const std::string& cwd) {
  const std::vector<std::string> argv = WithEmulator(given);
  if (Emulated()) timeout_s *= kEmulatorSlowness;
  std::array<std::array<int, 2>, 2> pipes;
  for (auto& p : pipes)
    if (pipe2(p.data(), O_CLOEXEC) != 0) std::abort();
  const pid_t child = Spawn(argv, env, cwd, pipes[0][1], pipes[1][1]);
  for (auto& p : pipes) close(p[1]);
  ProcessResult result;
  if (child < 0) {  // as a shell says it
    for (auto& p : pipes) close(p[0]);
    result.code = 127;
    return result;
  }
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
