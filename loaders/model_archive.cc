// SPDX-License-Identifier: Apache-2.0
#include "loaders/model_archive.h"

#include <fmt/format.h>

#include <cstdlib>
#include <vector>

#include "loaders/files.h"
#include "loaders/hash.h"
#include "loaders/unpack.h"

namespace couplet {
namespace {

Result<std::string> HashOf(const std::string& path, uint64_t max_bytes) {
  COUPLET_ASSIGN_OR_RETURN(const auto file, MappedFile::Open(path, max_bytes));
  return ToHex(Sha256(file->bytes()));
}

// The hash kept beside an archive that nobody published one for, in sha256sum's form; "" where there is none.
std::string KeptHash(const std::string& archive) {
  std::vector<uint8_t> bytes;
  if (!ReadFile(archive + ".sha256", 4096, &bytes).ok()) return "";
  const std::string text(bytes.begin(), bytes.end());
  constexpr size_t kDigits = 64;
  return text.find_first_not_of("0123456789abcdef") == kDigits ? text.substr(0, kDigits) : "";
}

// Holds an archive to its published hash, or else to the one kept beside it; keeps it the first time.
Status CheckArchive(const ArchiveRequest& request, const std::string& path, const ProgressFn& progress) {
  COUPLET_ASSIGN_OR_RETURN(const std::string got, HashOf(path, request.max_bytes));
  if (!request.archive_sha256.empty()) {
    if (got == request.archive_sha256) return {};
    return BadInput(fmt::format("{} has SHA-256 {}, the published file {}: it is damaged or another one; remove it",
                                path, got, request.archive_sha256));
  }
  const std::string kept = KeptHash(path);
  if (got == kept) return {};
  if (!kept.empty())
    return BadInput(fmt::format("{} has SHA-256 {}, but {}.sha256 says {}: it is damaged or another one; remove "
                                "one of the two", path, got, path, kept));
  progress(fmt::format("{}: SHA-256 {} (none is known to compare with; kept in {}.sha256)", path, got,
                       request.archive_name), false);
  return WriteFileAtomically(path + ".sha256", got + "  " + request.archive_name + "\n");
}

Status CheckMember(const ArchiveRequest& request, const std::string& path) {
  if (request.member_sha256.empty()) return {};
  COUPLET_ASSIGN_OR_RETURN(const std::string got, HashOf(path, request.max_bytes));
  if (got == request.member_sha256) return {};
  return BadInput(fmt::format("{} has SHA-256 {}, the published graph {}: remove it to have it unpacked or "
                              "downloaded again, or give it with --model_file", path, got, request.member_sha256));
}

std::string Mirror() {
  const char* mirror = std::getenv("COUPLET_MIRROR");
  return mirror != nullptr ? mirror : "";
}
bool IsUrl(const std::string& mirror) { return mirror.find("://") != std::string::npos; }

// A copy from a mirror that is a folder; one with another hash than `sha256` (where that is known) is not taken.
Status CopyFile(const std::string& from, const std::string& to, const std::string& sha256, uint64_t max_bytes,
                const ProgressFn& progress) {
  COUPLET_ASSIGN_OR_RETURN(const auto file, MappedFile::Open(from, max_bytes));
  if (const std::string got = ToHex(Sha256(file->bytes())); !sha256.empty() && got != sha256)
    return BadInput(fmt::format("{} (in COUPLET_MIRROR) has SHA-256 {}, the known file {}", from, got, sha256));
  COUPLET_RETURN_IF_ERROR(WriteFileAtomically(
      to, {reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()}));
  progress(fmt::format("Copied {}", from), false);
  return {};
}

// One address to ask, in the order they are asked.
struct Source {
  std::string url;
  bool allow_http;
};
std::vector<Source> Sources(const ArchiveRequest& request) {
  std::vector<Source> sources;
  if (request.offline) return sources;
  if (const std::string mirror = Mirror(); IsUrl(mirror))
    sources.push_back({JoinPath(mirror, request.archive_name), true});
  sources.push_back({request.url, false});
  if (!request.http_url.empty() && !request.archive_sha256.empty()) sources.push_back({request.http_url, false});
  return sources;
}

std::string KnownHash(const ArchiveRequest& request, const std::string& archive) {
  return request.archive_sha256.empty() ? KeptHash(archive) : request.archive_sha256;
}

Status DownloadArchive(const ArchiveRequest& request, const std::string& path, const ProgressFn& progress) {
  std::string reasons;
  for (const auto& source : Sources(request)) {
    progress("Downloading " + source.url, false);
    Status status = Download({.url = source.url, .path = path, .sha256 = KnownHash(request, path),
                              .allow_http = source.allow_http, .max_bytes = request.max_bytes,
                              .interrupted = request.interrupted}, progress);
    if (status.ok() || status.code() == Code::kInterrupted) return status;
    reasons += (reasons.empty() ? "" : "; ") + status.message();
  }
  if (request.offline) reasons = "--offline forbids the download of " + request.url;
  return IoError(fmt::format("no {}: {}; put the archive into {} by hand{}{}", request.archive_name, reasons,
                             request.dir, request.advice.empty() ? "" : ", ", request.advice));
}

// `name` in the mirror where that is a folder and holds it; else "".
std::string InMirrorFolder(const std::string& name) {
  const std::string mirror = Mirror();
  if (mirror.empty() || IsUrl(mirror)) return "";
  const std::string path = JoinPath(mirror, name);
  return FileExists(path) ? path : "";
}

}  // namespace

Result<std::string> ObtainArchive(const ArchiveRequest& request, const ProgressFn& progress) {
  const std::string path = JoinPath(request.dir, request.archive_name);
  if (!FileExists(path)) {
    COUPLET_RETURN_IF_ERROR(MakeDirectories(request.dir));
    if (const std::string mirrored = InMirrorFolder(request.archive_name); !mirrored.empty()) {
      COUPLET_RETURN_IF_ERROR(
          CopyFile(mirrored, path, KnownHash(request, path), request.max_bytes, progress));
    } else {
      COUPLET_RETURN_IF_ERROR(DownloadArchive(request, path, progress));
    }
  }
  COUPLET_RETURN_IF_ERROR(CheckArchive(request, path, progress));
  return path;
}

Result<std::string> ObtainModel(const ArchiveRequest& request, const ProgressFn& progress) {
  const std::string folder = JoinPath(request.dir, request.folder);
  const std::string path = JoinPath(folder, request.member);
  if (!FileExists(path)) {
    const std::string mirrored = InMirrorFolder(JoinPath(request.folder, request.member));
    if (!mirrored.empty() && !FileExists(JoinPath(request.dir, request.archive_name))) {
      COUPLET_RETURN_IF_ERROR(MakeDirectories(folder));
      COUPLET_RETURN_IF_ERROR(CopyFile(mirrored, path, request.member_sha256, request.max_bytes, progress));
    } else {
      COUPLET_ASSIGN_OR_RETURN(const std::string archive, ObtainArchive(request, progress));
      COUPLET_RETURN_IF_ERROR(MakeDirectories(folder));
      COUPLET_RETURN_IF_ERROR(ExtractMember(archive, request.member, path, request.max_bytes));
      progress(fmt::format("Unpacked {} from {}", path, archive), false);
    }
  }
  COUPLET_RETURN_IF_ERROR(CheckMember(request, path));
  return path;
}

}  // namespace couplet
