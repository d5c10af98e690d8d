// SPDX-License-Identifier: Apache-2.0
#include "apps/guarded_main.h"

#include <cxxabi.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <exception>
#include <new>
#include <typeinfo>

#include "runtime/status.h"

namespace couplet {
namespace {

const char* guarded_program = "couplet";
std::atomic<bool> memory_ran_out{false};

// Without memory of its own: there may be none. `type`: of what was thrown, mangled.
int ExplainThrown(const char* type) {
  std::fflush(stdout);
  if (memory_ran_out) {
    std::fprintf(stderr, "%s: error: not enough memory; end other programs, use fewer --threads or a smaller network\n", guarded_program);
    return static_cast<int>(Code::kDevice);
  }
  std::fprintf(stderr, "%s: error: internal error (%s thrown); files are as they were before\n", guarded_program, type);
  return static_cast<int>(Code::kInternal);
}

const char* CurrentType() {
  const std::type_info* type = abi::__cxa_current_exception_type();
  if (type != nullptr && *type == typeid(std::bad_alloc)) memory_ran_out = true;  // a library's, told by its caller
  return type == nullptr ? "something was" : type->name();
}

// On another thread, or while an exception leaves a frame that cannot be left: nothing can be unwound.
[[noreturn]] void OnTerminate() { _exit(ExplainThrown(CurrentType())); }

void OnNoMemory() {
  memory_ran_out = true;
  throw std::bad_alloc();
}

}  // namespace

int GuardedMain(const char* program, int (*run)(int argc, char** argv), int argc, char** argv) noexcept {
  guarded_program = program;
  std::set_new_handler(OnNoMemory);
  std::set_terminate(OnTerminate);
  try {
    return run(argc, argv);
  } catch (...) {
    return ExplainThrown(CurrentType());
  }
}

}  // namespace couplet
