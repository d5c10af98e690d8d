// Of libcurl, libarchive and OpenSSL's libcrypto, the functions that we call: here each opens its library when the first one is
// called. Linked as other libraries are, they and the 36 that they need in turn would be loaded by every start of retrain, which takes
// 5 ms, to download nothing; of label_image's start libcrypto, which --threshold alone asks for, was a tenth (docs/measured/cpu.md).
// SPDX-License-Identifier: Apache-2.0
#include <archive.h>
#include <archive_entry.h>
#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>

#include "runtime/status.h"

namespace {

// What the dynamic linker does when a program's library is missing, one line and the end, if only when the library is asked for.
[[noreturn]] void EndWithout(const char* why) {
  std::fflush(stdout);
  std::fprintf(stderr, "%s: error: a library that is needed now does not open: %s; install it if it is not there\n", program_invocation_short_name, why);
  _exit(static_cast<int>(couplet::Code::kDevice));
}

// Libraries stay open: what they set up for the whole program would not survive being closed.
template <class Function>
Function* Find(const char* library, const char* name) {
  void* const opened = dlopen(library, RTLD_LAZY | RTLD_LOCAL);
  void* const found = opened == nullptr ? nullptr : dlsym(opened, name);
  if (found == nullptr) EndWithout(dlerror());
  return reinterpret_cast<Function*>(found);
}

// Each name is that of the binary interface we were compiled with, which libraries keep for decades.
constexpr char kCurl[] = "libcurl.so.4";
constexpr char kArchive[] = "libarchive.so.13";
#define COUPLET_TEXT_OF(number) #number
#define COUPLET_TEXT(number) COUPLET_TEXT_OF(number)
constexpr char kCrypto[] = "libcrypto.so." COUPLET_TEXT(OPENSSL_SHLIB_VERSION);

}  // namespace

#define COUPLET_FORWARD(library, result, name, parameters, ...) \
  result name parameters {                                      \
    static const auto call = Find<decltype(name)>(library, #name); \
    return call(__VA_ARGS__);                                   \
  }

// curl.h makes macros of these two, and hands on what is optional: a long, an offset or a pointer, which take the same room.
#undef curl_easy_setopt
#undef curl_easy_getinfo
static_assert(sizeof(void*) == sizeof(long) && sizeof(void*) == sizeof(curl_off_t));
#define COUPLET_FORWARD_OPTIONAL(name, Option)                   \
  CURLcode name(CURL* handle, Option option, ...) {              \
    static const auto call = Find<decltype(name)>(kCurl, #name); \
    std::va_list optional;                                       \
    va_start(optional, option);                                  \
    void* const value = va_arg(optional, void*);                 \
    va_end(optional);                                            \
    return call(handle, option, value);                          \
  }

extern "C" {

COUPLET_FORWARD(kCurl, CURLcode, curl_global_init, (long flags), flags)
COUPLET_FORWARD(kCurl, CURL*, curl_easy_init, (), )
COUPLET_FORWARD(kCurl, CURLcode, curl_easy_perform, (CURL * handle), handle)
COUPLET_FORWARD(kCurl, void, curl_easy_cleanup, (CURL * handle), handle)
COUPLET_FORWARD(kCurl, const char*, curl_easy_strerror, (CURLcode code), code)
COUPLET_FORWARD(kCurl, void, curl_free, (void* memory), memory)
COUPLET_FORWARD(kCurl, curl_slist*, curl_slist_append, (curl_slist * list, const char* text), list, text)
COUPLET_FORWARD(kCurl, void, curl_slist_free_all, (curl_slist * list), list)
COUPLET_FORWARD(kCurl, CURLU*, curl_url, (), )
COUPLET_FORWARD(kCurl, void, curl_url_cleanup, (CURLU * url), url)
COUPLET_FORWARD(kCurl, CURLUcode, curl_url_get, (CURLU * url, CURLUPart part, char** text, unsigned flags), url, part, text, flags)
COUPLET_FORWARD(kCurl, CURLUcode, curl_url_set, (CURLU * url, CURLUPart part, const char* text, unsigned flags), url, part, text, flags)

COUPLET_FORWARD_OPTIONAL(curl_easy_setopt, CURLoption)
COUPLET_FORWARD_OPTIONAL(curl_easy_getinfo, CURLINFO)

COUPLET_FORWARD(kArchive, archive*, archive_read_new, (), )
COUPLET_FORWARD(kArchive, int, archive_read_support_filter_gzip, (archive * a), a)
COUPLET_FORWARD(kArchive, int, archive_read_support_format_tar, (archive * a), a)
COUPLET_FORWARD(kArchive, int, archive_read_open_filename, (archive * a, const char* path, size_t block), a, path, block)
COUPLET_FORWARD(kArchive, int, archive_read_next_header, (archive * a, archive_entry** entry), a, entry)
COUPLET_FORWARD(kArchive, int, archive_read_data_block, (archive * a, const void** data, size_t* bytes, la_int64_t* offset), a, data, bytes, offset)
COUPLET_FORWARD(kArchive, int, archive_read_free, (archive * a), a)
COUPLET_FORWARD(kArchive, int, archive_errno, (archive * a), a)
COUPLET_FORWARD(kArchive, const char*, archive_error_string, (archive * a), a)
COUPLET_FORWARD(kArchive, la_int64_t, archive_filter_bytes, (archive * a, int filter), a, filter)
COUPLET_FORWARD(kArchive, const char*, archive_entry_pathname, (archive_entry * entry), entry)
COUPLET_FORWARD(kArchive, const char*, archive_entry_pathname_utf8, (archive_entry * entry), entry)
COUPLET_FORWARD(kArchive, const char*, archive_entry_hardlink, (archive_entry * entry), entry)
COUPLET_FORWARD(kArchive, decltype(archive_entry_filetype(nullptr)), archive_entry_filetype, (archive_entry * entry), entry)

COUPLET_FORWARD(kCrypto, EVP_MD*, EVP_MD_fetch, (OSSL_LIB_CTX * context, const char* name, const char* properties), context, name, properties)
COUPLET_FORWARD(kCrypto, int, EVP_Digest, (const void* data, size_t bytes, unsigned char* digest, unsigned* size, const EVP_MD* algorithm, ENGINE* engine),
                data, bytes, digest, size, algorithm, engine)

}  // extern "C"
