// make tune: times cuDNN's and cublasLt's ways to do each layer on this machine's GPU, prints the race and keeps the
// winners where retrain and label_image look for them (apps/device.h). Without it a fixed rule chooses.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>


#include "apps/cli.h"
#include "apps/console.h"
#include "apps/guarded_main.h"
#include "apps/device.h"
#include "loaders/files.h"
#include "models/backbone.h"
#include "runtime/cuda_loader.h"

namespace couplet {
namespace {

constexpr const char* kProgram = "tune";

struct Options {
  BackboneOptions backbone;
  std::vector<std::string> precisions = {"fp32", "tf32", "fp16"};
  int64_t gpu_memory_mb = 0;
};

Status TuneOne(const Options& o, const Backbone& backbone, const std::string& precision) {
  DeviceOptions device;
  device.device = "cuda";
  device.precision = precision;
  device.gpu_memory_mb = o.gpu_memory_mb;
  CudaOptions options = MakeCudaOptions(device);
  options.tune = true;
  COUPLET_ASSIGN_OR_RETURN(const std::unique_ptr<Backend> backend, LoadCudaBackend(options));
  COUPLET_ASSIGN_OR_RETURN(const PhotoNetwork network, backbone.Network(*backend));
  // A batch's groups, and photos one by one: the two shapes that the engine runs.
  for (const int batch : {network.max_batch, 1}) {
    COUPLET_ASSIGN_OR_RETURN(const auto session, network.make_session({.max_batch = batch}));
    if (network.max_batch == 1) break;
  }
  const std::string path = TuningPath(precision);
  COUPLET_RETURN_IF_ERROR(MakeDirectories(ParentDirectory(path)));
  COUPLET_RETURN_IF_ERROR(WriteFileAtomically(path, backend->tuning()));
  Out("{}\nkept in {}\n\n", backend->tuning(), path);
  return {};
}

Status Run(const Options& o) {
  COUPLET_RETURN_IF_ERROR(ProbeCudaDriver());  // before anything is downloaded
  COUPLET_ASSIGN_OR_RETURN(const Backbone backbone, Backbone::Open(o.backbone, [](const std::string& line, bool transient) {
                             if (!transient) LogInfo(line);
                           }));
  for (const std::string& precision : o.precisions) COUPLET_RETURN_IF_ERROR(TuneOne(o, backbone, precision));
  return {};
}

int Main(int argc, char** argv) {
  CommandLine flags(kProgram, "Chooses, by timing them, how this machine's GPU does the layers of a network.");
  Options o;
  flags.Add("--architecture", &o.backbone.architecture, "as in retrain");
  flags.Add("--model_dir", &o.backbone.model_dir, "as in retrain");
  flags.Add("--model_file", &o.backbone.model_file, "as in retrain");
  flags.Add("--precision", &o.precisions, "fp32, tf32, fp16; several with commas between [all]").OneOf({"fp32", "tf32", "fp16"});
  flags.Add("--gpu_memory_mb", &o.gpu_memory_mb, "as in retrain").AtLeast(0);
  Status status = flags.Parse(argc, argv);
  if (status.ok()) status = Run(o);
  return Finish(kProgram, status);
}

}  // namespace
}  // namespace couplet

int main(int argc, char** argv) {
  return couplet::GuardedMain(couplet::kProgram, couplet::Main, argc, argv);
}
