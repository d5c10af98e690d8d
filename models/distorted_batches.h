// Training with distortions: every step's photos are decoded, distorted and run through the backbone anew,
// over all threads. On the CPU a thread takes a photo all the way; for a device that takes batches the
// threads distort, and the calling thread runs one batch while the next is made. Decoded photos are kept
// while they fit a budget, so a photo is decoded once in most sets.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "models/backbone.h"
#include "models/classifier_head.h"
#include "models/distortion.h"
#include "models/feature_extractor.h"

namespace couplet {

struct DistortedBatchesOptions {
  DistortionOptions distortion;
  DecodeOptions decode;  // resize_rows is ignored: distortions need whole photos
  int threads = 1;
  uint64_t seed = 0;
  size_t kept_bytes = size_t{512} << 20;  // of decoded photos
};

class DistortedBatches {
 public:
  // `photos` (indexed by row) and `backend` outlive the object.
  static Result<std::unique_ptr<DistortedBatches>> Create(const std::vector<Photo>& photos,
                                                          const Backbone& backbone, Backend& backend,
                                                          const DistortedBatchesOptions& options);
  virtual ~DistortedBatches() = default;

  // Row i of `vectors` [batch.rows.size(), features] is photo batch.rows[i], distorted as (seed, i, step)
  // says: the same bytes whatever the number of threads. The error names the photo, or is the device's
  // (kOutOfMemory: with one photo at a time, too).
  virtual Status Make(int step, const HeadBatch& batch, std::span<float> vectors) = 0;

  // What of the device's memory it is planned to take.
  const MemoryPlan& memory() const { return memory_; }

 private:
  MemoryPlan memory_;
};

}  // namespace couplet
