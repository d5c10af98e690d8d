// A machine's /proc and /sys in a folder, for what reads them.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace couplet::test {

// Writes `text` to root + path, folders and all.
void WriteUnder(const std::string& root, const std::string& path, const std::string& text);

// A TX2 as L4T 28 to 32 show it: GPU at 53.1 %, 41.5 C, 3,177 mW into the board.
void WriteTx2(const std::string& root);
// An AGX Orin as L4T 35 and later show it: GPU at 7 %, 5 W, 1 W and 3 W into its three rails.
void WriteOrin(const std::string& root);
// /proc/stat and /proc/meminfo.
void WriteLoad(const std::string& root, long busy_ticks, long idle_ticks, long total_kb, long available_kb);

}  // namespace couplet::test
