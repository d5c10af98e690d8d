// The stand-ins for the CUDA runtime, cuDNN, cuBLAS and cublasLt: what a test can ask of them. They are
// linked into build/tests/standin/libcouplet_cuda.so in the libraries' place, so that the whole CUDA engine
// runs without a GPU: calls are checked as the real ones check them, memory is tracked, kernels run in the
// SIMT harness, convolutions and matrix products are computed by a plain reference. Tests reach these
// functions with dlsym.
//
// Whole programs are steered by the environment, read at the first call:
//   COUPLET_STANDIN_FAIL     see couplet_standin_fail
//   COUPLET_STANDIN_ORDER    see couplet_standin_order
//   COUPLET_STANDIN_REPORT   file that is written at exit: misuse, what is still alive, calls, peak memory
//   COUPLET_STANDIN_<PROPERTY>  see couplet_standin_set, e.g. COUPLET_STANDIN_MEMORY_MB=512
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

extern "C" {

// Lets calls fail: "name:N[+][:code],..." the N-th call of `name` from now (with +: and every later one)
// returns `code` and does nothing else. `name` is a function's, "*" for any function, "launch" for kernel
// launches, or "run" for the N-th piece of work that a stream executes, whose error shows where the work is
// waited for. `code` is the library's own number, or "oom", "fault" (an illegal address: every later call
// fails too) or "unknown", in each library's spelling; left out, it is "oom" for what allocates and "unknown"
// elsewhere. "" ends all plans. A failing call that frees or destroys frees nonetheless, as the real ones do.
void couplet_standin_fail(const char* plan);

// When work runs: "eager" (at once), "late" (nothing before it is waited for, and then only what that needs;
// of a graph's nodes the youngest first), or a number: a seed for orders between the two, always within what
// streams and events allow.
void couplet_standin_order(const char* order);

// The device that is played: "devices" (0: none), "driver" (version as 13000; 0: no driver), "name",
// "memory_mb", "free_mb" (of it at start), "capability" ("9.0"), "integrated" (0 or 1: pinned memory is the device's, too), "strided" (1:
// convolutions that write a channel slice are supported; cuDNN promises them for dense tensors only), "guard"
// (1: the host cannot touch device memory; a touch ends the program), "quiet" (1: mistakes are listed but not
// printed), "idle" (1: convolutions are checked and take their memory, but nothing is computed: for networks whose
// arithmetic would take minutes). Returns false for a property there is not.
bool couplet_standin_set(const char* property, const char* value);

// Calls since the last reset; "*" counts all of them, "launch" kernel launches, "run" pieces of work
// executed, "bytes to the device" what copies from the host were asked to move.
long couplet_standin_calls(const char* name);
// Objects still alive: memory, streams, events, graphs, handles, descriptors. Their list goes to `text`, cut
// at `size`.
size_t couplet_standin_alive(char* text, size_t size);
// Mistakes seen since the last reset that a real device would answer with a fault, silence or luck.
size_t couplet_standin_misuse(char* text, size_t size);
// Most device memory in use at once since the last reset, bytes.
size_t couplet_standin_peak_bytes();
// Ends plans, counts, misuse and a sticky fault; the order is eager again and the device as at start. What is
// alive stays alive.
void couplet_standin_reset();
}
