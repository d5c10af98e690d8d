// Photos -> bottleneck vectors: a bounded pipeline of reading, decoding, resizing and the backbone, one photo a
// worker thread, with the store in front of it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "loaders/bottleneck_store.h"
#include "loaders/image.h"
#include "runtime/session.h"

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
  enum class Verify { kNo, kHashes, kAll } verify = Verify::kNo;
  FeatureKey key;
};

struct FailedPhoto {
  size_t index;
  std::string reason;
};

struct ExtractResult {
  std::vector<float> vectors;        // [photos, dim]; rows of failed photos are zero
  std::vector<FailedPhoto> failed;   // by index
  size_t computed = 0, cached = 0, mismatched = 0;
  int jpeg_warnings = 0;
  std::string store_warning;         // set when the cache could not be written; the run went on without
};

struct ExtractProgress {
  size_t done, total, computed, failed;
  double seconds;
};

// `make_session` is called at most once, and not at all when every vector is in the cache. `interrupted` is polled;
// when it turns true what was computed is stored and kInterrupted comes back.
Result<ExtractResult> ExtractFeatures(const std::vector<Photo>& photos, int dim,
                                      const std::function<Result<std::shared_ptr<const Session>>(int threads)>& make_session,
                                      const ExtractOptions& options,
                                      const std::function<void(const ExtractProgress&)>& progress,
                                      const std::function<bool()>& interrupted);

}  // namespace couplet
