// Brings a model's graph to a file: found as the codelab leaves it, else downloaded, verified and unpacked.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "loaders/download.h"
#include "runtime/status.h"

namespace couplet {

struct ArchiveRequest {
  std::string dir;             // model_dir; made when needed
  std::string folder;          // sub-folder that the archive's graph is looked for in and unpacked to ("" = dir)
  std::string archive_name;    // file name of the archive in dir
  std::string member;          // base name wanted from the archive ("frozen_graph.pb")
  std::string url;             // https
  std::string http_url;        // asked when `url` fails and archive_sha256 is known; "" = none
  std::string archive_sha256;  // "" = unknown: the hash is printed, kept beside the file, held to later
  std::string member_sha256;   // "" = unknown
  std::string advice;          // what the user can do when the network does not help; ends the message
  bool offline = false;        // ask no network; a folder in COUPLET_MIRROR still serves
  uint64_t max_bytes = uint64_t{512} << 20;  // of archive and of member
  std::function<bool()> interrupted;         // as in DownloadRequest
};

// Path of the graph file dir/folder/member: there already, or unpacked from dir/archive_name, or from COUPLET_MIRROR (a
// URL or a folder that holds the archive, or the unpacked folder), or from the network. Known SHA-256s are checked in
// every case. kBadInput: a file that is not what it should be; kIo: none could be had, saying where and why.
Result<std::string> ObtainModel(const ArchiveRequest& request, const ProgressFn& progress);

// The same without unpacking: path of the verified archive dir/archive_name.
Result<std::string> ObtainArchive(const ArchiveRequest& request, const ProgressFn& progress);

}  // namespace couplet
