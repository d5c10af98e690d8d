// SPDX-License-Identifier: Apache-2.0
#undef _FORTIFY_SOURCE  // its longjmp refuses to go from one stack to another
#include "tests/support/simt/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

// swapcontext saves the signal mask, which is a system call: 180 ns a switch. Without a sanitizer to confuse,
// ucontext only starts a fiber and setjmp does the rest in 13 ns.
#if defined(__SANITIZE_ADDRESS__) || defined(COUPLET_TSAN)
#define COUPLET_SWAPCONTEXT 1
#endif

namespace couplet::simt {
namespace {
Fiber* left = nullptr;  // whom the last switch came from
}  // namespace

Fiber::~Fiber() {
  if (memory_ != nullptr) munmap(memory_, memory_bytes_);
}

void Fiber::Prepare(void (*entry)()) {
  if (memory_ == nullptr) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    memory_bytes_ = kStackBytes + page;
    void* got = mmap(nullptr, memory_bytes_, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (got == MAP_FAILED || mprotect(got, page, PROT_NONE) != 0) std::abort();
    memory_ = static_cast<char*>(got);
    bottom_ = memory_ + page;
    bytes_ = kStackBytes;
  }
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(bottom_, bytes_);  // frames that were left for good
#endif
  fake_stack_ = nullptr;
  if (getcontext(&start_) != 0) std::abort();
  start_.uc_stack.ss_sp = const_cast<void*>(bottom_);
  start_.uc_stack.ss_size = bytes_;
  start_.uc_link = nullptr;
  makecontext(&start_, entry, 0);
  // AddressSanitizer's swapcontext would clear the shadow of the whole stack at each switch.
  start_.uc_stack.ss_sp = nullptr;
  start_.uc_stack.ss_size = 0;
  started_ = false;
}

void Fiber::Arrived() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &left->bottom_, &left->bytes_);
#endif
}

void Fiber::SwitchTo(Fiber& to) {
  left = this;
#if defined(COUPLET_SWAPCONTEXT)
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&fake_stack_, to.bottom_, to.bytes_);
#endif
  const ucontext_t* target = to.started_ ? &to.context_ : &to.start_;
  to.started_ = true;
  swapcontext(&context_, target);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake_stack_, &left->bottom_, &left->bytes_);
#endif
#else
  if (_setjmp(resume_) != 0) return;
  if (to.started_) _longjmp(to.resume_, 1);
  to.started_ = true;
  setcontext(&to.start_);
#endif
}

}  // namespace couplet::simt
