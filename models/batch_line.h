// Decoded photos, packed into batches and run: how a device is fed that takes many photos at a time.
//
// Any number of decode threads Add() photos. Each is copied into the slot that is being filled: pinned bytes
// and a table, so a batch is one copy to the device. A full slot goes to one of two driver threads, each with
// a session worker (on CUDA: a stream) of its own, so that one batch is copied while the other is computed.
// The ring of slots bounds the memory, by photos and by bytes: Add waits for room, and a photo larger than a
// slot travels alone, from where it lies.
//
// A device whose memory does not suffice gets half as many photos at a time, and so on down to one.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "models/photo_network.h"
#include "models/profile.h"
#include "runtime/image_batch.h"

namespace couplet {

struct BatchLineOptions {
  int drivers = 2;
  int slots = 3;
  size_t slot_bytes = size_t{64} << 20;
  int prepare_threads = 1;  // to make the network with
  ResidentVectors* kept = nullptr;  // where vectors stay on the device, too; outlives the line
};

class BatchLine {
 public:
  // The photo's vector is in its `dst`. Called on a driver's thread, once for every photo that Add took,
  // unless the line stops or fails before.
  using Done = std::function<void()>;

  // Makes the network and starts the drivers. `profile` may be null, and outlives the line. Errors: what
  // make_session says (out of memory: with one photo at a time, too), no thread.
  static Result<std::unique_ptr<BatchLine>> Open(const PhotoNetwork& network, const BatchLineOptions& options,
                                                 Profile* profile);
  ~BatchLine();  // as Stop()

  // Takes a copy of the photo and returns, or, when it is larger than a slot, waits until it has been run.
  // `dst` has output_size() floats; `row`: its place in options.kept. False: the line has stopped or failed and took
  // nothing. Thread-safe.
  bool Add(std::span<const uint8_t> pixels, const ImageEntry& entry, std::span<float> dst, Done done, uint32_t row = 0);
  // +1 before and -1 after waiting for results: meanwhile drivers with nothing to do take slots that are not
  // full. Thread-safe.
  void Hurry(int by);
  // Runs what is left and ends. Why the line failed, if it did: the device's error, or that not even one
  // photo at a time fits into its memory. REQUIRES: no Add is going on.
  Status Finish();
  // Ends: batches that run are finished, what waits is dropped.
  void Stop();
  // It has ended, or failed: who waits for results waits in vain. Thread-safe.
  bool stopped() const;

  int64_t output_size() const { return output_size_; }
  // "" or one line: that the batch was made smaller, and why.
  std::string warning() const;

 private:
  struct Photo {
    ImageEntry entry;
    std::span<float> dst;
    Done done;
    uint32_t row = 0;
  };
  struct Slot {
    Buffer pinned;
    std::vector<uint8_t> plain;  // where no pinned memory is to be had: it works, if slower
    std::span<uint8_t> bytes;
    size_t used = 0;
    std::vector<Photo> photos;
    int copying = 0;      // photos that are reserved and not yet copied
    bool closed = false;  // nothing more is put into it
    bool alone = false;   // one photo, larger than a slot; `bytes` are the caller's
    bool finished = false;
  };
  // What a driver runs batches with.
  struct Engine {
    std::shared_ptr<const Session> session;
    std::unique_ptr<Session::Worker> worker;
    std::vector<float> out;           // [batch, output_size]
    std::vector<ImageEntry> entries;  // of a batch
    std::vector<uint32_t> rows;       // likewise
    int batch = 0, generation = 0;
  };

  BatchLine(const PhotoNetwork& network, const BatchLineOptions& options, Profile* profile);
  Status Start();
  void Drive();
  Slot* NextSlot(Engine* engine);
  bool RunSlot(Slot* slot, Engine* engine);
  Status RunBatch(const Slot& slot, size_t first, size_t count, Engine* engine);
  void Release(Slot* slot);
  bool AddAlone(std::span<const uint8_t> pixels, Photo photo);

  // With mutex_ held.
  Slot* SlotFor(size_t bytes, std::unique_lock<std::mutex>& lock);
  void PrepareSlot(Slot* slot);
  void CloseFilling();
  Status MakeSession();
  Status Equip(Engine* engine, std::unique_lock<std::mutex>& lock);
  void Dismantle(Engine* engine);
  bool Halve(const Status& reason);
  bool Spare(const Status& status) const;
  void Fail(const Status& status);

  const PhotoNetwork network_;
  const BatchLineOptions options_;
  Profile* const profile_;
  int64_t output_size_ = 0;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<Slot*> free_;
  Slot* filling_ = nullptr;
  std::deque<Slot*> full_;
  int hurry_ = 0;
  bool finishing_ = false, stopped_ = false;

  std::shared_ptr<const Session> session_;  // null: to be made again, for batch_ photos
  int asked_;                               // photos at a time the session is, or will be, asked for
  int batch_;                               // what it takes, which may be more
  int generation_ = 0;                      // counts sessions
  int equipped_ = 0;                        // drivers that hold a session
  std::string shrink_reason_;
  Status failure_;

  std::vector<std::thread> drivers_;
};

}  // namespace couplet
