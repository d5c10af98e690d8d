// SPDX-License-Identifier: Apache-2.0
#include "runtime/cuda_loader.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "runtime/program_folder.h"

namespace couplet {
namespace {

bool Exists(const std::string& path) {
  return access(path.c_str(), R_OK) == 0;
}

std::string Environment(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

// Opens what the engine needs of NVIDIA's libraries from the folders the user names: an open library of the
// same name then satisfies the engine's own dependency. What is not there the linker looks for in its way.
void OpenNamedLibraries() {
  std::vector<std::string> folders;
  for (const char* const variable : {"CUDNN_HOME", "CUDA_HOME"}) {
    const std::string home = Environment(variable);
    if (home.empty()) continue;
    folders.push_back(home + "/lib");
    folders.push_back(home + "/lib64");
  }
  // In the order of their dependencies: the toolkit's from 11 to 13, cuDNN 8 and 9.
  for (const char* const name :
       {"libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0", "libcublasLt.so.13", "libcublasLt.so.12",
        "libcublasLt.so.11", "libcublas.so.13", "libcublas.so.12", "libcublas.so.11", "libcudnn.so.9",
        "libcudnn.so.8"})
    for (const std::string& folder : folders) {
      const std::string path = folder + "/" + name;
      if (Exists(path) && dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr) break;
    }
}

Result<CudaEntryPoints> OpenEngine() {
  const std::string path = FindCudaLibrary();
  if (path.empty())
    return DeviceError(
        fmt::format("no CUDA engine: there is no libcouplet_cuda.so beside this program or in {}; build with "
                    "CUDA=1, or use --device=cpu",
                    ProgramFolder() + "/../lib/couplet"));
  OpenNamedLibraries();
  void* const object = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (object == nullptr) {
    const char* const why = dlerror();
    return DeviceError(
        fmt::format("the CUDA engine does not open: {}; set CUDA_HOME and CUDNN_HOME to where CUDA and "
                    "cuDNN are installed, or use --device=cpu",
                    why != nullptr ? why : path));
  }
  using Fill = void (*)(CudaEntryPoints*);
  const auto fill = reinterpret_cast<Fill>(dlsym(object, "couplet_cuda_entry_points"));
  CudaEntryPoints entries;
  if (fill != nullptr) fill(&entries);
  if (entries.version != kCudaInterface)
    return DeviceError(fmt::format("{} belongs to another version of Couplet; build both together", path));
  return entries;
}

}  // namespace

std::string FindCudaLibrary() {
  if (std::string named = Environment("COUPLET_CUDA_LIBRARY"); !named.empty()) return named;
  const std::string folder = ProgramFolder();
  for (const char* const place : {"/libcouplet_cuda.so", "/../lib/couplet/libcouplet_cuda.so"})
    if (Exists(folder + place)) return folder + place;
  return {};
}

Status ProbeCudaDriver() {
  // Left open: whoever asks goes on to use it, and closing and opening it again costs time.
  if (dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL) != nullptr) return {};
  return DeviceError("no NVIDIA driver: libcuda.so.1 does not open; use --device=cpu");
}

Result<std::unique_ptr<Backend>> LoadCudaBackend(const CudaOptions& options) {
  if (FindCudaLibrary().empty()) return OpenEngine().status();
  COUPLET_RETURN_IF_ERROR(ProbeCudaDriver());
  COUPLET_ASSIGN_OR_RETURN(const CudaEntryPoints entries, OpenEngine());
  return entries.make_backend(options);
}

std::string DescribeCudaDevices() {
  if (const Status driver = ProbeCudaDriver(); !driver.ok()) return driver.message() + "\n";
  const Result<CudaEntryPoints> entries = OpenEngine();
  return entries.ok() ? entries->describe_devices() : entries.status().message() + "\n";
}

}  // namespace couplet
