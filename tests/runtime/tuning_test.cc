// SPDX-License-Identifier: Apache-2.0
#include "runtime/tuning.h"

#include "tests/support/test.h"

using namespace couplet;

TEST_CASE("tuning: choices come back on the same device and libraries, and nowhere else") {
  Tuning first;
  first.Reset("H200, cuDNN 9.19", "");
  CHECK(first.Text().empty());
  first.Keep("conv 1", "3 (0.1 ms)");
  first.Keep("gemm 2", "00ff");
  first.Keep("conv 1", "4");
  const std::string text = first.Text();

  Tuning same;
  same.Reset("H200, cuDNN 9.19", text);
  CHECK(same.Find("conv 1") == "4");
  CHECK(same.Find("gemm 2") == "00ff");
  CHECK_FALSE(same.Find("conv 2"));
  CHECK(same.Text() == text);

  Tuning other;
  other.Reset("H200, cuDNN 9.20", text);
  CHECK_FALSE(other.Find("conv 1"));
  CHECK(other.Text().empty());
}

TEST_CASE("tuning: text from anywhere is taken line by line or not at all") {
  for (const char* const text : {"", "\n", "id", "id\n", "id\n\n\n", "id\nno tab", "other\nkey\tchoice\n", "\tid\t\n"}) {
    Tuning tuning;
    tuning.Reset("id", text);
    CHECK(tuning.Text().empty());
  }
  Tuning tuning;
  tuning.Reset("id", "id\na\tb\tc\nkey\t");
  CHECK(tuning.Find("a") == "b\tc");
  CHECK(tuning.Find("key") == "");
}
