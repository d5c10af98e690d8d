// What every test includes: doctest, skipping by name, and where the real graphs and photos are.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace couplet::test {

// Whether what is tested is built with AddressSanitizer (the test itself need not be: SHARED_TESTS in the Makefile). Kernels played on
// the CPU take their time there: it walks the same code with fewer shapes and steps.
bool Sanitized();

// Notes that the running test case was skipped; it is printed and counted at the end.
void NoteSkip(const std::string& reason);

// Folder with the shared graphs and photos ($COUPLET_DATA, else ../shared), "" when there is none.
std::string SharedDir();

// A fresh folder under build/, removed when the object dies.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Bytes that look random and do not compress; the same on every call.
std::string Noise(size_t bytes);
// The whole file; fails the running test when it cannot be read.
std::string FileContents(const std::string& path);

// Runs a program with no shell, waits, and gives what it wrote. `timeout_s` ends it with SIGKILL (code 137).
struct ProcessResult {
  int code = -1;  // exit code, or 128 + signal
  std::string out, err;
  long peak_rss_kib = 0;
};
ProcessResult RunProcess(const std::vector<std::string>& argv, const std::vector<std::string>& env = {},
                         int timeout_s = 120, const std::string& cwd = "");
// Path of a program of this build ("retrain").
std::string ProgramPath(const std::string& name);

}  // namespace couplet::test

// Leaves the test case, counted as skipped.
#define COUPLET_SKIP(reason)            \
  do {                                  \
    ::couplet::test::NoteSkip(reason);  \
    return;                             \
  } while (false)

// Sets `dir` to the shared folder or skips.
#define COUPLET_NEEDS_SHARED(dir)                         \
  const std::string dir = ::couplet::test::SharedDir();   \
  if (dir.empty()) COUPLET_SKIP("needs the shared graphs and photos (COUPLET_DATA or ../shared)")

// Fails with the whole text when `part` is not in it.
#define CHECK_HAS(text, part)                                                          \
  do {                                                                                 \
    const std::string text_ = (text), part_ = (part);                                  \
    CHECK_MESSAGE(text_.find(part_) != std::string::npos, part_, " is not in ", text_); \
  } while (false)
