// What is fuzzed: one function for each kind of bytes that strangers hand us. libFuzzer feeds them in `make fuzz`
// (driver.cc), the tests feed them the kept seeds (fuzz_test.cc): the same functions, so that a seed that once broke
// something keeps watch without clang.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/status.h"

namespace couplet::fuzz {

using Input = std::span<const uint8_t>;

struct Target {
  const char* name;  // of the folder with its seeds, too
  // Feeds the bytes to the code under test. "" when all went as promised (a value, or one clear line); else what did
  // not. What crashes, leaks or runs away is for the sanitizers to see.
  std::string (*run)(Input bytes);
  // Well-formed inputs to start from, made by the tests' own generators.
  std::vector<std::string> (*starts)();
};

std::span<const Target> Targets();
const Target* FindTarget(const std::string& name);  // null: none of that name

// "" when `status` is ok, or what a user may see: `code`, a reason, and in it `name`, which stands for the file ("" = the
// caller adds it). (That it is one line of text when it is printed is OneLine's to see to: apps/console.h.)
std::string NotOneLine(const Status& status, const std::string& name, Code code = Code::kBadInput);

// graph_targets.cc
std::string RunGraphBytes(Input bytes);      // a serialised GraphDef
std::string RunGraphStructure(Input bytes);  // choices by which a valid graph is built, then bent
std::vector<std::string> GraphStarts();
std::vector<std::string> GraphChoiceStarts();
// image_targets.cc
std::string RunJpeg(Input bytes);
std::string RunPng(Input bytes);  // once as it is, once with its checksums put right
std::string RunBmp(Input bytes);
std::string RunGif(Input bytes);
std::vector<std::string> JpegStarts();
std::vector<std::string> PngStarts();
std::vector<std::string> BmpStarts();
std::vector<std::string> GifStarts();
// file_targets.cc
std::string RunArchive(Input bytes);  // once as it is, once as the tar inside a .tar.gz
std::string RunEvents(Input bytes);   // once as it is, once with its checksums put right
std::string RunBottleneckText(Input bytes);
std::string RunLabels(Input bytes);
std::string RunStore(Input bytes);  // an SQLite file
std::string RunFlags(Input bytes);  // arguments, each ended by a newline
std::vector<std::string> ArchiveStarts();
std::vector<std::string> EventStarts();
std::vector<std::string> BottleneckTextStarts();
std::vector<std::string> LabelStarts();
std::vector<std::string> StoreStarts();
std::vector<std::string> FlagStarts();

// Bytes as a file that lies in memory, for functions that take a path.
class MemoryFile {
 public:
  explicit MemoryFile(Input bytes);
  ~MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  int fd_;
  std::string path_;
};

}  // namespace couplet::fuzz
