// SPDX-License-Identifier: Apache-2.0
#include "loaders/image_extension.h"

#include "tests/support/test.h"

namespace couplet {
namespace {

TEST_CASE("image_extension: photos by their names") {
  for (const char* name : {"a.jpg", "a.jpeg", "a.JPG", "a.JPEG", "a.PnG", "a.bmp", "a.GIF", "a.tar.gif"}) {
    CAPTURE(name);
    CHECK(HasImageExtension(name));
  }
  for (const char* name : {"a.Jpg", "a.jpg.txt", "jpg", "", "ajpg", "png", "a.webp", "a.jpg~"}) {
    CAPTURE(name);
    CHECK_FALSE(HasImageExtension(name));
  }
}

}  // namespace
}  // namespace couplet
