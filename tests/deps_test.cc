// make deps, with stand-ins for dpkg-query, apt-get, sudo and id that write down how they were called.
// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "loaders/files.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

// A machine on which only `installed` is there, run by root or not, with or without sudo.
struct Machine {
  explicit Machine(const std::string& installed, const std::string& uid = "0") {
    Program("dpkg-query", "for p in " + installed + "; do echo \"ii  $p\"; done\necho 'un  half'\nexit 1");
    Program("apt-get", "echo \"apt-get $*\" >> '" + log() + "'\n[ ! -e '" + folder() + "/refuse' ]");
    Program("id", "echo " + uid);
  }
  void Program(const std::string& name, const std::string& body) {
    std::ofstream(bin / name) << "#!/bin/sh\n" << body << "\n";
    chmod((bin / name).c_str(), 0755);
  }
  test::ProcessResult Deps(const std::string& packages) {
    // Only the tools named here exist: no real apt-get is in reach.
    const std::string link = "for t in sh sed grep env; do ln -sf \"$(command -v $t)\" '" + folder() + "'/$t; done; ";
    return test::RunProcess({"sh", "-c", link + "PATH='" + folder() + "' sh .ci/install-packages " + packages});
  }
  std::string folder() const { return std::filesystem::absolute(bin.path()).string(); }
  std::string log() const { return folder() + "/log"; }
  std::string calls() const { return FileExists(log()) ? test::FileContents(log()) : ""; }
  test::TempDir bin;
};

TEST_CASE("deps: nothing is missing: no word, no apt-get") {
  Machine machine("make g++ libjpeg-dev");
  const auto result = machine.Deps("g++ make libjpeg-dev");
  CHECK(result.code == 0);
  CHECK(result.out + result.err == "");
  CHECK(machine.calls() == "");
}

TEST_CASE("deps: just what is missing is installed, without recommendations and without an update") {
  Machine machine("make libjpeg-dev-extra");
  const auto result = machine.Deps("make half libjpeg-dev");
  CHECK(result.code == 0);
  CHECK_HAS(result.out, "deps: installing half libjpeg-dev");
  CHECK(machine.calls() ==
        "apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends half libjpeg-dev\n");
}

TEST_CASE("deps: an install that fails is tried again after an update, then given up with what to do") {
  Machine machine("make");
  std::ofstream(machine.folder() + "/refuse") << "";
  const auto result = machine.Deps("make g++");
  CHECK(result.code == 3);
  CHECK_HAS(machine.calls(), "install -y -q --no-install-recommends g++\napt-get -o DPkg::Lock::Timeout=300 update");
  CHECK_HAS(result.err, "install by hand what is missing: apt-get install -y --no-install-recommends g++");
}

TEST_CASE("deps: as another user it is sudo's, or the line to type") {
  Machine machine("make", "1000");
  auto result = machine.Deps("make g++");
  CHECK(result.code == 3);
  CHECK_HAS(result.err, "this is not root and there is no sudo; install by hand");
  CHECK(machine.calls() == "");
  machine.Program("sudo", "echo \"sudo\" >> '" + machine.log() + "'\nexec \"$@\"");
  result = machine.Deps("make g++");
  CHECK(result.code == 0);
  CHECK_HAS(machine.calls(), "sudo\napt-get");
}

TEST_CASE("deps: without dpkg it says what a build needs and goes on") {
  Machine machine("make");
  std::filesystem::remove(machine.bin / "dpkg-query");
  const auto result = machine.Deps("make g++");
  CHECK(result.code == 0);
  CHECK_HAS(result.out, "no dpkg here");
  CHECK_HAS(result.out, "make g++");
}

}  // namespace
}  // namespace couplet
