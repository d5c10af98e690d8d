// Files other than graphs and photos, and command lines.
// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "apps/cli.h"
#include "apps/retrain_options.h"
#include "loaders/bottleneck_store.h"
#include "loaders/event_file.h"
#include "loaders/files.h"
#include "loaders/hash.h"
#include "loaders/labels.h"
#include "loaders/unpack.h"
#include "tests/fuzz/targets.h"
#include "tests/support/image_files.h"
#include "tests/support/make_archive.h"

namespace couplet::fuzz {
namespace {

namespace fs = std::filesystem;

// A folder in memory where there is one: a disk would be most of the time.
class Folder {
 public:
  Folder() {
    std::error_code error;
    path_ = (fs::is_directory("/dev/shm", error) ? fs::path("/dev/shm") : fs::temp_directory_path()) / "couplet.XXXXXX";
    if (mkdtemp(path_.data()) == nullptr) std::abort();
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

std::string FileText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void StoreLe(uint32_t value, uint8_t* bytes) { std::memcpy(bytes, &value, sizeof value); }

// ---- archives ----

// gzip (RFC 1952) that packs nothing, so that changes reach the tar inside.
std::vector<uint8_t> Gzip(Input bytes) {
  std::vector<uint8_t> out = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};
  const auto add = [&out](uint32_t value, int count) {
    for (int i = 0; i < count; ++i) out.push_back(static_cast<uint8_t>(value >> (8 * i)));
  };
  for (Input rest = bytes;;) {
    const Input block = rest.first(std::min<size_t>(rest.size(), 65535));
    rest = rest.subspan(block.size());
    out.push_back(rest.empty() ? 1 : 0);
    add(static_cast<uint32_t>(block.size()), 2);
    add(~static_cast<uint32_t>(block.size()), 2);
    out.insert(out.end(), block.begin(), block.end());
    if (rest.empty()) break;
  }
  add(test::Crc32(bytes), 4);
  add(static_cast<uint32_t>(bytes.size()), 4);
  return out;
}

constexpr size_t kBlock = 512, kSizeAt = 124, kSumAt = 148;

void PutTarSum(uint8_t* header) {
  std::memset(header + kSumAt, ' ', 8);
  uint32_t sum = 0;
  for (size_t i = 0; i < kBlock; ++i) sum += header[i];
  std::snprintf(reinterpret_cast<char*>(header + kSumAt), 7, "%06o", sum & 0777777);
}

// The checksum of every header put right, as far as one leads to the next.
std::vector<uint8_t> WithGoodTarSums(Input bytes) {
  std::vector<uint8_t> tar(bytes.begin(), bytes.end());
  for (size_t at = 0; at + kBlock <= tar.size();) {
    uint64_t size = 0;
    for (size_t i = 0; i < 11 && tar[at + kSizeAt + i] >= '0' && tar[at + kSizeAt + i] < '8'; ++i)
      size = size * 8 + (tar[at + kSizeAt + i] - '0');
    if (std::any_of(tar.begin() + static_cast<std::ptrdiff_t>(at), tar.begin() + static_cast<std::ptrdiff_t>(at + kBlock),
                    [](uint8_t byte) { return byte != 0; }))
      PutTarSum(&tar[at]);
    if (size > tar.size()) break;
    at += kBlock + (size + kBlock - 1) / kBlock * kBlock;
  }
  return tar;
}

std::string TarOf(const std::vector<std::pair<std::string, std::string>>& files, char type = '0') {
  std::string tar;
  for (const auto& [name, contents] : files) {
    std::array<uint8_t, kBlock> header{};
    std::memcpy(header.data(), name.data(), std::min<size_t>(name.size(), 99));
    std::memcpy(&header[100], "0000644", 7);
    std::snprintf(reinterpret_cast<char*>(&header[kSizeAt]), 12, "%011zo", contents.size());
    header[156] = static_cast<uint8_t>(type);
    std::memcpy(&header[257], "ustar\00000", 8);
    PutTarSum(header.data());
    tar.append(header.begin(), header.end());
    tar += contents;
    tar.resize((tar.size() + kBlock - 1) / kBlock * kBlock);
  }
  tar.resize(tar.size() + 2 * kBlock);
  return tar;
}

// Files only under the folder, by the names that are allowed to appear.
std::string Unpack(Input archive) {
  constexpr uint64_t kMaxBytes = 1 << 20;
  const MemoryFile file(archive);
  const Status member = ExtractMember(file.path(), "graph.pb", "/dev/null", kMaxBytes);
  if (const std::string fault = NotOneLine(member, file.path()); !fault.empty()) return "member: " + fault;
  const Folder folder;
  const Status tree = ExtractTree(file.path(), folder / "out", kMaxBytes);
  // What cannot be made (a name that is a file and a folder, or too long) is an I/O error, which names what it is about.
  const std::string fault = tree.code() == Code::kIo ? NotOneLine(tree, folder.path(), Code::kIo) : NotOneLine(tree, "");
  if (!fault.empty()) return "tree: " + fault;
  uint64_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder.path())) {
    if (entry.is_symlink()) return "unpacked a link";
    if (entry.is_regular_file()) bytes += entry.file_size();
    if (!tree.ok() && entry.is_regular_file()) return "left something of an archive it refused";
  }
  return bytes <= kMaxBytes ? "" : "unpacked more than allowed";
}

// ---- events ----

std::vector<uint8_t> WithGoodRecordSums(Input bytes) {
  std::vector<uint8_t> file(bytes.begin(), bytes.end());
  for (size_t at = 0; at + 16 <= file.size();) {
    const Input all(file);
    StoreLe(MaskedCrc32c(std::as_bytes(all.subspan(at, 8))), &file[at + 8]);
    uint64_t size;
    std::memcpy(&size, &file[at], sizeof size);
    if (size > file.size() - at - 16) break;
    StoreLe(MaskedCrc32c(std::as_bytes(all.subspan(at + 12, size))), &file[at + 12 + size]);
    at += 16 + size;
  }
  return file;
}

std::string ReadEvents(Input bytes) {
  const MemoryFile file(bytes);
  const auto records = ReadEventRecords(file.path());
  if (!records.ok()) return NotOneLine(records.status(), file.path());
  size_t total = 0;
  for (const EventRecord& record : *records) total += record.payload.size() + 16;
  return total <= bytes.size() ? "" : "more records than the file has bytes";
}

// ---- the store ----

constexpr int kDim = 4;

FeatureKey StoreKey() {
  FeatureKey key;
  key.tensor = "t:0";
  key.input_size = 1;
  key.precision = "fp32";
  key.device = "cpu";
  return key;
}
Sha256Digest PhotoDigest(const std::string& name) { return Sha256(std::as_bytes(std::span(name))); }
// A path no test machine has, so that a stamp is not found and nothing depends on a clock.
const std::string kPhotoPath = "/nonexistent/photo.jpg";
constexpr std::array kStoredVector = {0.5f, -1.0f, 2.0f, 1e-3f};

std::string ReadStore(const std::string& dir) {
  auto opened = BottleneckStore::Open(dir, StoreKey(), kDim);
  // Damage that SQLite finds is bad input; what it cannot open or read at all is I/O.
  if (!opened.ok()) {
    const std::string fault = NotOneLine(opened.status(), dir);
    return fault.empty() ? "" : NotOneLine(opened.status(), dir, Code::kIo);
  }
  BottleneckStore& store = **opened;
  std::array<float, kDim> vector{};
  const Sha256Digest photo = PhotoDigest("photo");
  // A vector that passes its checksum is the one that was stored.
  if (store.Get(photo, vector) && !std::ranges::equal(vector, kStoredVector)) return "a vector that was never stored";
  static_cast<void>(store.Thumbnail(photo));
  std::array<float, kDim> row{};
  const auto found = store.Find(std::span(&kPhotoPath, 1), row);
  if (found.ok() && (*found)[0].known) return "trusts a photo that is not there";
  BottleneckStore::Record record;
  record.path = kPhotoPath;
  record.photo_sha256 = PhotoDigest("other");
  record.vector = kStoredVector;
  const Status put = store.Put({&record, 1});
  const std::string fault = NotOneLine(put, dir);
  return fault.empty() ? "" : NotOneLine(put, dir, Code::kIo);
}

// ---- flags ----

bool AsksForText(const std::string& argument) {
  return argument == "--help" || argument == "--version" ||
         (argument.size() > 1 && argument[0] == '-' && argument[1] != '-' && argument.find('h') != std::string::npos);
}

}  // namespace

std::string RunArchive(Input bytes) {
  if (bytes.size() >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b) return Unpack(bytes);
  const std::string fault = Unpack(Gzip(bytes));
  return fault.empty() ? Unpack(Gzip(WithGoodTarSums(bytes))) : fault;
}

std::string RunEvents(Input bytes) {
  const std::string fault = ReadEvents(bytes);
  return fault.empty() ? ReadEvents(WithGoodRecordSums(bytes)) : fault;
}

std::string RunBottleneckText(Input bytes) {
  const MemoryFile file(bytes);
  std::array<float, 3> vector{};
  const Status status = ReadBottleneckText(file.path(), vector);
  if (!status.ok()) return NotOneLine(status, file.path());
  if (!std::ranges::all_of(vector, [](float value) { return std::isfinite(value); })) return "a value that is not finite";
  // What we write of it reads back to the same floats.
  const std::string text = FormatBottleneckText(vector);
  const MemoryFile again({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  std::array<float, 3> back{};
  if (!ReadBottleneckText(again.path(), back).ok()) return "does not read what it wrote: " + text;
  return std::memcmp(back.data(), vector.data(), sizeof vector) == 0 ? "" : "reads other values than it wrote: " + text;
}

std::string RunLabels(Input bytes) {
  const MemoryFile file(bytes);
  const auto labels = ReadLabels(file.path());
  if (!labels.ok()) return NotOneLine(labels.status(), file.path());
  if (labels->empty()) return "no labels, and no error";
  for (const std::string& label : *labels)
    if (label.find('\n') != std::string::npos) return "a label of two lines";
  return "";
}

std::string RunStore(Input bytes) {
  const Folder folder;
  std::ofstream(folder / "bottlenecks.sqlite", std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return ReadStore(folder.path());
}

std::string RunFlags(Input bytes) {
  std::vector<std::string> arguments = {"retrain"};
  std::string argument;
  for (const uint8_t byte : bytes) {
    if (byte == 0) break;  // no argument of a program holds one
    if (byte != '\n') {
      argument += static_cast<char>(byte);
      continue;
    }
    arguments.push_back(argument);
    argument.clear();
  }
  CommandLine flags("retrain", "fuzz");
  RetrainOptions options;
  DeclareRetrainFlags(flags, options);
  const auto canonical = flags.Canonical({arguments.begin() + 1, arguments.end()});
  if (!canonical.ok()) return NotOneLine(canonical.status(), "--");
  if (std::ranges::any_of(*canonical, AsksForText)) return "";
  std::vector<char*> argv;
  for (std::string& text : arguments) argv.push_back(text.data());
  Status status = flags.Parse(static_cast<int>(argv.size()), argv.data());
  if (status.ok()) status = CheckRetrainOptions(options);
  if (!status.ok()) return NotOneLine(status, "");
  MakeImageListOptions(options);
  MakeDecodeOptions(options, 224);
  MakeExtractOptions(options);
  MakeTrainOptions(options);
  MakeDistortedOptions(options);
  return "";
}

std::vector<std::string> ArchiveStarts() {
  using Kind = test::ArchiveEntry::Kind;
  std::vector<std::string> starts = {
      TarOf({{"model/graph.pb", "graph"}}),
      TarOf({{"photos/a/1.jpg", "photo"}, {"photos/LICENSE.txt", "free"}, {"photos/b/2.png", std::string(600, 'p')}}),
      TarOf({{"../graph.pb", "out"}}),
      TarOf({{"photos/x.jpg", ""}}, '2'),
      TarOf({{"a/pax", "22 path=photos/z.jpg\n11 size=3\n"}}, 'x'),
      TarOf({{"././@LongLink", "photos/" + std::string(120, 'n') + ".jpg"}}, 'L'),
  };
  const Folder folder;
  test::MakeArchive(folder / "a.tgz", {{Kind::kFolder, "photos/", ""},
                                       {Kind::kFile, "photos/a.jpg", "a"},
                                       {Kind::kFile, "graph.pb", "graph"},
                                       {Kind::kSymlink, "photos/b.jpg", "/etc/passwd"}});
  starts.push_back(FileText(folder / "a.tgz"));
  return starts;
}

std::vector<std::string> EventStarts() {
  const Folder folder;
  std::string path;
  {
    auto writer = EventFileWriter::Create(folder.path());
    if (!writer.ok()) std::abort();
    path = (*writer)->path();
    HistogramValue histogram;
    MakeHistogram(std::array{1.0f, 2.0f, -3.0f}, &histogram);
    const SummaryValue values[] = {{.tag = "accuracy", .scalar = 0.5f}, {.tag = "weights", .histogram = &histogram}};
    if (!(*writer)->AddSummary(7, values).ok()) std::abort();
  }
  return {FileText(path), std::string(16, '\0')};
}

std::vector<std::string> BottleneckTextStarts() {
  return {"0.5,1e-3,-2", " 1_000.5 ,\t+2.25,-0.0\n", "1,2,nan", "1e-400,1e400,3", "1,2", "3.4028235e38,1e-45,0x1"};
}

std::vector<std::string> LabelStarts() {
  return {"daisy\nrose\n", "\xef\xbb\xbf" "a \r\n\r\nb", "\n\n", "one"};
}

std::vector<std::string> StoreStarts() {
  std::vector<std::string> starts = {"SQLite format 3", ""};
  const Folder folder;
  {
    auto store = BottleneckStore::Open(folder.path(), StoreKey(), kDim);
    if (!store.ok()) std::abort();
    BottleneckStore::Record record;
    record.path = kPhotoPath;
    record.photo_sha256 = PhotoDigest("photo");
    record.vector = kStoredVector;
    if (!(*store)->Put({&record, 1}).ok()) std::abort();
  }
  starts.push_back(FileText(folder / "bottlenecks.sqlite"));
  return starts;
}

std::vector<std::string> FlagStarts() {
  return {"--image_dir=flowers\n--how-many-training-steps\n500\n--learning_rate=0.5\n",
          "--image_dir\nx\n--flip_left_right\n--verify_cache=all\n--random_crop=10\n--seed=3\n",
          "--summarys_dir=a\n--arch=inception_v3\n--train_batch=-1\n",
          "--testing_percentage=60\n--validation_percentage=40\n--image_dir=a\n",
          "--nonsense\n--threads\n--input_std=0\n--device=cuda\n--\nx\n"};
}

}  // namespace couplet::fuzz
