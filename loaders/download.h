// One file over HTTP, as a downloader that may be interrupted has to do it: resumed, bounded, verified, whole or not
// at all.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "runtime/status.h"

namespace couplet {

// Lines for the user ("Downloading x.tgz: 12.3 of 19.1 MB"); a transient one is overwritten by the next.
using ProgressFn = std::function<void(const std::string& line, bool transient)>;

struct DownloadRequest {
  std::string url;
  std::string path;            // where the file goes; its folder must exist
  std::string sha256;          // lower-case hex; "" = not known
  bool allow_http = false;     // plain http: also where the host is neither this machine nor the SHA-256 known
  uint64_t max_bytes = uint64_t{512} << 20;
  int stall_seconds = 30;      // under 1 KB a second for so long counts as broken off
  int retry_pause_ms = 1000;   // before the second try; doubled before each further one
  std::function<bool()> interrupted;  // polled; true ends the download with kInterrupted, to be resumed later
};

// Downloads through `path`.part, which is kept when the transfer breaks off and resumed by the next call (where the
// server's ETag still holds, or the SHA-256 is known); broken transfers are tried three times. Redirects: five, never
// to what the rules above forbid. The SHA-256 is checked before the file gets its name.
// kIo: refused, unreachable, too large, another SHA-256; the message begins with the URL.
Status Download(const DownloadRequest& request, const ProgressFn& progress);

// True for http://localhost, 127.x.y.z and [::1].
bool IsLoopbackUrl(const std::string& url);

}  // namespace couplet
