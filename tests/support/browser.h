// Pages looked at in headless Chromium, as Debian packs it (`make deps-check` installs it).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "tests/support/test.h"

namespace couplet::test {

bool HasBrowser();

struct BrowsedPage {
  std::string dom;      // after its scripts ran
  std::string console;  // what they, and errors in them, said
};
// Opens the file and takes down what became of it. `more`: HTML put behind it, in a copy.
BrowsedPage Browse(const std::string& path, const std::string& more = "");
// PNG of the page in a window of that size.
std::string Screenshot(const std::string& path, int width, int height);

}  // namespace couplet::test

#define COUPLET_NEEDS_BROWSER()                \
  if (!::couplet::test::HasBrowser())          \
  COUPLET_SKIP("needs chromium (make deps-check)")
