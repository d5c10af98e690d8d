// Preloaded into our programs (LD_PRELOAD) to disturb them: it counts calls and, at the N-th, ends the process, sends it a
// signal or makes the call fail; or it writes down what was done to files, so that a power cut can be played afterwards
// (power_cut.h). Product code knows nothing of it.
//
//   COUPLET_FAULTS=ACTION:KIND:N[:CODE]
//     ACTION  count   nothing but the report
//             kill    SIGKILL in the middle of the N-th call: half of what it writes is written
//             signal  raise(CODE) before the N-th call
//             fail    the N-th call fails: errno CODE, a null pointer, or SQLite's result CODE
//             fail+   that one and all that follow
//             slow    the N-th and all that follow take CODE microseconds more
//     KIND    write   calls that change files         io      those, and calls that look at files
//             memory  allocations                     sqlite  SQLite's calls
//   COUPLET_FAULTS_AFTER=FILE   calls count from when FILE is there
//   COUPLET_FAULTS_REPORT=FILE  gets "calls N", "at NAME" and, when main returns, "descriptors N" and "blocks N": more than when it began
//   COUPLET_FAULTS_LOG=FILE     gets every change to files, in order (see Log)
//
// Only what happens while main() runs is counted.
// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

#define SHIM extern "C" __attribute__((visibility("default")))

// glibc's allocator under its other names: usable before dlsym is.
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void __libc_free(void*);
}

namespace {

enum Kind { kWrite, kIo, kMemory, kSqlite };
enum class Action { kCount, kKill, kSignal, kFail, kFailOn, kSlow };

std::atomic<bool> running{false};
// What this thread does is ours and is not counted; another's is. (Initial-exec: to look at it takes no memory.)
__thread bool aside __attribute__((tls_model("initial-exec"))) = false;
Action action = Action::kCount;
Kind wanted = kIo;
long target = 0;
int code = EIO;
std::atomic<long> calls{0};
std::atomic<long> blocks{0};  // of memory that are held
const char* after = nullptr;
int report_fd = -1, log_fd = -1;
pthread_mutex_t log_mutex = PTHREAD_MUTEX_INITIALIZER;

template <class F>
F Next(F, const char* name) {
  return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
}
#define NEXT(name) static const auto next = Next(&::name, #name)

void Say(const char* format, ...) {
  if (report_fd < 0) return;
  char line[256];
  va_list args;
  va_start(args, format);
  const int length = vsnprintf(line, sizeof line, format, args);
  va_end(args);
  if (length > 0) syscall(SYS_write, report_fd, line, static_cast<size_t>(length));
}

bool IsLateEnough() {
  if (after == nullptr) return true;
  const int before = errno;
  const bool is_there = syscall(SYS_faccessat, AT_FDCWD, after, F_OK) == 0;
  errno = before;
  return is_there;
}

// Whether this call is the one that is to fail. Does not return when the process ends here; `before_death` does its half.
template <class Half>
bool Hit(Kind kind, const char* name, Half before_death) {
  if (!running.load(std::memory_order_relaxed) || aside) return false;
  const bool counts = kind == wanted || (wanted == kIo && kind == kWrite);
  if (!counts || !IsLateEnough()) return false;
  const long number = ++calls;
  if (action == Action::kCount || target == 0) return false;
  if (number != target && !((action == Action::kFailOn || action == Action::kSlow) && number > target)) return false;
  if (number == target) Say("at %s\n", name);
  switch (action) {
    case Action::kKill:
      before_death();
      Say("calls %ld\n", number);
      syscall(SYS_kill, getpid(), SIGKILL);
      for (;;) pause();
    case Action::kSignal:
      raise(code);
      return false;
    case Action::kSlow:
      usleep(static_cast<useconds_t>(code));
      return false;
    default:
      errno = code;
      return true;
  }
}
bool Hit(Kind kind, const char* name) {
  return Hit(kind, name, [] {});
}

// One change to files: a line "OP FD A B PATH\n" and, after "write", A bytes. FD says which open file; a descriptor that is
// opened again is a new one. Calls to the system, since the program's own go through here.
void Log(const char* op, int fd, long a, long b, const char* path, const void* data = nullptr, const char* other = nullptr) {
  if (log_fd < 0 || !running) return;
  char line[9000];
  const int length = snprintf(line, sizeof line, "%s\t%d\t%ld\t%ld\t%s\t%s\n", op, fd, a, b, path == nullptr ? "" : path,
                              other == nullptr ? "" : other);
  syscall(SYS_write, log_fd, line, static_cast<size_t>(length));
  if (data != nullptr) syscall(SYS_write, log_fd, data, static_cast<size_t>(a));
}

// Held over a change and its note, so that the log has the order in which things happened.
class Order {
 public:
  Order() {
    if (log_fd >= 0) pthread_mutex_lock(&log_mutex);
  }
  ~Order() {
    if (log_fd >= 0) pthread_mutex_unlock(&log_mutex);
  }
};

int OpenRaw(const char* path) {
  return static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644));
}

void Configure() {
  if (const char* path = getenv("COUPLET_FAULTS_REPORT")) report_fd = OpenRaw(path);
  if (const char* path = getenv("COUPLET_FAULTS_LOG")) log_fd = OpenRaw(path);
  after = getenv("COUPLET_FAULTS_AFTER");
  const char* text = getenv("COUPLET_FAULTS");
  if (text == nullptr) return;
  char act[16] = "", kind[16] = "";
  if (sscanf(text, "%15[^:]:%15[^:]:%ld:%d", act, kind, &target, &code) < 2) abort();
  action = strcmp(act, "kill") == 0     ? Action::kKill
           : strcmp(act, "signal") == 0 ? Action::kSignal
           : strcmp(act, "fail") == 0   ? Action::kFail
           : strcmp(act, "fail+") == 0  ? Action::kFailOn
           : strcmp(act, "slow") == 0   ? Action::kSlow
                                        : Action::kCount;
  wanted = strcmp(kind, "write") == 0 ? kWrite : strcmp(kind, "memory") == 0 ? kMemory : strcmp(kind, "sqlite") == 0 ? kSqlite : kIo;
}

int CountDescriptors() {
  int count = 0;
  for (int fd = 0; fd < 1024; ++fd)
    if (syscall(SYS_fcntl, fd, F_GETFD) >= 0) ++count;
  return count;
}

int (*real_main)(int, char**, char**) = nullptr;
int ReportedMain(int argc, char** argv, char** env) {
  Configure();
  void* warm_up[2];
  backtrace(warm_up, 2);  // opens a library the first time
  const int before = CountDescriptors();
  running = true;
  const int result = real_main(argc, argv, env);
  running = false;
  Say("calls %ld\ndescriptors %d\nblocks %ld\n", calls.load(), CountDescriptors() - before, blocks.load());
  return result;
}

}  // namespace

SHIM int __libc_start_main(int (*main)(int, char**, char**), int argc, char** argv, void (*init)(void), void (*fini)(void),
                           void (*rtld_fini)(void), void* stack_end) {
  real_main = main;
  using Start = int (*)(int (*)(int, char**, char**), int, char**, void (*)(void), void (*)(void), void (*)(void), void*);
  const auto next = reinterpret_cast<Start>(dlsym(RTLD_NEXT, "__libc_start_main"));
  return next(ReportedMain, argc, argv, init, fini, rtld_fini, stack_end);
}

// ---- Files

namespace {

template <class Call>
int Opened(const char* name, const char* path, int flags, Call call) {
  const bool changes = (flags & (O_CREAT | O_TRUNC)) != 0;
  if (Hit(changes ? kWrite : kIo, name)) return -1;
  const Order order;
  const int fd = call();
  if (fd >= 0) Log("open", fd, (flags & O_TRUNC) != 0, (flags & O_CREAT) != 0, path);
  return fd;
}
mode_t ModeOf(int flags, va_list args) { return (flags & O_CREAT) != 0 ? static_cast<mode_t>(va_arg(args, int)) : 0; }

}  // namespace

SHIM int open(const char* path, int flags, ...) {
  NEXT(open);
  va_list args;
  va_start(args, flags);
  const mode_t mode = ModeOf(flags, args);
  va_end(args);
  return Opened("open", path, flags, [&] { return next(path, flags, mode); });
}
SHIM int open64(const char* path, int flags, ...) {
  NEXT(open64);
  va_list args;
  va_start(args, flags);
  const mode_t mode = ModeOf(flags, args);
  va_end(args);
  return Opened("open", path, flags, [&] { return next(path, flags, mode); });
}
namespace {

template <class Call>
int Controlled(int command, int fd, Call call) {
  if (Hit(kIo, "fcntl")) return -1;
  const Order order;
  const int result = call();
  if (result >= 0 && (command == F_DUPFD || command == F_DUPFD_CLOEXEC)) Log("dup", result, fd, 0, "");
  return result;
}

}  // namespace

// Every command's argument fits a pointer.
SHIM int fcntl(int fd, int command, ...) {
  NEXT(fcntl);
  va_list args;
  va_start(args, command);
  void* const argument = va_arg(args, void*);
  va_end(args);
  return Controlled(command, fd, [&] { return next(fd, command, argument); });
}
SHIM int fcntl64(int fd, int command, ...) {
  NEXT(fcntl64);
  va_list args;
  va_start(args, command);
  void* const argument = va_arg(args, void*);
  va_end(args);
  return Controlled(command, fd, [&] { return next(fd, command, argument); });
}
SHIM int close(int fd) {
  NEXT(close);
  if (Hit(kIo, "close")) {
    next(fd);  // as Linux does: the descriptor is gone whatever close says
    errno = code;
    return -1;
  }
  const Order order;
  Log("close", fd, 0, 0, "");
  return next(fd);
}

SHIM ssize_t write(int fd, const void* data, size_t bytes) {
  NEXT(write);
  if (Hit(kWrite, "write", [&] { next(fd, data, bytes / 2); })) return -1;
  const Order order;
  const off_t at = log_fd >= 0 ? lseek(fd, 0, SEEK_CUR) : 0;
  const ssize_t wrote = next(fd, data, bytes);
  if (wrote > 0) Log("write", fd, wrote, at, "", data);
  return wrote;
}
SHIM ssize_t pwrite64(int fd, const void* data, size_t bytes, off64_t at) {
  NEXT(pwrite64);
  if (Hit(kWrite, "pwrite", [&] { next(fd, data, bytes / 2, at); })) return -1;
  const Order order;
  const ssize_t wrote = next(fd, data, bytes, at);
  if (wrote > 0) Log("write", fd, wrote, at, "", data);
  return wrote;
}
SHIM ssize_t pwrite(int fd, const void* data, size_t bytes, off_t at) { return pwrite64(fd, data, bytes, at); }

SHIM ssize_t read(int fd, void* data, size_t bytes) {
  NEXT(read);
  return Hit(kIo, "read") ? -1 : next(fd, data, bytes);
}
SHIM ssize_t pread64(int fd, void* data, size_t bytes, off64_t at) {
  NEXT(pread64);
  return Hit(kIo, "pread") ? -1 : next(fd, data, bytes, at);
}
SHIM ssize_t pread(int fd, void* data, size_t bytes, off_t at) { return pread64(fd, data, bytes, at); }

SHIM int fsync(int fd) {
  NEXT(fsync);
  if (Hit(kWrite, "fsync")) return -1;
  const Order order;
  const int result = next(fd);
  if (result == 0) Log("sync", fd, 0, 0, "");
  return result;
}
SHIM int fdatasync(int fd) {
  NEXT(fdatasync);
  if (Hit(kWrite, "fdatasync")) return -1;
  const Order order;
  const int result = next(fd);
  if (result == 0) Log("sync", fd, 0, 0, "");
  return result;
}
SHIM int ftruncate64(int fd, off64_t size) {
  NEXT(ftruncate64);
  if (Hit(kWrite, "ftruncate")) return -1;
  const Order order;
  const int result = next(fd, size);
  if (result == 0) Log("truncate", fd, size, 0, "");
  return result;
}
SHIM int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }
SHIM int rename(const char* from, const char* to) {
  NEXT(rename);
  if (Hit(kWrite, "rename")) return -1;
  const Order order;
  const int result = next(from, to);
  if (result == 0) Log("rename", -1, 0, 0, from, nullptr, to);
  return result;
}
SHIM int unlink(const char* path) {
  NEXT(unlink);
  if (Hit(kWrite, "unlink")) return -1;
  const Order order;
  const int result = next(path);
  if (result == 0) Log("unlink", -1, 0, 0, path);
  return result;
}
SHIM int mkdir(const char* path, mode_t mode) {
  NEXT(mkdir);
  if (Hit(kWrite, "mkdir")) return -1;
  const Order order;
  const int result = next(path, mode);
  if (result == 0) Log("mkdir", -1, 0, 0, path);
  return result;
}
SHIM int fchmod(int fd, mode_t mode) {
  NEXT(fchmod);
  return Hit(kWrite, "fchmod") ? -1 : next(fd, mode);
}

namespace {

// oneDNN 2.6 and OpenSSL 3.0 do not survive that memory of their own is refused: they then read what was never made. Their allocations and
// mappings succeed, and the report says "at library".
bool Refused(Kind kind, const char* name) {
  const int wanted_errno = kind == kMemory ? ENOMEM : code;
  if (!Hit(kind, name)) return false;
  void* frames[64];
  aside = true;
  const int count = backtrace(frames, 64);
  bool spared = false;
  for (int i = 0; i < count && !spared; ++i) {
    Dl_info info;
    if (dladdr(frames[i], &info) == 0 || info.dli_fname == nullptr) continue;
    spared = strstr(info.dli_fname, "libdnnl") != nullptr || strstr(info.dli_fname, "libcrypto") != nullptr;
  }
  aside = false;
  if (spared) Say("at library\n");
  errno = wanted_errno;
  return !spared;
}

}  // namespace

#define COUPLET_LOOK(Result, name, failure, params, args) \
  SHIM Result name params {                               \
    NEXT(name);                                           \
    if (Hit(kIo, #name)) return failure;                  \
    return next args;                                     \
  }
COUPLET_LOOK(int, stat, -1, (const char* path, struct stat* info), (path, info))
COUPLET_LOOK(int, lstat, -1, (const char* path, struct stat* info), (path, info))
COUPLET_LOOK(int, fstat, -1, (int fd, struct stat* info), (fd, info))
COUPLET_LOOK(int, stat64, -1, (const char* path, struct stat64* info), (path, info))
COUPLET_LOOK(int, lstat64, -1, (const char* path, struct stat64* info), (path, info))
COUPLET_LOOK(int, fstat64, -1, (int fd, struct stat64* info), (fd, info))
COUPLET_LOOK(int, access, -1, (const char* path, int mode), (path, mode))
COUPLET_LOOK(DIR*, opendir, nullptr, (const char* path), (path))
COUPLET_LOOK(struct dirent*, readdir, nullptr, (DIR* folder), (folder))
COUPLET_LOOK(struct dirent64*, readdir64, nullptr, (DIR* folder), (folder))
COUPLET_LOOK(FILE*, fopen, nullptr, (const char* path, const char* mode), (path, mode))
COUPLET_LOOK(FILE*, fopen64, nullptr, (const char* path, const char* mode), (path, mode))
COUPLET_LOOK(ssize_t, getrandom, -1, (void* data, size_t bytes, unsigned flags), (data, bytes, flags))
SHIM void* mmap(void* at, size_t bytes, int prot, int flags, int fd, off_t offset) {
  NEXT(mmap);
  return Refused(kIo, "mmap") ? MAP_FAILED : next(at, bytes, prot, flags, fd, offset);
}
SHIM void* mmap64(void* at, size_t bytes, int prot, int flags, int fd, off64_t offset) {
  NEXT(mmap64);
  return Refused(kIo, "mmap") ? MAP_FAILED : next(at, bytes, prot, flags, fd, offset);
}

// ---- Memory

namespace {

void* Held(void* block) {
  if (block != nullptr && running.load(std::memory_order_relaxed) && !aside) blocks.fetch_add(1, std::memory_order_relaxed);
  return block;
}
void LetGo(const void* block) {
  if (block != nullptr && running.load(std::memory_order_relaxed) && !aside) blocks.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace

SHIM void* malloc(size_t bytes) { return Refused(kMemory, "malloc") ? nullptr : Held(__libc_malloc(bytes)); }
SHIM void* calloc(size_t count, size_t bytes) { return Refused(kMemory, "calloc") ? nullptr : Held(__libc_calloc(count, bytes)); }
SHIM void* realloc(void* old, size_t bytes) {
  if (Refused(kMemory, "realloc")) return nullptr;
  void* const block = __libc_realloc(old, bytes);
  if (old == nullptr) return Held(block);
  if (block == nullptr && bytes == 0) LetGo(old);
  return block;
}
SHIM void* aligned_alloc(size_t alignment, size_t bytes) {
  return Refused(kMemory, "aligned_alloc") ? nullptr : Held(__libc_memalign(alignment, bytes));
}
SHIM int posix_memalign(void** out, size_t alignment, size_t bytes) {
  if (Refused(kMemory, "posix_memalign")) return ENOMEM;
  *out = Held(__libc_memalign(alignment, bytes));
  return *out == nullptr ? ENOMEM : 0;
}
SHIM void free(void* block) {
  LetGo(block);
  __libc_free(block);
}

// ---- SQLite

namespace {

// What sqlite3_exec calls is not the program's call. And it takes a failed step's result from the statement, which of a step that only
// we refused knows nothing: it would go on with the next one.
thread_local bool in_exec = false;
class InExec {
 public:
  InExec() : was_(in_exec) { in_exec = true; }
  ~InExec() { in_exec = was_; }

 private:
  const bool was_;
};

}  // namespace

#define COUPLET_SQLITE(name, params, args)                    \
  SHIM int name params {                                      \
    NEXT(name);                                               \
    if (!in_exec && Hit(kSqlite, #name)) return code;         \
    return next args;                                         \
  }
COUPLET_SQLITE(sqlite3_step, (sqlite3_stmt * s), (s))
SHIM int sqlite3_exec(sqlite3* db, const char* sql, int (*each)(void*, int, char**, char**), void* user, char** error) {
  NEXT(sqlite3_exec);
  if (Hit(kSqlite, "sqlite3_exec")) return code;
  const InExec inside;
  return next(db, sql, each, user, error);
}
COUPLET_SQLITE(sqlite3_prepare_v3, (sqlite3 * db, const char* sql, int bytes, unsigned flags, sqlite3_stmt** s, const char** tail),
               (db, sql, bytes, flags, s, tail))
COUPLET_SQLITE(sqlite3_bind_int64, (sqlite3_stmt * s, int index, sqlite3_int64 value), (s, index, value))
COUPLET_SQLITE(sqlite3_bind_blob64, (sqlite3_stmt * s, int index, const void* data, sqlite3_uint64 bytes, void (*done)(void*)),
               (s, index, data, bytes, done))
COUPLET_SQLITE(sqlite3_open_v2, (const char* path, sqlite3** db, int flags, const char* vfs), (path, db, flags, vfs))
