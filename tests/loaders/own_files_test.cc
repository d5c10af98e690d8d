// SPDX-License-Identifier: Apache-2.0
#include "loaders/own_files.h"

#include "loaders/files.h"
#include "loaders/labels.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

TEST_CASE("own files: found from the program's folder; one that is nowhere is named") {
  const auto labels = FindOwnFile(kImageNetLabels);
  REQUIRE_MESSAGE(labels.ok(), labels.status().message());
  CHECK(test::FileContents(*labels) == test::FileContents("weights/imagenet_labels.txt"));
  const Status none = FindOwnFile("nothing.pb").status();
  CHECK(none.code() == Code::kIo);
  CHECK_HAS(none.message(), "nothing.pb, which comes with Couplet, is neither in ");
}

TEST_CASE("own files: ImageNet's labels are the shared list's, without its numbers") {
  COUPLET_NEEDS_SHARED(shared);
  const auto ours = ReadLabels("weights/imagenet_labels.txt"), theirs = ReadLabels(shared + "/models/labels.txt");
  REQUIRE(ours.ok());
  REQUIRE(theirs.ok());
  REQUIRE(ours->size() == 1001);
  REQUIRE(theirs->size() == 1001);
  for (size_t i = 0; i < ours->size(); ++i) CHECK((*theirs)[i] == std::to_string(i) + ":" + (*ours)[i]);
}

}  // namespace
}  // namespace couplet
