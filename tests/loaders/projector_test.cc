// SPDX-License-Identifier: Apache-2.0
#include "loaders/projector.h"

#include <cmath>
#include <cstring>
#include <filesystem>

#include "loaders/image.h"
#include "tests/support/pictures.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

using test::FileContents;

struct Points {
  explicit Points(uint32_t count) {
    for (uint32_t row = 0; row < count; ++row) {
      vectors.insert(vectors.end(), {static_cast<float>(row) + 0.25f, 2.5e-3f, -1.0f});
      data.photos.push_back({count - 1 - row, {row % 2 == 0 ? "a\tb" : "c", "training"}});  // rows from the last to the first
    }
    data.name = "bottlenecks \"of\" photos";
    data.features = 3;
    data.vectors = vectors;
    data.columns = {"label", "split"};
  }
  std::vector<float> vectors;
  ProjectorData data;
};

// A plain JPEG; bright where the row is even.
std::optional<std::vector<uint8_t>> Thumbnail(uint32_t row) {
  if (row == 2) return std::nullopt;
  if (row == 3) return std::vector<uint8_t>{1, 2, 3};
  return test::EncodeJpeg(std::vector<uint8_t>(96 * 64 * 3, row % 2 == 0 ? 250 : 10), 96, 64);
}

TEST_CASE("projector: vectors, labels and pictures lie in the order that the photos are given in") {
  const test::TempDir dir;
  Points points(5);
  points.data.thumbnail = Thumbnail;
  CHECK(WriteProjector(dir / "run/train", points.data).value() == 5);
  CHECK(FileContents(dir / "run/train/projector_config.pbtxt") ==
        "embeddings {\n  tensor_name: \"bottlenecks \\\"of\\\" photos\"\n  tensor_shape: 5\n  tensor_shape: 3\n"
        "  tensor_path: \"projector_vectors.bytes\"\n  metadata_path: \"projector_metadata.tsv\"\n"
        "  sprite {\n    image_path: \"projector_sprite.jpg\"\n    single_image_dim: 48\n    single_image_dim: 48\n  }\n}\n");
  CHECK(FileContents(dir / "run/train/projector_metadata.tsv") ==
        "label\tsplit\na b\ttraining\nc\ttraining\na b\ttraining\nc\ttraining\na b\ttraining\n");
  const std::string bytes = FileContents(dir / "run/train/projector_vectors.bytes");
  REQUIRE(bytes.size() == 5 * 3 * sizeof(float));
  float got[15];
  std::memcpy(got, bytes.data(), bytes.size());
  for (int i = 0; i < 15; ++i) {
    const float want = points.vectors[static_cast<size_t>((4 - i / 3) * 3 + i % 3)];
    if (i == 0) CHECK(!(std::fabs(got[i] - want) > 2.3e-5f * want));
    else CHECK(got[i] == want);
  }
  // What TensorBoard needs to see at once that this is no text.
  CHECK((static_cast<unsigned char>(bytes[0]) & 0xc0) == 0x80);

  const std::string sprite = FileContents(dir / "run/train/projector_sprite.jpg");
  Image image;
  REQUIRE(DecodeImage(std::span(reinterpret_cast<const uint8_t*>(sprite.data()), sprite.size()), {}, &image).ok());
  REQUIRE(image.entry.width == 3 * 48);
  REQUIRE(image.entry.height == 3 * 48);
  const auto at = [&](int tile, int x, int y) {
    return int{image.pixels[3 * static_cast<size_t>((tile / 3 * 48 + y) * image.entry.width + tile % 3 * 48 + x)]};
  };
  // Rows 4 to 0 in tiles 0 to 4, 48 x 32 in the middle; rows 3 and 2 have no picture.
  for (const auto& [tile, grey] : {std::pair{0, 250}, {1, 128}, {2, 128}, {3, 10}, {4, 250}, {5, 128}, {8, 128}}) {
    CAPTURE(tile);
    CHECK(std::abs(at(tile, 24, 24) - grey) <= 3);
    CHECK(std::abs(at(tile, 24, 3) - 128) <= 3);
    CHECK(std::abs(at(tile, 24, 12) - grey) <= 3);
  }
}

TEST_CASE("projector: too many photos are thinned out evenly, without pictures there is no sprite") {
  const test::TempDir dir;
  Points points(2 * kMostProjectorPhotos + 1);
  CHECK(WriteProjector(dir.path(), points.data).value() == (2 * kMostProjectorPhotos + 3) / 3);
  CHECK(std::filesystem::file_size(dir / "projector_vectors.bytes") == (2 * kMostProjectorPhotos + 3) / 3 * 3 * sizeof(float));
  CHECK_FALSE(std::filesystem::exists(dir / "projector_sprite.jpg"));
  CHECK(FileContents(dir / "projector_config.pbtxt").find("sprite") == std::string::npos);
}

TEST_CASE("projector: old files go, others stay; a folder that cannot be written is an error") {
  const test::TempDir dir;
  Points points(4);
  REQUIRE(WriteProjector(dir.path(), points.data).ok());
  test::WriteBytes(dir / "events.out.tfevents.1.host", {1});
  CHECK(RemoveProjector(dir.path()).ok());
  CHECK(RemoveProjector(dir / "none").ok());
  CHECK(std::distance(std::filesystem::directory_iterator(dir.path()), {}) == 1);
  const auto refused = WriteProjector(dir / "events.out.tfevents.1.host/x", points.data);
  CHECK(refused.status().code() == Code::kIo);
  CHECK_HAS(refused.status().message(), "events.out.tfevents.1.host");
}

}  // namespace
}  // namespace couplet
