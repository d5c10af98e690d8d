// What the Makefile downloads with: the same code, verification and mirrors as retrain's.
//   build/fetch flower_photos DIR         the codelab's photos, unpacked to DIR/flower_photos
//   build/fetch ARCHITECTURE DIR          a known model, as retrain --model_dir=DIR would bring it
//   build/fetch manifest                  prints weights/manifest.tsv
// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <cstdio>
#include <string>

#include "apps/console.h"
#include "apps/guarded_main.h"
#include "loaders/files.h"
#include "loaders/model_archive.h"
#include "loaders/unpack.h"
#include "models/catalog.h"

namespace {

using couplet::Status;

// A bar that overwrites itself on a terminal; elsewhere only the lines that stay.
void Show(const std::string& line, bool transient) {
  const bool is_terminal = isatty(STDERR_FILENO) != 0;
  if (transient && !is_terminal) return;
  std::fprintf(stderr, "%s%s%s", is_terminal ? "\r\033[K" : "", line.c_str(), transient ? "" : "\n");
}

Status FetchFlowers(const std::string& dir) {
  const std::string folder = couplet::JoinPath(dir, "flower_photos");
  if (couplet::FileExists(folder)) {
    Show(folder + " is there already", false);
    return {};
  }
  auto request = couplet::FlowerPhotos(dir);
  request.interrupted = couplet::Interrupted;
  Show("flower_photos.tgz: 229 MB, 3,670 photos", false);
  COUPLET_ASSIGN_OR_RETURN(const std::string archive, couplet::ObtainArchive(request, Show));
  COUPLET_RETURN_IF_ERROR(couplet::ExtractTree(archive, dir, uint64_t{1} << 30));
  Show("Unpacked " + folder, false);
  return {};
}

Status FetchModel(const std::string& architecture, const std::string& dir) {
  COUPLET_ASSIGN_OR_RETURN(const auto spec, couplet::FindModel(architecture));
  auto request = couplet::RequestFor(spec, dir, /*offline=*/false);
  request.interrupted = couplet::Interrupted;
  COUPLET_ASSIGN_OR_RETURN(const std::string path, couplet::ObtainGraph(spec, request, Show));
  COUPLET_ASSIGN_OR_RETURN(const auto graph, couplet::GraphDef::Open(path));
  COUPLET_RETURN_IF_ERROR(couplet::CheckGraph(spec, graph));
  Show(path + " is there", false);
  return {};
}

int Main(int argc, char** argv) {
  couplet::InstallSignalHandlers();
  const std::string what = argc > 1 ? argv[1] : "";
  if (argc == 2 && what == "manifest") {
    std::fputs(couplet::ManifestText().c_str(), stdout);
    return 0;
  }
  if (argc != 3)
    return couplet::Fail("fetch", couplet::BadInput("usage: fetch flower_photos|ARCHITECTURE DIR, or fetch manifest"));
  const Status status = what == "flower_photos" ? FetchFlowers(argv[2]) : FetchModel(what, argv[2]);
  return status.ok() ? 0 : couplet::Fail("fetch", status);
}

}  // namespace

int main(int argc, char** argv) {
  return couplet::GuardedMain("fetch", Main, argc, argv);
}
