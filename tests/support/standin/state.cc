// SPDX-License-Identifier: Apache-2.0
#include "tests/support/standin/state.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/support/simt/control.h"
#include "tests/support/standin/control.h"
#include "tests/support/standin/memory.h"
#include "tests/support/standin/scheduler.h"

namespace couplet::standin {

namespace {

constexpr const char* kProperties[] = {"devices",    "driver",     "name",    "memory_mb", "free_mb",
                                       "capability", "integrated", "strided", "guard",     "quiet"};

Device DeviceFromEnvironment() {
  Device device;
  for (const char* property : kProperties) {
    std::string variable = "COUPLET_STANDIN_";
    for (const char* c = property; *c != '\0'; ++c) variable += static_cast<char>(*c == '_' ? '_' : *c - 32);
    if (const char* value = std::getenv(variable.c_str())) device.Set(property, value);
  }
  return device;
}

// Does the call allocate, so that its natural failure is a lack of memory?
bool Allocates(std::string_view name) {
  for (const char* part : {"Malloc", "HostAlloc", "Create", "Instantiate"})
    if (name.find(part) != std::string_view::npos) return true;
  return false;
}

int CodeOf(const std::string& code, std::string_view name, Library library) {
  const std::string word = !code.empty() ? code : Allocates(name) ? "oom" : "unknown";
  const bool oom = word == "oom", fault = word == "fault";
  if (!oom && !fault && word != "unknown") return std::atoi(word.c_str());
  switch (library) {
    case Library::kCuda:
      return oom ? cudaErrorMemoryAllocation : fault ? cudaErrorIllegalAddress : cudaErrorUnknown;
    case Library::kCudnn:
      return oom ? CUDNN_STATUS_ALLOC_FAILED : CUDNN_STATUS_EXECUTION_FAILED;
    case Library::kBlas:
      return oom ? CUBLAS_STATUS_ALLOC_FAILED : CUBLAS_STATUS_EXECUTION_FAILED;
  }
  return 0;
}

pid_t g_process = 0;  // that made the state: a forked child writes no report

void WriteReport() {
  const char* path = std::getenv("COUPLET_STANDIN_REPORT");
  if (path == nullptr || getpid() != g_process) return;
  std::FILE* file = std::fopen(path, "w");
  if (file == nullptr) return;
  State& state = TheState();
  const std::lock_guard<std::mutex> held(state.lock);
  for (const auto& text : state.misuse) std::fprintf(file, "misuse\t%s\n", text.c_str());
  for (const auto& text : state.Alive()) std::fprintf(file, "alive\t%s\n", text.c_str());
  for (const auto& [name, count] : state.calls) std::fprintf(file, "calls\t%s\t%ld\n", name.c_str(), count);
  std::fprintf(file, "peak_bytes\t%zu\n", state.memory->peak_bytes());
  std::fclose(file);
}

size_t Tell(const std::vector<std::string>& lines, char* text, size_t size) {
  std::string all;
  for (const auto& line : lines) all += line + "\n";
  if (size != 0) {
    const size_t length = std::min(all.size(), size - 1);
    std::memcpy(text, all.data(), length);
    text[length] = '\0';
  }
  return lines.size();
}

}  // namespace

bool Device::Set(std::string_view property, const std::string& value) {
  const long number = std::atol(value.c_str());
  if (property == "devices")
    devices = static_cast<int>(number);
  else if (property == "driver")
    driver = static_cast<int>(number);
  else if (property == "name")
    name = value;
  else if (property == "memory_mb")
    memory_bytes = free_bytes = static_cast<size_t>(number) << 20;
  else if (property == "free_mb")
    free_bytes = static_cast<size_t>(number) << 20;
  else if (property == "capability")
    std::sscanf(value.c_str(), "%d.%d", &major, &minor);
  else if (property == "integrated")
    integrated = number != 0;
  else if (property == "strided")
    strided = number != 0;
  else if (property == "guard")
    guard = number != 0;
  else if (property == "quiet")
    quiet = number != 0;
  else if (property == "idle")
    idle = number != 0;
  else
    return false;
  return true;
}

size_t SharedOptIn(const Device& device) {
  const int capability = device.major * 10 + device.minor;
  const bool data_center = capability == 80 || capability == 87;
  const size_t kib = capability >= 120  ? 99
                     : capability >= 90 ? 227
                     : data_center      ? 163
                     : capability >= 80 ? 99
                     : capability == 75 ? 64
                                        : 48;
  return kib * 1024;
}

State::State()
    : device(DeviceFromEnvironment()),
      memory(std::make_unique<Memory>()),
      scheduler(std::make_unique<Scheduler>()) {
  g_process = getpid();
  simt::SetSharedLimit(SharedOptIn(device));
  if (const char* text = std::getenv("COUPLET_STANDIN_FAIL")) SetPlan(text);
  if (const char* text = std::getenv("COUPLET_STANDIN_ORDER")) scheduler->SetOrder(text);
  std::atexit(WriteReport);
}

State& TheState() {
  static State* const state = new State();  // never destroyed: the backend may outlive any static object
  return *state;
}

cudaError_t& LastError() {
  thread_local cudaError_t error = cudaSuccess;
  return error;
}
bool& InHostFunction() {
  thread_local bool inside = false;
  return inside;
}

void State::SetPlan(const std::string& text) {
  plan.clear();
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    const std::string entry = text.substr(at, end - at);
    at = end + 1;
    const size_t first = entry.find(':'), second = std::min(entry.find(':', first + 1), entry.size());
    if (first == std::string::npos) {
      Misuse("a plan of failures that cannot be read: " + entry);
      continue;
    }
    const std::string nth = entry.substr(first + 1, second - first - 1);
    plan.push_back({entry.substr(0, first), std::atol(nth.c_str()), !nth.empty() && nth.back() == '+',
                    second < entry.size() ? entry.substr(second + 1) : "", 0});
  }
}

int State::Count(std::string_view name, Library library) {
  ++calls[std::string(name)];
  if (name != "run") ++calls["*"];
  int code = 0;
  for (PlannedFailure& failure : plan) {
    if (failure.name != name && !(failure.name == "*" && name != "run")) continue;
    ++failure.seen;
    if (failure.seen != failure.nth && !(failure.onwards && failure.seen > failure.nth)) continue;
    code = CodeOf(failure.code, name, library);
    if (failure.code == "fault") sticky = cudaErrorIllegalAddress;
  }
  return code;
}

void State::Misuse(std::string message) {
  if (!device.quiet) std::fprintf(stderr, "stand-in: %s\n", message.c_str());
  misuse.push_back(std::move(message));
}

std::vector<std::string> State::Alive() const {
  std::vector<std::string> lines = memory->Alive();
  std::map<std::string, int> counts;
  for (const auto& [object, what] : objects) ++counts[what];
  for (const auto& [what, count] : counts)
    for (int i = 0; i < count; ++i) lines.push_back(what);
  return lines;
}

void State::Reset() {
  plan.clear();
  calls.clear();
  misuse.clear();
  sticky = cudaSuccess;
  device = DeviceFromEnvironment();
  simt::SetSharedLimit(SharedOptIn(device));
  memory->ResetPeak();
  scheduler->SetOrder("eager");
}

bool IsSticky(cudaError_t error) {
  switch (error) {
    case cudaErrorIllegalAddress:
    case cudaErrorMisalignedAddress:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorAssert:
    case cudaErrorECCUncorrectable:
      return true;
    default:
      return false;
  }
}

cudaError_t EnterCuda(const char* name, InCapture rule) {
  State& state = TheState();
  const auto planned = static_cast<cudaError_t>(state.Count(name, Library::kCuda));
  if (planned != cudaSuccess) return planned;
  if (state.sticky != cudaSuccess) return state.sticky;
  if (state.device.driver == 0) return cudaErrorInsufficientDriver;
  if (state.device.devices == 0) return cudaErrorNoDevice;
  if (rule == InCapture::kForbidden && state.scheduler->BreaksCapture())
    return cudaErrorStreamCaptureUnsupported;
  return cudaSuccess;
}

cudaError_t LeaveCuda(cudaError_t error) {
  if (IsSticky(error)) TheState().sticky = error;
  // Not ready is an answer, not an error.
  if (error != cudaSuccess && error != cudaErrorNotReady) LastError() = error;
  return error;
}

cudnnStatus_t EnterCudnn(const char* name, InCapture rule) {
  State& state = TheState();
  const auto planned = static_cast<cudnnStatus_t>(state.Count(name, Library::kCudnn));
  if (planned != CUDNN_STATUS_SUCCESS || rule == InCapture::kHostOnly) return planned;
  if (state.sticky != cudaSuccess) return CUDNN_STATUS_EXECUTION_FAILED;
  if (state.device.driver == 0 || state.device.devices == 0) return CUDNN_STATUS_NOT_INITIALIZED;
  if (rule == InCapture::kForbidden && state.scheduler->BreaksCapture()) return CUDNN_STATUS_INTERNAL_ERROR;
  return CUDNN_STATUS_SUCCESS;
}

cublasStatus_t EnterBlas(const char* name, InCapture rule) {
  State& state = TheState();
  const auto planned = static_cast<cublasStatus_t>(state.Count(name, Library::kBlas));
  if (planned != CUBLAS_STATUS_SUCCESS || rule == InCapture::kHostOnly) return planned;
  if (state.sticky != cudaSuccess) return CUBLAS_STATUS_EXECUTION_FAILED;
  if (state.device.driver == 0 || state.device.devices == 0) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (rule == InCapture::kForbidden && state.scheduler->BreaksCapture()) return CUBLAS_STATUS_INTERNAL_ERROR;
  return CUBLAS_STATUS_SUCCESS;
}

bool Alive(const void* object, const char* what, const char* call) {
  const auto& objects = TheState().objects;
  const auto found = objects.find(object);
  if (found != objects.end() && found->second == what) return true;
  TheState().Misuse(std::string(call) + ": not a living " + what);
  return false;
}

}  // namespace couplet::standin

using couplet::standin::State;
using couplet::standin::TheState;

void couplet_standin_fail(const char* plan) {
  const std::lock_guard<std::mutex> held(TheState().lock);
  TheState().SetPlan(plan);
}
void couplet_standin_order(const char* order) {
  const std::lock_guard<std::mutex> held(TheState().lock);
  TheState().scheduler->SetOrder(order);
}
bool couplet_standin_set(const char* property, const char* value) {
  const std::lock_guard<std::mutex> held(TheState().lock);
  const bool known = TheState().device.Set(property, value);
  couplet::simt::SetSharedLimit(couplet::standin::SharedOptIn(TheState().device));
  return known;
}
long couplet_standin_calls(const char* name) {
  const std::lock_guard<std::mutex> held(TheState().lock);
  const auto found = TheState().calls.find(name);
  return found == TheState().calls.end() ? 0 : found->second;
}
size_t couplet_standin_alive(char* text, size_t size) {
  const std::lock_guard<std::mutex> held(TheState().lock);
  return couplet::standin::Tell(TheState().Alive(), text, size);
}
size_t couplet_standin_misuse(char* text, size_t size) {
  const std::lock_guard<std::mutex> held(TheState().lock);
  return couplet::standin::Tell(TheState().misuse, text, size);
}
size_t couplet_standin_peak_bytes() {
  const std::lock_guard<std::mutex> held(TheState().lock);
  return TheState().memory->peak_bytes();
}
void couplet_standin_reset() {
  const std::lock_guard<std::mutex> held(TheState().lock);
  TheState().Reset();
}
