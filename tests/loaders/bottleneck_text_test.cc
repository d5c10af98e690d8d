// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstring>
#include <limits>

#include "loaders/bottleneck_store.h"
#include "loaders/files.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

Status Read(const std::string& text, std::span<float> dst) {
  test::TempDir dir;
  REQUIRE(WriteFileAtomically(dir / "t.txt", text).ok());
  return ReadBottleneckText(dir / "t.txt", dst);
}

TEST_CASE("bottleneck text: what Python's float() takes") {
  const std::string text =
      "1,-2.5,+3,.5,5., 1e3\t,\n4E-2,1_000.2_5,0.1,1e-400,-0,3.4028234663852886e+38,1.4e-45,00012\n";
  const float expected[] = {
      1, -2.5f, 3, .5f, 5, 1000, 0.04f, 1000.25, 0.1f, 0., -0.0f, 3.4028234663852886e+38f, 1.4e-45f, 12};
  std::vector<float> values(std::size(expected), NAN);
  const Status status = Read(text, values);
  REQUIRE_MESSAGE(status.ok(), status.message());
  CHECK(std::memcmp(values.data(), expected, sizeof expected) == 0);
}

TEST_CASE("bottleneck text: what is no finite number is refused") {
  std::vector<float> values(1);
  for (const char* text : {"",
                           " ",
                           "abc",
                           "1.2.3",
                           "--1",
                           "+-1",
                           "+",
                           "-",
                           ".",
                           "e5",
                           "1e",
                           "1_",
                           "_1",
                           "1__0",
                           "1_.5",
                           "inf",
                           "-inf",
                           "Infinity",
                           "nan",
                           "1e39",
                           "1e400",
                           "-1e5000",
                           "0x10",
                           "1 2",
                           "1;2",
                           "\xef\xbb\xbf"
                           "1"}) {
    CAPTURE(text);
    CHECK(Read(text, values).code() == Code::kBadInput);
  }
}

TEST_CASE("bottleneck text: exactly as many values as wanted") {
  std::vector<float> values(3);
  CHECK(Read("1,2,3", values).ok());
  CHECK(Read("1,2", values).message().find("holds 2 values where 3 are expected") != std::string::npos);
  CHECK(Read("1,2,3,4", values).message().find("holds 4 values where 3 are expected") != std::string::npos);
  CHECK(Read("1,2,", values).message().find("value 3 is \"\"") != std::string::npos);
  CHECK(ReadBottleneckText("/none", values).code() == Code::kIo);
}

TEST_CASE("bottleneck text: the shortest text reads back to the same bits") {
  const std::vector<float> awkward = {0.1f,          -0.0f,        1.0f / 3,    16777216, 1e-45f,
                                      3.4028235e38f, 1.17549e-38f, 0.30000001f, 1e38f,    123456.79f};
  CHECK(FormatBottleneckText(awkward).starts_with("0.1,-0,0.33333334,"));
  std::vector<float> values;
  for (uint32_t bits = 1; bits < 0x7f800000u; bits += 104729 * 9) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    values.push_back(bits % 2 != 0 ? -value : value);
  }
  values.insert(values.end(), awkward.begin(), awkward.end());
  std::vector<float> back(values.size());
  REQUIRE(Read(FormatBottleneckText(values), back).ok());
  CHECK(std::memcmp(values.data(), back.data(), values.size() * sizeof(float)) == 0);
}

TEST_CASE("bottleneck text: files that retrain.py wrote") {
  COUPLET_NEEDS_SHARED(shared);
  int files = 0;
  const auto read_all = [&](const std::string& folder, const std::string& architecture, int dim) {
    const auto names = ListDirectory(folder);
    REQUIRE(names.ok());
    for (const std::string& name : *names) {
      if (!name.ends_with(".txt")) continue;
      const std::string photo = name.substr(0, name.size() - architecture.size() - 5);
      CHECK(BottleneckTextPath(shared, folder.substr(shared.size() + 1), photo, architecture) ==
            folder + "/" + name);
      std::vector<float> values(static_cast<size_t>(dim));
      const Status status = ReadBottleneckText(folder + "/" + name, values);
      CHECK_MESSAGE(status.ok(), status.message());
      ++files;
    }
  };
  const std::string mobilenet = shared + "/golden/tensorflow_bottlenecks/mobilenet_0.25_128";
  for (const char* folder : {"Indiana", "NewYork", "Pennsylvania", "Wyoming", "awkward"})
    read_all(mobilenet + "/" + folder, "mobilenet_0.25_128", 1001);
  read_all(shared + "/golden/inception_2015", "inception_v3", 2048);
  CHECK(files >= 14);
}

}  // namespace
}  // namespace couplet
