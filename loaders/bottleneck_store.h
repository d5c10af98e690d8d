// The cache of bottlenecks: SQLite, keyed by content (BEHAVIOUR "Bottleneck store"). A changed photo, a
// renamed folder or another model never brings a stale vector; a second run over unchanged photos decodes
// nothing and, by path, size and times, reads nothing. And retrain.py's own cache of text files
// (bottleneck_text.cc). SPDX-License-Identifier: Apache-2.0
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
  std::string tensor;  // "MobilenetV1/Predictions/Reshape:0"
  int input_size = 0;
  float mean = 0, std = 1;
  std::string preprocessing;  // decoder and preprocessing version with their options (alpha, exif)
  std::string precision;      // "fp32"
  std::string device;         // "cpu", "cuda"
};

// What tells that a file is as it was. Take it before the file is read: a change in between is then noticed.
struct FileStamp {
  int64_t size = 0, mtime_ns = 0, ctime_ns = 0;
  uint64_t inode = 0;
  int64_t taken_ns = 0;  // when, since 1970
};
std::optional<FileStamp> StampFile(const std::string& path);  // none: it cannot be stat'ed

// Thread-safe. Every error names the file, the reason and the way out.
class BottleneckStore {
 public:
  // kTouched: what is read is checked as it is read. kWhole: every page of the file now, too.
  enum class Integrity { kTouched, kWhole };
  // `<dir>/bottlenecks.sqlite`.
  static std::string PathIn(const std::string& dir);
  // Opens or makes that. kBadInput: a file that is no store of ours, is damaged, or was
  // made by another version. kIo: the folder or disk refuses. A store that can only be read opens; then Put
  // says kIo. Two runs on one store: the second waits for the first one's writes. With `set_aside` a damaged store
  // is renamed to what `set_aside` then says, and an empty one made; a file that is not ours is never touched.
  static Result<std::unique_ptr<BottleneckStore>> Open(const std::string& dir, const FeatureKey& key, int dim,
                                                       Integrity integrity = Integrity::kTouched,
                                                       std::string* set_aside = nullptr);
  virtual ~BottleneckStore() = default;

  struct Found {
    std::optional<FileStamp> stamp;  // now; none: no such file
    bool known = false;       // photo_sha256 is the file's, by a note that its stamp says can be trusted
    bool has_vector = false;  // and its row was filled
    Sha256Digest photo_sha256{};
  };
  // Looks for many photos at once, reading none of them. `vectors` is [paths, dim]; rows of photos without
  // has_vector are left alone. The fast way: a SELECT a photo outside of a transaction costs locks. `threads` ask the file system
  // for stamps, which on a network folder answers several as soon as one, and read notes and vectors.
  virtual Result<std::vector<Found>> Find(std::span<const std::string> paths, std::span<float> vectors, int threads = 1) = 0;

  // The vector of a photo that was there when the store was opened. False: not there, or damaged (counted).
  // `dst` has dim floats. Costs next to nothing for a photo that is not there.
  virtual bool Get(const Sha256Digest& photo_sha256, std::span<float> dst) = 0;
  virtual std::optional<std::vector<uint8_t>> Thumbnail(const Sha256Digest& photo_sha256) = 0;
  // Until the result goes, what is read is read in one transaction: alone, each read locks the file anew, which takes its time on a
  // network folder. Writers wait. The store has to outlive the result, and neither Put nor Find may be called meanwhile.
  virtual std::shared_ptr<void> ReadTogether() = 0;

  struct Record {
    std::string path;  // of the photo, as the run names it
    FileStamp stamp;   // taken before its bytes were read
    Sha256Digest photo_sha256{};
    std::span<const float> vector;       // [dim]; empty: only the path is noted, the vector is there already
    std::span<const uint8_t> thumbnail;  // JPEG; empty: none is added
  };
  // One transaction: all or nothing.
  virtual Status Put(std::span<const Record> records) = 0;
  // Records that failed their checksum or could not be read so far.
  virtual int damaged() const = 0;
};

// retrain.py's own cache: `<bottleneck_dir>/<folder>/<file>_<architecture>.txt`, comma-separated.
std::string BottleneckTextPath(const std::string& bottleneck_dir, const std::string& folder,
                               const std::string& file, const std::string& architecture);
// Any float syntax Python's float() takes; kBadInput unless there are exactly dst.size() finite numbers.
Status ReadBottleneckText(const std::string& path, std::span<float> dst);
std::string FormatBottleneckText(
    std::span<const float> vector);  // shortest that reads back to the same float32

}  // namespace couplet
