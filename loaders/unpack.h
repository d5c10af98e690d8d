// .tar.gz archives from the network: only gzip and tar are understood, and nothing an archive says decides where a
// file is written.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "runtime/status.h"

namespace couplet {

// Both refuse (kBadInput, naming archive and entry) an archive with a name that is absolute or holds "..", one that
// unpacks to more than max_bytes or to more than a few hundred times its own size, and one that is truncated.

// The one regular file with base name `member`, written atomically to `path`; whatever else is inside is skipped.
// kBadInput: no such file, two of them, or a link by that name.
Status ExtractMember(const std::string& archive, const std::string& member, const std::string& path,
                     uint64_t max_bytes);

// All photos (jpg jpeg png bmp gif) and licence texts, under `dir`, which is made when needed; a link refuses the
// archive. Unpacked in a folder beside and moved at the end: each top folder appears whole or not at all.
// kBadInput: also when one of the top names exists in `dir` already.
Status ExtractTree(const std::string& archive, const std::string& dir, uint64_t max_bytes);

}  // namespace couplet
