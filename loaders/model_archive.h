// Brings a model's graph to a file: found as the codelab leaves it, else downloaded, verified and unpacked.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "runtime/status.h"

namespace couplet {

struct ArchiveRequest {
  std::string dir;             // model_dir; made when needed
  std::string folder;          // sub-folder that the archive's graph is looked for in and unpacked to ("" = dir)
  std::string archive_name;    // file name of the archive in dir
  std::string member;          // base name wanted from the archive ("frozen_graph.pb")
  std::string url;             // https first; plain http only for loopback, mirrors, pinned archives
  std::string archive_sha256;  // "" = unknown: the hash is printed, kept beside the file, held to later
  std::string member_sha256;   // "" = unknown
  bool offline = false;
  uint64_t max_bytes = uint64_t{512} << 20;  // of archive and member
};

// Lines for the user ("Downloading ..., 12.3 of 19.1 MB").
using ProgressFn = std::function<void(const std::string& line, bool transient)>;

// Path of the graph file. COUPLET_MIRROR (URL or folder) comes before request.url.
Result<std::string> ObtainModel(const ArchiveRequest& request, const ProgressFn& progress);

// Resumable download to `path` (through path.part), atomic. Used by ObtainModel and by `make flowers`.
Status Download(const std::string& url, const std::string& path, const std::string& sha256, uint64_t max_bytes,
                const ProgressFn& progress);
// The one regular file with base name `member` in a .tar.gz, written atomically to `path`. Nothing else is extracted.
Status ExtractMember(const std::string& archive, const std::string& member, const std::string& path,
                     uint64_t max_bytes);
// All regular image files and the licence of an archive such as flower_photos.tgz, under `dir`; names that leave it
// (absolute, "..", links) are refused.
Status ExtractTree(const std::string& archive, const std::string& dir, uint64_t max_bytes);

}  // namespace couplet
