// SPDX-License-Identifier: Apache-2.0
#include "loaders/files.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "tests/support/test.h"

namespace couplet {
namespace {

std::string Contents(const std::string& path) {
  std::vector<uint8_t> bytes;
  const Status status = ReadFile(path, 1 << 20, &bytes);
  CHECK_MESSAGE(status.ok(), status.message());
  return {bytes.begin(), bytes.end()};
}

std::vector<std::string> Names(const std::string& folder) {
  auto names = ListDirectory(folder);
  REQUIRE(names.ok());
  return *names;
}

// Files of more than `bytes` cannot be written while this lives: stands for a full disk (EFBIG).
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &old_);
    rlimit limit = old_;
    limit.rlim_cur = bytes;
    old_handler_ = signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &old_);
    signal(SIGXFSZ, old_handler_);
  }

 private:
  rlimit old_{};
  sighandler_t old_handler_;
};

TEST_CASE("files: written, read, mapped") {
  test::TempDir dir;
  const std::string text("a\0b\n", 4);
  REQUIRE(WriteFileAtomically(dir / "f", text).ok());
  CHECK(Contents(dir / "f") == text);
  auto mapped = MappedFile::Open(dir / "f", 4);
  REQUIRE(mapped.ok());
  CHECK(std::string(reinterpret_cast<const char*>((*mapped)->bytes().data()), (*mapped)->bytes().size()) ==
        text);
  CHECK(Names(dir.path()) == std::vector<std::string>{"f"});
}

TEST_CASE("files: an empty file is a file") {
  test::TempDir dir;
  REQUIRE(WriteFileAtomically(dir / "empty", "").ok());
  CHECK(Contents(dir / "empty").empty());
  auto mapped = MappedFile::Open(dir / "empty", 0);
  REQUIRE(mapped.ok());
  CHECK((*mapped)->bytes().empty());
}

TEST_CASE("files: a mapping outlives the file's replacement") {
  test::TempDir dir;
  REQUIRE(WriteFileAtomically(dir / "f", "old").ok());
  auto mapped = MappedFile::Open(dir / "f", 10);
  REQUIRE(mapped.ok());
  REQUIRE(WriteFileAtomically(dir / "f", "newer").ok());
  CHECK((*mapped)->bytes()[0] == std::byte{'o'});
  CHECK(Contents(dir / "f") == "newer");
}

TEST_CASE("files: what is no regular file is refused without waiting") {
  test::TempDir dir;
  REQUIRE(mkfifo((dir / "fifo").c_str(), 0600) == 0);
  std::vector<uint8_t> bytes(3);
  for (const std::string& path : {dir / "fifo", dir.path(), std::string("/dev/zero")}) {
    CAPTURE(path);
    const Status read = ReadFile(path, 1 << 20, &bytes);
    CHECK(read.code() == Code::kBadInput);
    CHECK(read.message().find(path) != std::string::npos);
    CHECK(bytes.empty());
    CHECK(MappedFile::Open(path, 1 << 20).status().code() == Code::kBadInput);
  }
  CHECK(ReadFile(dir / "none", 1, &bytes).message() ==
        "cannot open " + (dir / "none") + ": No such file or directory");
  CHECK(ReadFile(dir / "none", 1, &bytes).code() == Code::kIo);
}

TEST_CASE("files: a file over the limit is refused and one at the limit taken") {
  test::TempDir dir;
  REQUIRE(WriteFileAtomically(dir / "f", "12345").ok());
  std::vector<uint8_t> bytes;
  CHECK(ReadFile(dir / "f", 5, &bytes).ok());
  CHECK(ReadFile(dir / "f", 4, &bytes).code() == Code::kBadInput);
  CHECK(MappedFile::Open(dir / "f", 4).status().message() == (dir / "f") + " has 5 bytes; the limit is 4");
}

TEST_CASE("files: a write that fails leaves the old file and nothing beside it") {
  test::TempDir dir;
  REQUIRE(WriteFileAtomically(dir / "f", "old").ok());
  {
    FileSizeLimit limit(1000);
    const Status status = WriteFileAtomically(dir / "f", std::string(100'000, 'x'));
    CHECK(status.code() == Code::kIo);
    CHECK(status.message() == "cannot write " + (dir / "f") + ": File too large");
  }
  CHECK(Contents(dir / "f") == "old");
  CHECK(Names(dir.path()) == std::vector<std::string>{"f"});
}

TEST_CASE("files: a pair is written both or neither") {
  test::TempDir dir;
  REQUIRE(WriteFileAtomically(dir / "labels", "old labels").ok());
  const std::string big(100'000, 'x');
  const FileToWrite pair[] = {{dir / "labels", "new labels"}, {dir / "graph", big}};
  {
    FileSizeLimit limit(1000);
    CHECK(WriteFilesAtomically(pair).code() == Code::kIo);
  }
  CHECK(Contents(dir / "labels") == "old labels");
  CHECK(Names(dir.path()) == std::vector<std::string>{"labels"});
  REQUIRE(WriteFilesAtomically(pair).ok());
  CHECK(Contents(dir / "labels") == "new labels");
  CHECK(Contents(dir / "graph") == big);
  CHECK(Names(dir.path()) == std::vector<std::string>{"graph", "labels"});
}

TEST_CASE("files: errors of writing say which path and why") {
  test::TempDir dir;
  CHECK(WriteFileAtomically(dir / "no/f", "x").message() ==
        "cannot write " + (dir / "no/f") + ": there is no folder " + (dir / "no"));
  CHECK(WriteFileAtomically(dir.path(), "x").message() == "cannot write " + dir.path() + ": Is a directory");
}

// With a FIFO that stands for all that is no regular file: a test that fails must not cost anyone their
// /dev/null.
TEST_CASE("files: what is no regular file is written into and stays what it is") {
  test::TempDir dir;
  const std::string fifo = dir / "fifo";
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  const int reader = open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  REQUIRE(reader >= 0);
  CHECK(WriteFileAtomically(fifo, "answer").ok());
  char got[16] = {};
  CHECK(read(reader, got, sizeof got) == 6);
  close(reader);
  CHECK(std::string(got) == "answer");
  struct stat info;
  REQUIRE(stat(fifo.c_str(), &info) == 0);
  CHECK(S_ISFIFO(info.st_mode));
  CHECK(Names(dir.path()) == std::vector<std::string>{"fifo"});
}

TEST_CASE("files: permissions and symbolic links survive") {
  test::TempDir dir;
  REQUIRE(WriteFileAtomically(dir / "f", "old").ok());
  struct stat info;
  const mode_t mask = umask(0);
  umask(mask);
  REQUIRE(stat((dir / "f").c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == (0666 & ~mask));
  REQUIRE(chmod((dir / "f").c_str(), 0640) == 0);
  REQUIRE(symlink("f", (dir / "link").c_str()) == 0);
  REQUIRE(WriteFileAtomically(dir / "link", "new").ok());
  REQUIRE(lstat((dir / "link").c_str(), &info) == 0);
  CHECK(S_ISLNK(info.st_mode));
  REQUIRE(stat((dir / "f").c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0640);
  CHECK(Contents(dir / "f") == "new");
}

TEST_CASE("files: a name as long as names may be can be written") {
  test::TempDir dir;
  const std::string name(255, 'n');
  CHECK(WriteFileAtomically(dir / name, "x", Durability::kMayBeOld).ok());
  CHECK(Contents(dir / name) == "x");
}

TEST_CASE("files: folders are made and listed in byte order") {
  test::TempDir dir;
  REQUIRE(MakeDirectories(dir / "a/b/c/").ok());
  REQUIRE(MakeDirectories(dir / "a/b/c").ok());
  CHECK(IsDirectory(dir / "a/b/c"));
  for (const char* name : {"a/z", "a/\xc3\xa4", "a/Z", "a/.hidden"})
    REQUIRE(WriteFileAtomically(dir / name, "").ok());
  CHECK(Names(dir / "a") == std::vector<std::string>{".hidden", "Z", "b", "z", "\xc3\xa4"});
  CHECK(FileExists(dir / "a/z"));
  CHECK_FALSE(IsDirectory(dir / "a/z"));
  CHECK_FALSE(FileExists(dir / "a/y"));
  const Status under_file = MakeDirectories(dir / "a/z/y");
  CHECK(under_file.code() == Code::kIo);
  CHECK(under_file.message().find("a/z/y: Not a directory") != std::string::npos);
  CHECK(MakeDirectories(dir / "a/z").code() == Code::kIo);
  CHECK(ListDirectory(dir / "none").status().message() ==
        "cannot open the folder " + (dir / "none") + ": No such file or directory");
}

TEST_CASE("files: a folder that cannot be written into is named with the way out") {
  test::TempDir dir;
  CHECK(CheckWritableDirectory(dir.path()).ok());
  // root may not write there either; in a container it is often mounted read-only.
  const Status refused = CheckWritableDirectory("/proc/sys");
  REQUIRE(refused.code() == Code::kIo);
  const std::string& said = refused.message();
  CHECK_MESSAGE((said == "cannot write into /proc/sys: Permission denied; ls -l shows whose it is" ||
                 said == "cannot write into /proc/sys: Read-only file system; name a folder that can be written to"), said);
}

TEST_CASE("files: what a killed writer left is removed, what is being written stays") {
  test::TempDir dir;
  for (const char* name : {"left", ".couplet-1-left", ".couplet-1-written", "keep.couplet-1"})
    REQUIRE(WriteFileAtomically(dir / name, "x").ok());
  REQUIRE(MakeDirectories(dir / ".couplet-folder").ok());
  REQUIRE(mkfifo((dir / ".couplet-fifo").c_str(), 0600) == 0);
  REQUIRE(symlink((dir / "left").c_str(), (dir / ".couplet-link").c_str()) == 0);
  const int writer = open((dir / ".couplet-1-written").c_str(), O_RDONLY);
  REQUIRE(flock(writer, LOCK_EX | LOCK_NB) == 0);
  RemoveAbandonedFiles(dir.path());
  const std::vector<std::string> kept = {".couplet-1-written", ".couplet-fifo",  ".couplet-folder",
                                         ".couplet-link",      "keep.couplet-1", "left"};
  CHECK(Names(dir.path()) == kept);
  close(writer);
  RemoveAbandonedFiles(dir.path());
  CHECK(Names(dir.path()).size() == kept.size() - 1);
  RemoveAbandonedFiles(dir / "nowhere");
}

TEST_CASE("files: a file on its way is locked, so that nobody takes it for abandoned") {
  test::TempDir dir;
  // A FIFO holds the second file up, while the first lies beside its name.
  REQUIRE(mkfifo((dir / "fifo").c_str(), 0600) == 0);
  std::thread writer([&] {
    const std::vector<FileToWrite> files = {{dir / "f", "new"}, {dir / "fifo", "x"}};
    CHECK(WriteFilesAtomically(files).ok());
  });
  while (Names(dir.path()).size() < 2) std::this_thread::yield();
  RemoveAbandonedFiles(dir.path());
  const int reader = open((dir / "fifo").c_str(), O_RDONLY);
  writer.join();
  close(reader);
  CHECK(Contents(dir / "f") == "new");
}

TEST_CASE("files: paths are joined as os.path.join does") {
  CHECK(JoinPath("a", "b") == "a/b");
  CHECK(JoinPath("a/", "b") == "a/b");
  CHECK(JoinPath("", "b") == "b");
  CHECK(JoinPath("a", "/b") == "/b");
  CHECK(JoinPath("a", "") == "a/");
}

}  // namespace
}  // namespace couplet
