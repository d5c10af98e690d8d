// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/targets.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace couplet::fuzz {

std::span<const Target> Targets() {
  static constexpr std::array kTargets = {
      Target{"graph_bytes", RunGraphBytes, GraphStarts},
      Target{"graph_structure", RunGraphStructure, GraphChoiceStarts},
      Target{"jpeg", RunJpeg, JpegStarts},
      Target{"png", RunPng, PngStarts},
      Target{"bmp", RunBmp, BmpStarts},
      Target{"gif", RunGif, GifStarts},
      Target{"archive", RunArchive, ArchiveStarts},
      Target{"events", RunEvents, EventStarts},
      Target{"bottleneck_text", RunBottleneckText, BottleneckTextStarts},
      Target{"labels", RunLabels, LabelStarts},
      Target{"store", RunStore, StoreStarts},
      Target{"flags", RunFlags, FlagStarts},
  };
  return kTargets;
}

const Target* FindTarget(const std::string& name) {
  for (const Target& target : Targets())
    if (name == target.name) return &target;
  return nullptr;
}

std::string NotOneLine(const Status& status, const std::string& name, Code code) {
  if (status.ok()) return "";
  const std::string& line = status.message();
  if (status.code() != code) return "code " + std::to_string(status.exit_code()) + ": " + line;
  if (line.empty()) return "no reason is given";
  if (line.find(name) == std::string::npos) return "the file is not named: " + line;
  return "";
}

MemoryFile::MemoryFile(Input bytes) : fd_(memfd_create("fuzz", MFD_CLOEXEC)) {
  if (fd_ < 0) std::abort();
  for (size_t written = 0; written < bytes.size();) {
    const ssize_t count = write(fd_, bytes.data() + written, bytes.size() - written);
    if (count <= 0) std::abort();
    written += static_cast<size_t>(count);
  }
  path_ = "/proc/self/fd/" + std::to_string(fd_);
}

MemoryFile::~MemoryFile() { close(fd_); }

}  // namespace couplet::fuzz
