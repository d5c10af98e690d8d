// What a kernel's declaration needs and no more: the type of a stream and of a launch's result. No toolkit
// header, so every compiler and the tests' harness read the same NAME.h. C++14.
// SPDX-License-Identifier: Apache-2.0
#pragma once

struct CUstream_st;
struct __half;  // the toolkit's (cuda_fp16.h) or the harness's; declarations only point at it

namespace couplet {

using DeviceStream = CUstream_st*;  // a cudaStream_t
using LaunchResult = int;           // 0, or a cudaError_t

// What launchers themselves answer, with the toolkit's values.
enum : LaunchResult {
  kLaunchOk = 0,
  kLaunchInvalidValue = 1,    // cudaErrorInvalidValue: a shape or a pointer the kernel does not take
  kLaunchNotSupported = 801,  // cudaErrorNotSupported: this device has no such instruction
};

}  // namespace couplet
