// SPDX-License-Identifier: Apache-2.0
#include "tests/support/browser.h"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

namespace couplet::test {
namespace {

// As root Chromium's own sandbox does not start; the page is ours.
ProcessResult Chromium(const TempDir& home, std::vector<std::string> arguments, const std::string& page) {
  std::vector<std::string> argv = {"chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                                   "--no-first-run", "--enable-logging=stderr",
                                   "--user-data-dir=" + std::filesystem::absolute(home.path()).string()};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  argv.push_back("file://" + std::filesystem::absolute(page).string());
  return RunProcess(argv);
}

}  // namespace

bool HasBrowser() { return RunProcess({"chromium", "--version"}).code == 0; }

BrowsedPage Browse(const std::string& path, const std::string& more) {
  const TempDir home;
  const std::string copy = home / "page.html";
  std::ofstream(copy, std::ios::binary) << FileContents(path) << more;
  const ProcessResult run = Chromium(home, {"--virtual-time-budget=3000", "--dump-dom"}, copy);
  BrowsedPage page{run.out, ""};
  std::istringstream lines(run.err);
  for (std::string line; std::getline(lines, line);)
    if (line.find("CONSOLE") != std::string::npos) page.console += line + "\n";
  return page;
}

std::string Screenshot(const std::string& path, int width, int height) {
  const TempDir home;
  const std::string png = std::filesystem::absolute(home / "page.png").string();
  Chromium(home, {"--window-size=" + std::to_string(width) + "," + std::to_string(height), "--screenshot=" + png}, path);
  return FileContents(png);
}

}  // namespace couplet::test
