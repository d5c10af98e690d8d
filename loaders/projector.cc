// SPDX-License-Identifier: Apache-2.0
#include "loaders/projector.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "loaders/files.h"
#include "loaders/image.h"

namespace couplet {
namespace {

static_assert(std::endian::native == std::endian::little, "TensorBoard reads vectors as they lie in memory");

constexpr const char *kConfig = "projector_config.pbtxt", *kVectors = "projector_vectors.bytes",
                     *kMetadata = "projector_metadata.tsv", *kSprite = "projector_sprite.jpg";

// A line's end or a tab in a name would be one of the file's.
std::string Cell(std::string text) {
  std::replace_if(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return text;
}

std::string Line(const std::vector<std::string>& cells) {
  std::string line;
  for (const std::string& cell : cells) {
    line += Cell(cell);
    line += '\t';
  }
  line.back() = '\n';
  return line;
}

std::string Quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + "\"";
}

std::string VectorBytes(const ProjectorData& data, std::span<const ProjectorPhoto* const> photos) {
  const size_t row_bytes = static_cast<size_t>(data.features) * sizeof(float);
  std::string bytes(photos.size() * row_bytes, '\0');
  for (size_t i = 0; i < photos.size(); ++i)
    std::memcpy(bytes.data() + i * row_bytes, data.vectors.data() + photos[i]->row * static_cast<size_t>(data.features), row_bytes);
  // TensorBoard takes a file for text until it meets a byte that is none, line by line: in one file of a hundred a byte of a
  // number that looks like a line's end would come first. No text begins with 10xxxxxx, so the first number gets it as its lowest bits.
  if (!bytes.empty()) bytes[0] = static_cast<char>(0x80 | (static_cast<unsigned char>(bytes[0]) & 0x3f));
  return bytes;
}

std::vector<const ProjectorPhoto*> Kept(const ProjectorData& data) {
  const size_t row_bytes = static_cast<size_t>(data.features) * sizeof(float);
  const size_t most = std::max<size_t>(1, std::min(kMostProjectorPhotos, kMostProjectorBytes / row_bytes));
  const size_t step = std::max<size_t>(1, (data.photos.size() + most - 1) / most);
  std::vector<const ProjectorPhoto*> kept;
  for (size_t i = 0; i < data.photos.size(); i += step) kept.push_back(&data.photos[i]);
  return kept;
}

}  // namespace

Result<size_t> WriteProjector(const std::string& dir, const ProjectorData& data) {
  COUPLET_CHECK(data.columns.size() >= 2);  // of a single column TensorBoard reads no heading
  const auto photos = Kept(data);
  std::string metadata = Line(data.columns);
  for (const ProjectorPhoto* photo : photos) {
    COUPLET_CHECK(photo->columns.size() == data.columns.size());
    metadata += Line(photo->columns);
  }
  std::vector<uint8_t> sprite;
  int side = 0;
  if (data.thumbnail && !photos.empty())
    COUPLET_RETURN_IF_ERROR(MakeSprite(photos.size(), [&](size_t i) { return data.thumbnail(photos[i]->row); }, &side, &sprite));
  std::string config = fmt::format("embeddings {{\n  tensor_name: {}\n  tensor_shape: {}\n  tensor_shape: {}\n  tensor_path: \"{}\"\n"
                                   "  metadata_path: \"{}\"\n", Quoted(data.name), photos.size(), data.features, kVectors, kMetadata);
  if (!sprite.empty())
    config += fmt::format("  sprite {{\n    image_path: \"{0}\"\n    single_image_dim: {1}\n    single_image_dim: {1}\n  }}\n", kSprite, side);
  config += "}\n";
  const std::string vectors = VectorBytes(data, photos);
  std::vector<FileToWrite> files = {{JoinPath(dir, kVectors), vectors}, {JoinPath(dir, kMetadata), metadata}};
  if (!sprite.empty())
    files.push_back({JoinPath(dir, kSprite), {reinterpret_cast<const char*>(sprite.data()), sprite.size()}});
  files.push_back({JoinPath(dir, kConfig), config});  // last: it says that the others are there
  COUPLET_RETURN_IF_ERROR(MakeDirectories(dir));
  COUPLET_RETURN_IF_ERROR(WriteFilesAtomically(files, Durability::kMayBeOld));
  return photos.size();
}

Status RemoveProjector(const std::string& dir) {
  for (const char* name : {kConfig, kVectors, kMetadata, kSprite}) {
    const std::string path = JoinPath(dir, name);
    if (unlink(path.c_str()) != 0 && errno != ENOENT && errno != ENOTDIR)
      return IoError(fmt::format("cannot remove {}: {}", path, std::generic_category().message(errno)));
  }
  return {};
}

}  // namespace couplet
