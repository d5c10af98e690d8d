// The cache of bottlenecks: SQLite, keyed by content (BEHAVIOUR "Bottleneck store"). A changed photo, a renamed
// folder or another model never brings a stale vector; a second run over unchanged photos decodes nothing and, by
// path, size and times, reads nothing.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "loaders/hash.h"
#include "runtime/status.h"

namespace couplet {

// Everything beside the photo's own bytes that a vector depends on.
struct FeatureKey {
  Sha256Digest graph_sha256{};
  std::string tensor;         // "MobilenetV1/Predictions/Reshape:0"
  int input_size = 0;
  float mean = 0, std = 1;
  std::string preprocessing;  // decoder and preprocessing version with their options (alpha, exif)
  std::string precision;      // "fp32"
  std::string device;         // "cpu", "cuda"
};

class BottleneckStore {
 public:
  // Opens or makes `<dir>/bottlenecks.sqlite`. A file that is no store of ours: kBadInput; a folder or disk that
  // refuses: kIo. Two runs on one store: the second waits for writes.
  static Result<std::unique_ptr<BottleneckStore>> Open(const std::string& dir, const FeatureKey& key, int dim);
  virtual ~BottleneckStore() = default;

  struct Record {
    std::string path;                 // of the photo, as the run names it
    Sha256Digest photo_sha256{};
    std::span<const float> vector;    // [dim]
    std::span<const uint8_t> thumbnail;  // JPEG, may be empty
  };
  // The photo's hash if path, size, mtime_ns, ctime and inode are as when it was last read.
  virtual std::optional<Sha256Digest> KnownHash(const std::string& path) = 0;
  // False: not there, or there and damaged (counted in damaged()). `dst` has dim floats.
  virtual bool Get(const Sha256Digest& photo_sha256, std::span<float> dst) = 0;
  virtual std::optional<std::vector<uint8_t>> Thumbnail(const Sha256Digest& photo_sha256) = 0;
  // Notes that `path` holds these bytes (stat'ed now), and the record; one transaction a call.
  virtual Status Put(std::span<const Record> records) = 0;
  // Notes the hashes of photos whose vector is already there.
  virtual Status NotePaths(std::span<const std::pair<std::string, Sha256Digest>> paths) = 0;
  virtual int damaged() const = 0;
};

// retrain.py's own cache: `<bottleneck_dir>/<folder>/<file>_<architecture>.txt`, comma-separated.
std::string BottleneckTextPath(const std::string& bottleneck_dir, const std::string& folder,
                               const std::string& file, const std::string& architecture);
// Any float syntax Python's float() takes; kBadInput unless there are exactly dst.size() finite numbers.
Status ReadBottleneckText(const std::string& path, std::span<float> dst);
std::string FormatBottleneckText(std::span<const float> vector);  // shortest that reads back to the same float32

}  // namespace couplet
