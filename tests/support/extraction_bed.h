// For the extractor's tests: a folder of tiny photos, a cache, and a device that computes next to nothing,
// takes batches if asked to, and fails on demand.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "models/feature_extractor.h"
#include "tests/support/test.h"

namespace couplet::test {

// The network's vector: the corner's red, green and blue, the sum of all bytes, the width. A corner with red
// 13 gives NaN, 14 loses the device.
inline constexpr int kDim = 5;

// Runs without OpenMP, so that ThreadSanitizer sees everything.
class CornerBackend final : public Backend {
 public:
  std::string_view kind() const override { return "cpu"; }
  std::string description() const override { return "for tests"; }
  Result<std::unique_ptr<PreparedOp>> prepare(const Layer& layer, std::span<const Shape>,
                                              const PrepareOptions& options) override;
  Result<std::unique_ptr<WorkerContext>> make_worker(int) override;
  int round_batch(int wanted) const override { return (wanted + batch_step - 1) / batch_step * batch_step; }
  Result<Buffer> allocate(size_t bytes) override;
  Result<Buffer> allocate_pinned(size_t bytes) override;
  Status copy_in(void* dst, const float* src, size_t count, WorkerContext&) override;
  Status copy_out(float* dst, const void* src, size_t count, WorkerContext&) override;
  Status wait(WorkerContext&) override { return {}; }
  Result<std::unique_ptr<Timer>> make_timer(WorkerContext&) override { return MakeHostTimer(); }
  Result<std::unique_ptr<HeadTrainer>> make_head_trainer(const HeadShape&) override {
    return DeviceError("none");
  }

  int sleep_us = 0;    // up to so long a photo, so that photos finish in an order of their own
  int batch_step = 1;  // batches are rounded up to a multiple
  // Memory suffices for so many photos at a time: when a session is prepared, when it is run.
  int prepares_up_to = 1 << 20, runs_up_to = 1 << 20;
  int workers_up_to = 1 << 20;  // at a time
  bool no_pinned = false;
  std::atomic<int> workers{0}, live_workers{0};  // made, there now
  std::mutex mutex;
  std::multiset<int> batches, last_batches;  // sizes of those that were run; of the last layer's
  bool last_fails = false;
};

// A BMP with that red in its first corner.
std::string Bmp(int width, int height, int red, int seed);
// Times of an hour ago, as of a photo that nobody is writing.
void MakeOld(const std::string& path);
bool SameBits(std::span<const float> a, std::span<const float> b);

class Bed {
 public:
  explicit Bed(int count);
  void Add(const std::string& name, const std::string& contents);
  // Of the backend, for so many photos at a time.
  PhotoNetwork Network();
  Result<ExtractResult> TryRun();
  ExtractResult Run();
  void Sql(const std::string& sql);

  TempDir dir;
  CornerBackend backend;
  bool in_batches = false;  // of one photo, too
  bool last_layer = false;  // one that several photos share
  int max_batch = 1;
  std::vector<Photo> photos;
  ExtractOptions options;
  std::vector<ExtractProgress> progress;
  std::atomic<int> sessions{0};  // made in the last run
  int run_threads = 0;           // that one photo may use
  int interrupt_at = 0;          // which question is answered with yes
};

}  // namespace couplet::test
