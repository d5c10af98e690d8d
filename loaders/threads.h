// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace couplet {

// How many threads this process may use: its CPU affinity, held down by a cgroup's CPU quota (containers). >= 1
int UsableThreads();

// What --threads asks for: 0 is all of them.
inline int ThreadsAskedFor(int threads) { return threads > 0 ? threads : UsableThreads(); }

}  // namespace couplet
