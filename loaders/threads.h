// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace couplet {

// How many threads this process may use: its CPU affinity, held down by a cgroup's CPU quota (containers). >= 1
int UsableThreads();

}  // namespace couplet
