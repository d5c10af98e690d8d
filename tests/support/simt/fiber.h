// Stacks to run threads on, and the step from one to another. Nothing here knows of CUDA.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <cstddef>

namespace couplet::simt {

// A stack of its own (mmap'd, a guard page below) and where its code is. The default one stands for the OS
// thread's own stack.
class Fiber {
 public:
  Fiber() = default;
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Makes the stack at the first call; the next switch to this fiber calls `entry`, which never returns.
  // Whatever was on the stack is forgotten.
  void Prepare(void (*entry)());
  // Leaves `*this` where it is and goes on in `to`. Returns when someone switches back.
  void SwitchTo(Fiber& to);
  // First thing that `entry` has to call.
  static void Arrived();

 private:
  static constexpr size_t kStackBytes = 256 * 1024;

  bool started_ = true;
  ucontext_t start_{};
  jmp_buf resume_;
  ucontext_t context_{};
  char* memory_ = nullptr;
  size_t memory_bytes_ = 0;
  // For AddressSanitizer: which addresses are this stack's.
  const void* bottom_ = nullptr;
  size_t bytes_ = 0;
  void* fake_stack_ = nullptr;
};

}  // namespace couplet::simt
