// Photos -> bottleneck vectors: a bounded pipeline of reading, decoding, resizing and the backbone, with the
// cache in front of it. On the CPU a thread takes a photo all the way; for a device that takes batches the
// threads decode, and photos travel together (models/batch_line.h).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "loaders/bottleneck_store.h"
#include "loaders/image.h"
#include "models/photo_network.h"
#include "models/profile.h"
#include "models/zeroed_vector.h"

namespace couplet {

struct Photo {
  std::string path;    // to open
  std::string folder;  // for the text cache's layout
  std::string file;
};

struct ExtractOptions {
  int threads = 0;  // 0: as many as the process may use
  DecodeOptions decode;
  enum class Format { kSqlite, kText } format = Format::kSqlite;
  std::string bottleneck_dir;
  std::string architecture;  // in text file names
  // kHashes: the store is checked page by page (a damaged one is set aside and begun anew), every photo is read and
  // held to the hash the cache noted (the text cache notes none), and a sample of the vectors is computed again and held
  // to the cached ones: 16 and one in 64 of the others, from a place that differs from run to run.
  // kAll: every vector is computed again.
  enum class Verify { kNo, kHashes, kAll } verify = Verify::kNo;
  FeatureKey key;
  bool keep_on_device = false;  // fill ExtractResult::resident
  Profile* profile = nullptr;  // outlives the run
};

struct FailedPhoto {
  size_t index;
  std::string reason;  // without the photo's path
};

struct ExtractResult {
  ZeroedVector vectors;       // [photos, dim]; rows of failed photos are zero
  std::vector<FailedPhoto> failed;  // by index
  size_t computed = 0, cached = 0;
  size_t mismatched = 0;  // photos or vectors that were not what the cache said (verify)
  size_t damaged = 0;     // cached records or files that could not be used and were made again
  int jpeg_warnings = 0;
  std::vector<std::string> notes;  // lines about single photos for the log, in the photos' order
  // The same vectors on the device that computed them, for its trainer: where it takes batches and none came from a cache.
  std::shared_ptr<ResidentVectors> resident;
  std::string store_warning;       // set when the cache could not be used or written; the run went on without
  std::string batch_warning;  // set when the device's memory took fewer photos at a time than were asked for
  // For reports. [photos]; zeros where the photo was not read, as from a cache of text files.
  std::vector<Sha256Digest> photo_sha256;
  std::shared_ptr<BottleneckStore> store;  // still open, for its thumbnails; null: there is none
};

struct ExtractProgress {
  size_t done, total, computed, failed;
  double seconds;
};

// The vectors do not depend on the number of threads or photos a batch nor on the order in which photos
// finish. With fewer photos than threads a photo gets several. `network.make_session` is called from a worker
// thread, not at all when every vector is in the cache and more than once only for smaller batches.
// `progress` and `interrupted` are called from the calling thread, some ten times a second. A photo that
// cannot be read or decoded is no error but an entry in `failed`. Errors: a cache that is not ours or is
// damaged (see BottleneckStore::Open), what make_session and the device say (kOutOfMemory: with a single
// photo at a time, too), and kInterrupted; in these what was computed before is in the cache.
Result<ExtractResult> ExtractFeatures(const std::vector<Photo>& photos, int dim, const PhotoNetwork& network,
                                      const ExtractOptions& options,
                                      const std::function<void(const ExtractProgress&)>& progress,
                                      const std::function<bool()>& interrupted);

// How many vectors ExtractFeatures would have to compute with this key (verifying counts as computing).
// Photos that cannot be read count. Errors as of BottleneckStore::Open, but for a cache that cannot be used:
// then all.
Result<size_t> CountMissing(const std::vector<Photo>& photos, int dim, const ExtractOptions& options);

}  // namespace couplet
