// Copies on both sides of a split, which make the accuracy look better than it is: found among the vectors.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "loaders/image_list.h"
#include "models/classifier_head.h"

namespace couplet {

struct PhotoPair {
  uint32_t row = 0, other = 0;       // rows of the vectors; `row` of the later split
  Split split = Split::kTesting, other_split = Split::kTraining;
  float cosine = 0;
};

// Each may be empty.
struct NearDuplicateHooks {
  std::function<void(size_t done, size_t total)> progress;  // photos of validation and testing
  std::function<bool()> interrupted;                        // true ends the search
};

// Pairs of photos of different splits whose vectors point the same way: the cosine, after the mean of all vectors has
// been taken away (without that every two photos are alike), is `least` or more; least > 0. Largest first, ties by row. Of each photo of
// validation and testing only the nearest other, the first of equals; a cosine above 0.999999 is near enough to look no further.
// `threads` share the work; the result depends neither on them nor on the instruction set, as long as it has a fused multiply-add.
// An error: kInterrupted.
Result<std::vector<PhotoPair>> FindNearDuplicates(const HeadData& data, float least, int threads, const NearDuplicateHooks& hooks = {});

}  // namespace couplet
