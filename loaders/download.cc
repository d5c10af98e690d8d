// SPDX-License-Identifier: Apache-2.0
#include "loaders/download.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>

#include "loaders/files.h"
#include "loaders/hash.h"

namespace couplet {
namespace {

constexpr int kTries = 3;
constexpr int kMaxRedirects = 5;
constexpr long kConnectSeconds = 20;
constexpr std::chrono::milliseconds kProgressInterval{100};

struct CurlDeleter {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Curl = std::unique_ptr<CURL, CurlDeleter>;
using Headers = std::unique_ptr<curl_slist, CurlDeleter>;

// "http" and "127.0.0.1" of http://user@127.0.0.1:8080/x; both lower case.
struct UrlParts {
  std::string scheme, host;
};
UrlParts SplitUrl(const std::string& url) {
  UrlParts parts;
  CURLU* parsed = curl_url();
  if (parsed != nullptr && curl_url_set(parsed, CURLUPART_URL, url.c_str(), 0) == CURLUE_OK) {
    const auto get = [&](CURLUPart part) {
      char* text = nullptr;
      std::string value;
      if (curl_url_get(parsed, part, &text, 0) == CURLUE_OK) value = text;
      curl_free(text);
      for (char& c : value)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
      return value;
    };
    parts = {get(CURLUPART_SCHEME), get(CURLUPART_HOST)};
  }
  curl_url_cleanup(parsed);
  return parts;
}

bool IsLoopbackHost(const std::string& host) {
  return host == "localhost" || host == "::1" || host == "[::1]" ||
         (host.rfind("127.", 0) == 0 && host.find_first_not_of("0123456789.") == std::string::npos);
}

// The part file, locked against a second run, and what is known of the transfer that began it.
class PartFile {
 public:
  explicit PartFile(const std::string& path) : path_(path + ".part"), tag_path_(path_ + ".etag") {}
  ~PartFile() {
    if (fd_ >= 0) close(fd_);
  }
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  // Waits for another run that is downloading the same file.
  Status Open(const ProgressFn& progress) {
    for (;;) {
      if (fd_ >= 0) close(fd_);
      fd_ = open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
      if (fd_ < 0) return Error("cannot be written");
      if (flock(fd_, LOCK_EX | LOCK_NB) != 0) {
        progress(fmt::format("{}: another run is downloading it; waiting", path_), false);
        waited_ = true;
        while (flock(fd_, LOCK_EX) != 0)
          if (errno != EINTR) return Error("cannot be locked");
      }
      struct stat opened{}, named{};
      if (fstat(fd_, &opened) != 0) return Error("cannot be examined");
      // The other run renamed it away when it was done: begin with a new one.
      if (stat(path_.c_str(), &named) == 0 && named.st_ino == opened.st_ino) {
        size_ = static_cast<uint64_t>(opened.st_size);
        return {};
      }
    }
  }

  bool waited() const { return waited_; }

  uint64_t size() const { return size_; }
  const std::string& path() const { return path_; }
  int write_errno() const { return write_errno_; }

  // "URL\nETAG" of the transfer that began the file; "" when it was another URL or the server gave no tag.
  std::string Tag(const std::string& url) const {
    std::vector<uint8_t> bytes;
    if (!ReadFile(tag_path_, 1 << 16, &bytes).ok()) return "";
    const std::string text(bytes.begin(), bytes.end());
    const size_t line = text.find('\n');
    return line != std::string::npos && text.substr(0, line) == url ? text.substr(line + 1) : "";
  }
  void SetTag(const std::string& url, const std::string& etag) const {
    unlink(tag_path_.c_str());
    // A tag that could not be kept only means that an interrupted transfer starts again.
    if (!etag.empty()) static_cast<void>(WriteFileAtomically(tag_path_, url + "\n" + etag).ok());
  }

  bool Truncate() {
    if (ftruncate(fd_, 0) != 0) {
      write_errno_ = errno;
      return false;
    }
    size_ = 0;
    return true;
  }
  bool Append(const char* data, size_t bytes) {
    while (bytes > 0) {
      const ssize_t written = pwrite(fd_, data, bytes, static_cast<off_t>(size_));
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) {
        write_errno_ = written == 0 ? ENOSPC : errno;
        return false;
      }
      data += written;
      bytes -= static_cast<size_t>(written);
      size_ += static_cast<uint64_t>(written);
    }
    return true;
  }
  Status Finish(const std::string& path) {
    if (fsync(fd_) != 0) return Error("cannot be written");
    if (rename(path_.c_str(), path.c_str()) != 0) return Error("cannot be renamed");
    unlink(tag_path_.c_str());
    return {};
  }
  void Remove() const {
    unlink(path_.c_str());
    unlink(tag_path_.c_str());
  }

 private:
  Status Error(const char* what) const {
    return IoError(fmt::format("{} {}: {}", path_, what, std::strerror(errno)));
  }
  std::string path_, tag_path_;
  int fd_ = -1;
  bool waited_ = false;
  uint64_t size_ = 0;
  int write_errno_ = 0;
};

// What one request met with.
struct Transfer {
  const DownloadRequest* request;
  const ProgressFn* progress;
  PartFile* part;
  std::string url;         // of this hop
  CURL* curl = nullptr;
  std::string tag = {};         // ETag, else Last-Modified, of the answer
  std::string range_from = {};  // "Content-Range: bytes 100-" of the answer: "100"
  bool body_begun = false;
  bool too_large = false, bad_range = false, stopped = false;
  uint64_t total = 0;  // 0: the server did not say
  std::chrono::steady_clock::time_point last_line{};
};

std::string Megabytes(uint64_t bytes) { return fmt::format("{:.1f}", static_cast<double>(bytes) / 1e6); }

std::string BaseName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

void ShowProgress(Transfer& transfer) {
  const auto now = std::chrono::steady_clock::now();
  if (now - transfer.last_line < kProgressInterval) return;
  transfer.last_line = now;
  const std::string of = transfer.total > 0 ? " of " + Megabytes(transfer.total) : "";
  (*transfer.progress)(fmt::format("Downloading {}: {}{} MB", BaseName(transfer.request->path),
                                   Megabytes(transfer.part->size()), of), true);
}

size_t OnHeader(char* data, size_t, size_t bytes, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  std::string_view line(data, bytes);
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
  const auto value_of = [&](std::string_view name) -> std::string {
    if (line.size() <= name.size() || strncasecmp(line.data(), name.data(), name.size()) != 0) return "";
    const size_t start = line.find_first_not_of(' ', name.size());
    return start == std::string_view::npos ? "" : std::string(line.substr(start));
  };
  if (line.starts_with("HTTP/")) {  // another answer: what a proxy or a "100 Continue" said is past
    transfer.tag.clear();
    transfer.range_from.clear();
  }
  // A weak tag promises no equal bytes; Last-Modified is better than nothing only where there is no tag at all.
  if (const auto etag = value_of("etag:"); !etag.empty() && etag.rfind("W/", 0) != 0) transfer.tag = etag;
  if (const auto date = value_of("last-modified:"); !date.empty() && transfer.tag.empty()) transfer.tag = date;
  if (const auto range = value_of("content-range: bytes"); !range.empty())
    transfer.range_from = range.substr(0, range.find('-'));
  return bytes;
}

// An answer with the rest of the file is appended, one with all of it starts anew.
bool BeginBody(Transfer& transfer, long code) {
  transfer.body_begun = true;
  if (code == 206 && transfer.range_from != std::to_string(transfer.part->size())) {
    transfer.bad_range = true;
    return false;
  }
  if (code != 206) {
    if (!transfer.part->Truncate()) return false;
    transfer.part->SetTag(transfer.request->url, transfer.tag);
  }
  curl_off_t length = -1;
  curl_easy_getinfo(transfer.curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
  if (length >= 0) transfer.total = transfer.part->size() + static_cast<uint64_t>(length);
  return true;
}

size_t OnBody(char* data, size_t, size_t bytes, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  if (!transfer.body_begun) {
    long code = 0;
    curl_easy_getinfo(transfer.curl, CURLINFO_RESPONSE_CODE, &code);
    if (code >= 300) return bytes;  // a page that says where the file has moved to
    if (!BeginBody(transfer, code)) return 0;
  }
  const uint64_t limit = transfer.request->max_bytes;
  if (transfer.total > limit || bytes > limit || transfer.part->size() > limit - bytes) {
    transfer.too_large = true;
    return 0;
  }
  if (!transfer.part->Append(data, bytes)) return 0;
  ShowProgress(transfer);
  return bytes;
}

int OnTick(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  auto& transfer = *static_cast<Transfer*>(user);
  transfer.stopped = transfer.request->interrupted && transfer.request->interrupted();
  return transfer.stopped ? 1 : 0;
}

// What one request ended with: done, worth another try (after `why`), or the end.
struct Outcome {
  enum class Kind { kDone, kRedirect, kRetry, kFail } kind;
  Status status;      // kRetry, kFail
  std::string target;  // kRedirect
};

Status CheckAllowed(const std::string& url, const DownloadRequest& request) {
  const auto parts = SplitUrl(url);
  if (parts.scheme == "https") return {};
  if (parts.scheme != "http")
    return IoError(fmt::format("{}: only https and http are downloaded", url));
  if (request.allow_http || !request.sha256.empty() || IsLoopbackHost(parts.host)) return {};
  return IoError(fmt::format("{}: plain http is not asked for a file whose SHA-256 is not known", url));
}

void SetOptions(Transfer& transfer, char* error) {
  CURL* curl = transfer.curl;
  curl_easy_setopt(curl, CURLOPT_URL, transfer.url.c_str());
#if LIBCURL_VERSION_NUM >= 0x075500
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https,http");
#else
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS, CURLPROTO_HTTPS | CURLPROTO_HTTP);
#endif
  if (IsLoopbackUrl(transfer.url)) curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "couplet");
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1000L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, static_cast<long>(transfer.request->stall_seconds));
  curl_easy_setopt(curl, CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(transfer.request->max_bytes));
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, OnHeader);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, OnBody);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, OnTick);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);
}

Outcome Judge(const Transfer& transfer, CURLcode code, long status, const char* error) {
  using Kind = Outcome::Kind;
  const auto& url = transfer.url;
  const std::string reason = error[0] != '\0' ? error : curl_easy_strerror(code);
  if (transfer.stopped)
    return {Kind::kFail, {Code::kInterrupted, url + ": interrupted; the next run goes on from where it stopped"}, ""};
  if (transfer.too_large || code == CURLE_FILESIZE_EXCEEDED)
    return {Kind::kFail, IoError(fmt::format("{}: larger than the {} MB allowed", url,
                                             Megabytes(transfer.request->max_bytes))), ""};
  if (const int failed = transfer.part->write_errno(); failed != 0)
    return {Kind::kFail, IoError(fmt::format("{} cannot be written: {}", transfer.part->path(),
                                             std::strerror(failed))), ""};
  if (transfer.bad_range || status == 416)
    return {Kind::kRetry, IoError(url + ": the server does not resume where asked to"), ""};
  if (code == CURLE_OK) return {Kind::kDone, {}, ""};
  const Status failure = IoError(fmt::format("{}: {}", url, reason));
  // 4xx stay what they are; a broken line or a server out of breath may be better the next time.
  const bool final_answer = (status >= 400 && status < 500 && status != 408 && status != 429) ||
                            code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_RESOLVE_PROXY ||
                            code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
                            code == CURLE_URL_MALFORMAT;
  return {final_answer ? Kind::kFail : Kind::kRetry, failure, ""};
}

// One request to one address.
Outcome Perform(Transfer& transfer) {
  using Kind = Outcome::Kind;
  if (Status allowed = CheckAllowed(transfer.url, *transfer.request); !allowed.ok())
    return {Kind::kFail, allowed, ""};
  const Curl curl(curl_easy_init());
  if (curl == nullptr) return {Kind::kFail, Internal("libcurl does not start"), ""};
  transfer.curl = curl.get();
  char error[CURL_ERROR_SIZE] = "";
  SetOptions(transfer, error);
  Headers headers;
  if (const uint64_t have = transfer.part->size(); have > 0) {
    const std::string tag = transfer.part->Tag(transfer.request->url);
    // Without a tag only the SHA-256 can tell afterwards whether the halves belong together.
    if (!tag.empty() || !transfer.request->sha256.empty()) {
      curl_easy_setopt(curl.get(), CURLOPT_RANGE, fmt::format("{}-", have).c_str());
      if (!tag.empty()) headers.reset(curl_slist_append(nullptr, ("If-Range: " + tag).c_str()));
      curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, headers.get());
    }
  }
  const CURLcode code = curl_easy_perform(curl.get());
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  char* target = nullptr;
  curl_easy_getinfo(curl.get(), CURLINFO_REDIRECT_URL, &target);
  if (status >= 300 && status < 400 && target != nullptr) return {Kind::kRedirect, {}, target};
  Outcome outcome = Judge(transfer, code, status, error);
  // An answer of 200 without a body, or 3xx without an address, never came to BeginBody.
  if (outcome.kind == Kind::kDone && status != 206 && !transfer.body_begun && !transfer.part->Truncate())
    return {Kind::kFail, IoError(transfer.part->path() + " cannot be written"), ""};
  if (outcome.kind == Kind::kRetry && (transfer.bad_range || status == 416) && !transfer.part->Truncate())
    return {Kind::kFail, IoError(transfer.part->path() + " cannot be written"), ""};
  if (outcome.kind == Kind::kDone && status >= 300)
    return {Kind::kFail, IoError(fmt::format("{}: answered {} without an address", transfer.url, status)), ""};
  return outcome;
}

// One try: the request and the redirects it is answered with.
Outcome Fetch(const DownloadRequest& request, PartFile* part, const ProgressFn& progress) {
  std::string url = request.url;
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    Transfer transfer{.request = &request, .progress = &progress, .part = part, .url = url};
    Outcome outcome = Perform(transfer);
    if (outcome.kind != Outcome::Kind::kRedirect) return outcome;
    url = outcome.target;
  }
  return {Outcome::Kind::kFail,
          IoError(fmt::format("{}: redirected more than {} times", request.url, kMaxRedirects)), ""};
}

// The part file as the file wanted; one that is not leaves nothing to resume.
Status Verify(const DownloadRequest& request, const PartFile& part, const std::string& path) {
  if (request.sha256.empty()) return {};
  COUPLET_ASSIGN_OR_RETURN(const auto file, MappedFile::Open(path, request.max_bytes));
  const std::string got = ToHex(Sha256(file->bytes()));
  if (got == request.sha256) return {};
  part.Remove();
  return IoError(fmt::format("{}: what came has SHA-256 {}, not {}; it was thrown away", request.url, got,
                             request.sha256));
}

// false: interrupted meanwhile.
bool Pause(const DownloadRequest& request, int milliseconds) {
  constexpr int kSlice = 50;
  for (int slept = 0; slept < milliseconds; slept += kSlice) {
    if (request.interrupted && request.interrupted()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(std::min(kSlice, milliseconds - slept)));
  }
  return true;
}

}  // namespace

bool IsLoopbackUrl(const std::string& url) { return IsLoopbackHost(SplitUrl(url).host); }

Status Download(const DownloadRequest& request, const ProgressFn& progress) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  COUPLET_RETURN_IF_ERROR(CheckAllowed(request.url, request));
  PartFile part(request.path);
  COUPLET_RETURN_IF_ERROR(part.Open(progress));
  if (part.waited() && part.size() == 0 && FileExists(request.path)) {  // the other run brought it
    part.Remove();
    return Verify(request, part, request.path);
  }
  Status last;
  int pause_ms = request.retry_pause_ms;
  for (int attempt = 0; attempt < kTries; ++attempt, pause_ms *= 2) {
    if (attempt > 0) {
      progress(fmt::format("{}; trying again", last.message()), false);
      if (!Pause(request, pause_ms)) return {Code::kInterrupted, request.url + ": interrupted"};
    }
    const bool resumed = part.size() > 0;
    Outcome outcome = Fetch(request, &part, progress);
    last = outcome.status;
    if (outcome.kind == Outcome::Kind::kFail) break;
    if (outcome.kind == Outcome::Kind::kRetry) continue;
    last = Verify(request, part, part.path());
    if (last.ok()) {
      progress(fmt::format("Downloaded {}: {} MB", BaseName(request.path), Megabytes(part.size())), false);
      return part.Finish(request.path);
    }
    // Halves of two files make a third; whole files do not change by asking again.
    if (!resumed) break;
    COUPLET_RETURN_IF_ERROR(part.Open(progress));
  }
  if (part.size() == 0) part.Remove();
  return last;
}

}  // namespace couplet
