// The only object that knows the commit: see the Makefile.
// SPDX-License-Identifier: Apache-2.0
#include "apps/version.h"

#include <curl/curlver.h>
#include <fmt/format.h>
#include <google/protobuf/stubs/common.h>
#include <sqlite3.h>

#include "runtime/backend.h"
#include "runtime/cuda_loader.h"

namespace couplet {

std::string Version() { return COUPLET_VERSION; }

std::string VersionText(const std::string& program) {
  return fmt::format(
      "{} (Couplet) {}, commit {}\n"
      "backends: cpu ({}); cuda: {}\n"
      "libraries: protobuf {}.{}.{}, SQLite {}, libcurl {}, fmt {}.{}.{}\n",
      program, COUPLET_VERSION, COUPLET_COMMIT, MakeCpuBackend()->description(),
      FindCudaLibrary().empty() ? "not in this build" : FindCudaLibrary(), GOOGLE_PROTOBUF_VERSION / 1000000,
      GOOGLE_PROTOBUF_VERSION / 1000 % 1000, GOOGLE_PROTOBUF_VERSION % 1000, SQLITE_VERSION, LIBCURL_VERSION, FMT_VERSION / 10000, FMT_VERSION / 100 % 100, FMT_VERSION % 100);
}

}  // namespace couplet
