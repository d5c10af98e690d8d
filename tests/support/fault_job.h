// A small job of retrain to disturb (tests/support/faults/shim.cc), and what must hold afterwards.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "tests/support/test.h"

namespace couplet::test {

// Why nothing can be preloaded into the programs of this build, "" where it can.
std::string NoFaults();

struct Disturbed {
  ProcessResult process;
  long calls = 0;        // that were counted
  long descriptors = 0;  // open when main() returned, more than when it began
  long blocks = 0;       // of memory, likewise
  std::string at;        // the call that was disturbed; "" when there were not so many
  bool returned = false; // main() did
};

struct FaultJobOptions {
  std::vector<std::string> flags = {};  // after the job's own, which they replace
  int photos_per_label = 8;
  std::string program = ProgramPath("retrain");
  std::vector<std::string> env = {};
};

class FaultJob {
 public:
  // Makes the photos and runs once undisturbed, which tells the bytes that every run must end with.
  explicit FaultJob(FaultJobOptions options = {});

  // Everything as before the first run, but for a graph and labels from some time ago.
  void Reset();
  // `fault`: COUPLET_FAULTS, "" for none.
  Disturbed Run(const std::string& fault, const std::vector<std::string>& more = {}, const std::vector<std::string>& env = {});
  // Another program, in the job's folder.
  Disturbed RunOther(const std::vector<std::string>& argv, const std::string& fault, const std::vector<std::string>& env = {});
  std::vector<std::string> Command(const std::vector<std::string>& more = {}) const;

  // "" or what is wrong: graph and labels are the old or the new ones, whole.
  std::string OldOrNew() const;
  // OldOrNew, and with no file beside them that nobody asked for.
  std::string OldOrNewAndClean() const;
  // Runs again undisturbed: "" or what is wrong with how it ends, its bytes or its store.
  std::string Again(const std::vector<std::string>& more = {});
  bool IsNew() const;

  std::string path(const std::string& name) const { return dir_ / name; }
  const std::string& graph() const { return graph_; }

 private:
  TempDir dir_;
  const FaultJobOptions options_;
  std::string graph_, labels_;  // of the undisturbed run
};

}  // namespace couplet::test
