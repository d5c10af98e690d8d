// For functions that kernels and host code share. C++14 and no library.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#ifdef __CUDACC__
#define COUPLET_HOST_DEVICE __host__ __device__
#else
#define COUPLET_HOST_DEVICE
#endif
