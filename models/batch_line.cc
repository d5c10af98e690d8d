// SPDX-License-Identifier: Apache-2.0
#include "models/batch_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "loaders/threads.h"

namespace couplet {
namespace {

// Photos begin where a 16-byte load may.
constexpr size_t kPhotoAlignment = 16;

size_t Aligned(size_t bytes) {
  return (bytes + kPhotoAlignment - 1) / kPhotoAlignment * kPhotoAlignment;
}

}  // namespace

BatchLine::BatchLine(const PhotoNetwork& network, const BatchLineOptions& options, Profile* profile)
    : network_(network),
      options_(options),
      profile_(profile),
      asked_(network.max_batch),
      batch_(network.max_batch) {
  COUPLET_CHECK(asked_ >= 1 && options.drivers >= 1 && options.slots >= 1);
}

Result<std::unique_ptr<BatchLine>> BatchLine::Open(const PhotoNetwork& network,
                                                   const BatchLineOptions& options, Profile* profile) {
  std::unique_ptr<BatchLine> line(new BatchLine(network, options, profile));
  COUPLET_RETURN_IF_ERROR(line->Start());
  return line;
}

BatchLine::~BatchLine() {
  Stop();
}

Status BatchLine::Start() {
  {
    const std::lock_guard lock(mutex_);
    COUPLET_RETURN_IF_ERROR(MakeSession());
    output_size_ = session_->output_size();
  }
  for (int i = 0; i < options_.slots; ++i)
    free_.push_back(slots_.emplace_back(std::make_unique<Slot>()).get());
  return StartThreads(options_.drivers, [this](int) { Drive(); }, &drivers_);
}

bool BatchLine::Add(std::span<const uint8_t> pixels, const ImageEntry& entry, std::span<float> dst, Done done,
                    uint32_t row) {
  COUPLET_CHECK(dst.size() == static_cast<size_t>(output_size_));
  if (pixels.size() > options_.slot_bytes) return AddAlone(pixels, {entry, dst, std::move(done), row});
  std::unique_lock lock(mutex_);
  Slot* const slot = SlotFor(pixels.size(), lock);
  if (slot == nullptr) return false;
  const size_t offset = slot->used;
  slot->used = Aligned(offset + pixels.size());
  slot->photos.push_back({entry, dst, std::move(done), row});
  slot->photos.back().entry.offset = offset;
  ++slot->copying;
  // Full with this one: nobody has to find out by trying.
  if (slot->photos.size() >= static_cast<size_t>(batch_)) CloseFilling();
  lock.unlock();
  // Decode threads copy side by side.
  std::memcpy(slot->bytes.data() + offset, pixels.data(), pixels.size());
  lock.lock();
  if (--slot->copying == 0 && slot->closed) {
    full_.push_back(slot);
    changed_.notify_all();
  } else if (hurry_ > 0) {
    changed_.notify_all();
  }
  return true;
}

// The slot that is being filled, with room for so many bytes. Null: the line has stopped.
BatchLine::Slot* BatchLine::SlotFor(size_t bytes, std::unique_lock<std::mutex>& lock) {
  for (;;) {
    if (stopped_) return nullptr;
    if (filling_ != nullptr) {
      if (filling_->used + bytes <= options_.slot_bytes) return filling_;
      CloseFilling();
    } else if (!free_.empty()) {
      PrepareSlot(free_.back());
      filling_ = free_.back();
      free_.pop_back();
    } else {
      changed_.wait(lock);
    }
  }
}

void BatchLine::PrepareSlot(Slot* slot) {
  slot->photos.clear();
  slot->used = 0;
  slot->closed = false;
  if (!slot->bytes.empty()) return;
  if (auto pinned = network_.backend->allocate_pinned(options_.slot_bytes); pinned.ok()) {
    slot->pinned = std::move(*pinned);
    slot->bytes = {reinterpret_cast<uint8_t*>(slot->pinned.data()), options_.slot_bytes};
  } else {
    slot->plain.resize(options_.slot_bytes);
    slot->bytes = slot->plain;
  }
}

void BatchLine::CloseFilling() {
  Slot* const slot = std::exchange(filling_, nullptr);
  slot->closed = true;
  if (slot->copying > 0) return;  // the last one to copy hands it on
  full_.push_back(slot);
  changed_.notify_all();
}

// The photo stays where it is, its bytes within the caller's budget, and the caller waits.
bool BatchLine::AddAlone(std::span<const uint8_t> pixels, Photo photo) {
  Slot slot;
  slot.alone = true;
  // Only read from: drivers write to no slot.
  slot.bytes = {const_cast<uint8_t*>(pixels.data()), pixels.size()};
  slot.used = pixels.size();
  slot.photos.push_back(std::move(photo));
  slot.photos.back().entry.offset = 0;
  std::unique_lock lock(mutex_);
  if (stopped_) return false;
  full_.push_back(&slot);
  changed_.notify_all();
  const auto waiting = [&] { return std::find(full_.begin(), full_.end(), &slot); };
  changed_.wait(lock, [&] { return slot.finished || (stopped_ && waiting() != full_.end()); });
  if (slot.finished) return true;
  full_.erase(waiting());
  return false;
}

void BatchLine::Hurry(int by) {
  const std::lock_guard lock(mutex_);
  hurry_ += by;
  changed_.notify_all();
}

Status BatchLine::Finish() {
  {
    const std::lock_guard lock(mutex_);
    if (filling_ != nullptr) CloseFilling();
    finishing_ = true;
    changed_.notify_all();
  }
  for (std::thread& driver : drivers_) driver.join();
  drivers_.clear();
  Stop();
  const std::lock_guard lock(mutex_);
  return failure_;
}

void BatchLine::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    changed_.notify_all();
  }
  for (std::thread& driver : drivers_) driver.join();
  drivers_.clear();
  const std::lock_guard lock(mutex_);
  session_.reset();
}

bool BatchLine::stopped() const {
  const std::lock_guard lock(mutex_);
  return stopped_;
}

std::string BatchLine::warning() const {
  const std::lock_guard lock(mutex_);
  if (shrink_reason_.empty()) return "";
  return fmt::format("{} photos at a time were too many for the device ({}); went on with {}",
                     network_.max_batch, shrink_reason_, batch_);
}

// Makes session_ for asked_ photos at a time, or fewer. REQUIRES: no driver holds one, or there would be no
// memory for it.
Status BatchLine::MakeSession() {
  for (;;) {
    auto made = network_.make_session({.max_batch = asked_, .prepare_threads = options_.prepare_threads, .each_by_itself = profile_ != nullptr});
    if (made.ok()) {
      session_ = std::move(*made);
      batch_ = session_->max_batch();
      return {};
    }
    if (!Halve(made.status())) return made.status();
  }
}

// False: it was not for want of memory, or there is nothing left to halve.
bool BatchLine::Halve(const Status& reason) {
  if (reason.code() != Code::kOutOfMemory || asked_ == 1) return false;
  if (shrink_reason_.empty()) shrink_reason_ = reason.message();
  batch_ = asked_ /= 2;
  ++generation_;
  session_.reset();
  changed_.notify_all();
  return true;
}

void BatchLine::Dismantle(Engine* engine) {
  if (engine->worker == nullptr) return;
  engine->worker.reset();
  engine->session.reset();
  --equipped_;
  changed_.notify_all();
}

// Gives the driver a worker of the session that counts now. All that is made, is made under the lock: the
// others could do nothing without it.
Status BatchLine::Equip(Engine* engine, std::unique_lock<std::mutex>& lock) {
  if (engine->worker != nullptr && engine->generation == generation_) return {};
  Dismantle(engine);
  for (;;) {
    // Memory is free for a new session when every driver has let go of the old one.
    changed_.wait(lock, [this] { return stopped_ || session_ != nullptr || equipped_ == 0; });
    if (stopped_) return Status(Code::kInterrupted, "stopped");
    if (session_ == nullptr) COUPLET_RETURN_IF_ERROR(MakeSession());
    auto worker = session_->NewWorker();
    if (worker.ok()) {
      engine->session = session_;
      engine->worker = std::move(*worker);
      engine->batch = batch_;
      engine->generation = generation_;
      engine->out.resize(static_cast<size_t>(batch_) * static_cast<size_t>(output_size_));
      engine->entries.resize(static_cast<size_t>(batch_));
      engine->rows.resize(static_cast<size_t>(batch_));
      ++equipped_;
      return {};
    }
    // One driver with all the photos does better than two with half of them.
    if (equipped_ > 0 || !Halve(worker.status())) return worker.status();
  }
}

void BatchLine::Fail(const Status& status) {
  // A device that is lost fails every driver's next call; the driver whose layer did it may be the later one to say so.
  const auto names_layer = [](const Status& failure) { return failure.message().starts_with("layer '"); };
  if (failure_.ok() ? !stopped_ : names_layer(status) && !names_layer(failure_)) failure_ = status;
  stopped_ = true;
  changed_.notify_all();
}

void BatchLine::Drive() {
  Engine engine;
  while (Slot* const slot = NextSlot(&engine))
    if (RunSlot(slot, &engine)) Release(slot);
}

// Whether a driver that found no memory for a worker may leave the work to another.
bool BatchLine::Spare(const Status& status) const {
  return status.code() == Code::kOutOfMemory && equipped_ > 0;
}

// Waits for a slot to run, and for a session to run it with. Null: there is none left, and the driver is
// dismantled.
BatchLine::Slot* BatchLine::NextSlot(Engine* engine) {
  std::unique_lock lock(mutex_);
  while (!stopped_) {
    if (const Status status = Equip(engine, lock); !status.ok()) {
      if (!Spare(status)) Fail(status);
      break;
    }
    if (!full_.empty()) {
      Slot* const slot = full_.front();
      full_.pop_front();
      return slot;
    }
    if (finishing_) break;
    if (hurry_ > 0 && filling_ != nullptr && filling_->copying == 0)
      CloseFilling();
    else
      changed_.wait(lock);
  }
  Dismantle(engine);
  return nullptr;
}

// False: the slot is in the queue again, with the photos that are left.
bool BatchLine::RunSlot(Slot* slot, Engine* engine) {
  for (size_t at = 0; at < slot->photos.size();) {
    const size_t count = std::min(slot->photos.size() - at, static_cast<size_t>(engine->batch));
    Status status = RunBatch(*slot, at, count, engine);
    if (status.ok()) {
      for (const size_t end = at + count; at < end; ++at) slot->photos[at].done();
      continue;
    }
    std::unique_lock lock(mutex_);
    if (status.code() == Code::kOutOfMemory) {
      const bool current = engine->generation == generation_;
      Dismantle(engine);
      // Another driver may have halved it meanwhile.
      if (!current || Halve(status)) status = Equip(engine, lock);
      if (status.ok()) continue;
      if (Spare(status)) {
        slot->photos.erase(slot->photos.begin(), slot->photos.begin() + static_cast<std::ptrdiff_t>(at));
        full_.push_front(slot);
        changed_.notify_all();
        return false;
      }
    }
    Fail(status);
    return true;
  }
  return true;
}

Status BatchLine::RunBatch(const Slot& slot, size_t first, size_t count, Engine* engine) {
  const size_t begin = slot.photos[first].entry.offset;
  const size_t end = first + count < slot.photos.size() ? slot.photos[first + count].entry.offset : slot.used;
  for (size_t i = 0; i < count; ++i) {
    engine->entries[i] = slot.photos[first + i].entry;
    engine->entries[i].offset -= begin;
    engine->rows[i] = slot.photos[first + i].row;
  }
  const size_t row = static_cast<size_t>(output_size_);
  const ImageBatch batch{slot.bytes.subspan(begin, end - begin), {engine->entries.data(), count}};
  COUPLET_RETURN_IF_ERROR(RunProfiled(*engine->session, *engine->worker, batch,
                                      std::span(engine->out).first(count * row), profile_,
                                      {options_.kept, {engine->rows.data(), count}}));
  for (size_t i = 0; i < count; ++i)
    std::memcpy(slot.photos[first + i].dst.data(), engine->out.data() + i * row, row * sizeof(float));
  return {};
}

void BatchLine::Release(Slot* slot) {
  if (!slot->alone) slot->photos.clear();  // and what their callbacks hold, outside of the lock
  const std::lock_guard lock(mutex_);
  if (slot->alone)
    slot->finished = true;
  else
    free_.push_back(slot);
  changed_.notify_all();
}

}  // namespace couplet
