// SPDX-License-Identifier: Apache-2.0
#include "tests/gpu/material.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

#include "loaders/files.h"
#include "loaders/image.h"
#include "runtime/cuda_loader.h"
#include "tests/support/graph_generator.h"

namespace couplet::gpu {

void Die(const Status& status) {
  fmt::print(stderr, "error: {}\n", status.message());
  std::exit(status.exit_code());
}

std::unique_ptr<Backend> OpenDevice(const std::string& device, Precision precision, bool tune) {
  if (device == "cpu") return MakeCpuBackend();
  CudaOptions options;
  options.precision = precision;
  options.tune = tune;
  return OrDie(LoadCudaBackend(options));
}

Backbone OpenNetwork(const std::string& name, const std::string& temp) {
  BackboneOptions options;
  options.model_file = name;
  if (!name.ends_with(".pb")) {
    options.model_file = JoinPath(temp, name + ".pb");
    std::string graph;
    test::MobileNetOptions mobilenet;
    if (name == "inception_v3")
      graph = test::GenerateInception2015({});
    else if (std::sscanf(name.c_str(), "mobilenet_%lf_%d", &mobilenet.width, &mobilenet.size) == 2)
      graph = test::GenerateMobileNet(mobilenet);
    else
      Die(BadInput(fmt::format("no network '{}': mobilenet_WIDTH_SIZE, inception_v3 or a .pb file", name)));
    OrDie(MakeDirectories(temp));
    OrDie(WriteFileAtomically(options.model_file, graph));
  }
  return OrDie(Backbone::Open(options, {}));
}

PackedPhotos DecodePhotos(const bench::PhotoFiles& files, int n) {
  PackedPhotos packed;
  Image image;
  for (int i = 0; i < n; ++i) {
    OrDie(DecodeImage(files.bytes[static_cast<size_t>(i) % files.bytes.size()], {}, &image));
    packed.entries.push_back(image.entry);
    packed.entries.back().offset = packed.bytes.size();
    packed.bytes.insert(packed.bytes.end(), image.pixels.begin(), image.pixels.end());
  }
  return packed;
}

}  // namespace couplet::gpu
