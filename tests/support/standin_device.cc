// SPDX-License-Identifier: Apache-2.0
#include "tests/support/standin_device.h"

#include <dlfcn.h>
#include <unistd.h>

#include <filesystem>

namespace couplet::test {

namespace {

// Stays open: the backends' code is in it.
void* Engine() {
  static void* const engine = [] {
    void* const object = dlopen((StandinDir() + "/libcouplet_cuda.so").c_str(), RTLD_NOW | RTLD_LOCAL);
    const char* const why = object == nullptr ? dlerror() : nullptr;
    REQUIRE_MESSAGE(object != nullptr, (why != nullptr ? why : ""));
    return object;
  }();
  return engine;
}

template <class Function>
void Find(const char* name, Function* function) {
  *function = reinterpret_cast<Function>(dlsym(Engine(), name));
  const bool found = *function != nullptr;
  REQUIRE_MESSAGE(found, name);
}

}  // namespace

std::string StandinDir() {
  const std::string dir = ProgramPath("tests/standin");
  return std::filesystem::exists(dir + "/libcouplet_cuda.so") ? dir : "";
}

std::vector<std::string> StandinEnvironment(const std::string& report) {
  return {"LD_LIBRARY_PATH=" + StandinDir(), "COUPLET_CUDA_LIBRARY=", "COUPLET_STANDIN_REPORT=" + report};
}

StandinDevice::StandinDevice() {
  Find("couplet_standin_fail", &fail_);
  Find("couplet_standin_order", &order_);
  Find("couplet_standin_set", &set_);
  Find("couplet_standin_calls", &calls_);
  Find("couplet_standin_alive", &alive_);
  Find("couplet_standin_misuse", &misuse_);
  Find("couplet_standin_peak_bytes", &peak_bytes_);
  Find("couplet_standin_reset", &reset_);
  Reset();
  CHECK(Alive() == "");
}

StandinDevice::~StandinDevice() {
  CHECK(Mistakes() == "");
  Reset();
  CHECK(Alive() == "");
}

void StandinDevice::Reset() const {
  reset_();
  set_("quiet", "1");
}

std::string StandinDevice::Text(Lister lister) {
  std::string text(1 << 16, '\0');
  lister(text.data(), text.size());
  text.resize(text.find('\0'));
  return text;
}

CapturedErrors::CapturedErrors() : stderr_(dup(2)), file_(std::tmpfile()) {
  dup2(fileno(file_), 2);
}
CapturedErrors::~CapturedErrors() {
  Restore();
  std::fclose(file_);
}
void CapturedErrors::Restore() {
  if (stderr_ < 0) return;
  std::fflush(stderr);
  dup2(stderr_, 2);
  close(stderr_);
  stderr_ = -1;
}
std::vector<std::string> CapturedErrors::Lines() {
  Restore();
  std::rewind(file_);
  std::vector<std::string> lines;
  char line[4096];
  while (std::fgets(line, sizeof line, file_) != nullptr) lines.emplace_back(line);
  return lines;
}

Result<std::unique_ptr<Backend>> OpenStandinBackend(const CudaOptions& options) {
  void (*fill)(CudaEntryPoints*);
  Find("couplet_cuda_entry_points", &fill);
  CudaEntryPoints entries;
  fill(&entries);
  REQUIRE(entries.version == kCudaInterface);
  return entries.make_backend(options);
}

std::unique_ptr<Backend> MakeStandinBackend(Precision precision) {
  CudaOptions options;
  options.precision = precision;
  auto backend = OpenStandinBackend(options);
  REQUIRE_MESSAGE(backend.ok(), backend.status().message());
  return std::move(backend).value();
}

}  // namespace couplet::test
