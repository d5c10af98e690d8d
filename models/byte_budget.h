// So many bytes for all threads together; who wants more than is left waits.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace couplet {

class ByteBudget {
 public:
  explicit ByteBudget(size_t bytes) : bytes_(bytes) {}

  // Bytes taken, given back when this dies. One who wants more than all there is gets it when nobody holds
  // any.
  class Hold {
   public:
    Hold(ByteBudget& budget, size_t bytes) : budget_(budget), bytes_(bytes) {
      std::unique_lock lock(budget_.mutex_);
      budget_.freed_.wait(lock, [&] {
        return budget_.used_ == 0 ||
               (budget_.used_ <= budget_.bytes_ && bytes_ <= budget_.bytes_ - budget_.used_);
      });
      budget_.used_ += bytes_;
    }
    ~Hold() {
      {
        const std::lock_guard lock(budget_.mutex_);
        budget_.used_ -= bytes_;
      }
      budget_.freed_.notify_all();
    }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
    ByteBudget& budget_;
    const size_t bytes_;
  };

 private:
  const size_t bytes_;
  size_t used_ = 0;
  std::mutex mutex_;
  std::condition_variable freed_;
};

}  // namespace couplet
