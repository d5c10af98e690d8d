// Developer's program for `make oracle`: what our side computes, for a script to hold against TensorFlow.
//
//   dump layers GRAPH INPUT_LAYER OUTPUT_LAYER SIZE MEAN STD multiply|divide found|optimized|output PHOTO...
//       every layer's output, as the graph was found or after all rewrites, or the output layer's alone
//   dump floats GRAPH OUTPUT_LAYER HEIGHT WIDTH FILE
//       the output layer's values, as the graph was found and after all rewrites, for HEIGHT x WIDTH x 3 float32 of FILE at `input`
//   dump pixels PHOTO...
//       the decoded photo
//
// To stdout, one record a layer: "name\tn\th\tw\tc\n" and n*h*w*c little-endian float32; a photo or a
// graph that cannot be read gives "!reason\t0\t0\t0\t0\n".
// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "loaders/files.h"
#include "loaders/image.h"
#include "runtime/graph_passes.h"
#include "tests/support/network.h"

namespace {

using couplet::Result;
using couplet::Shape;
using couplet::Status;
using couplet::test::Network;

void Put(const std::string& name, const Shape& shape, const std::vector<float>& values) {
  std::printf("%s\t%d\t%d\t%d\t%d\n", name.c_str(), shape.n, shape.h, shape.w, shape.c);
  std::fwrite(values.data(), sizeof(float), values.size(), stdout);
}

Status PutLayers(Network& network, const std::string& photo, bool output_only) {
  Result<std::vector<float>> output = network.Run(photo);
  if (!output.ok()) {
    Put("!" + output.status().message(), {0, 0, 0, 0}, {});
    return {};
  }
  const couplet::Graph& graph = network.graph();
  if (output_only) {
    const couplet::Layer& layer = graph.layers[static_cast<size_t>(graph.output)];
    Put(layer.name, layer.shape, *output);
    return {};
  }
  for (size_t i = 0; i < graph.layers.size(); ++i) {
    COUPLET_ASSIGN_OR_RETURN(const std::vector<float> values, network.Output(static_cast<int>(i)));
    Put(graph.layers[i].name, graph.layers[i].shape, values);
  }
  return {};
}

Status DumpLayers(std::span<char* const> args) {
  const bool divide = args[6] == std::string("divide");
  const std::string what = args[7];
  const couplet::ImportOptions options =
      couplet::test::PhotoOptions(args[1], args[2], std::atoi(args[3]), std::strtof(args[4], nullptr),
                                  std::strtof(args[5], nullptr), divide);
  COUPLET_ASSIGN_OR_RETURN(
      const auto network,
      Network::Load(args[0], options, what == "found" ? Network::Form::kAsFound : Network::Form::kOptimized,
                    what != "output"));
  for (const char* photo : args.subspan(8))
    COUPLET_RETURN_IF_ERROR(PutLayers(*network, photo, what == "output"));
  return {};
}

Result<std::vector<float>> RunFloats(const std::string& path, const couplet::ImportOptions& options,
                                     std::span<const float> pixels, bool optimized, Shape* shape) {
  COUPLET_ASSIGN_OR_RETURN(const couplet::GraphDef def, couplet::GraphDef::Open(path));
  COUPLET_ASSIGN_OR_RETURN(couplet::Graph graph, ImportGraph(def, options));
  if (optimized) graph = Optimize(std::move(graph));
  *shape = graph.layers[static_cast<size_t>(graph.output)].shape;
  const auto backend = couplet::MakeCpuBackend();
  COUPLET_ASSIGN_OR_RETURN(const auto session, couplet::Session::Create(std::move(graph), *backend, {}));
  COUPLET_ASSIGN_OR_RETURN(const auto worker, session->NewWorker());
  std::vector<float> output(static_cast<size_t>(session->output_size()));
  COUPLET_RETURN_IF_ERROR(session->RunPixels(*worker, pixels, output));
  return output;
}

Status DumpFloats(std::span<char* const> args) {
  couplet::ImportOptions options;
  options.input_layer = "input";
  options.output_layer = args[1];
  options.input_height = std::atoi(args[2]);
  options.input_width = std::atoi(args[3]);
  options.photos = false;
  std::vector<uint8_t> bytes;
  COUPLET_RETURN_IF_ERROR(couplet::ReadFile(args[4], uint64_t{1} << 28, &bytes));
  std::vector<float> pixels(bytes.size() / sizeof(float));
  std::memcpy(pixels.data(), bytes.data(), pixels.size() * sizeof(float));
  for (const bool optimized : {false, true}) {
    Shape shape;
    const auto output = RunFloats(args[0], options, pixels, optimized, &shape);
    if (output.ok())
      Put(optimized ? "optimized" : "found", shape, *output);
    else
      Put("!" + output.status().message(), {0, 0, 0, 0}, {});
  }
  return {};
}

Status DumpPixels(std::span<char* const> photos) {
  std::vector<uint8_t> bytes;
  couplet::Image image;
  for (const char* photo : photos) {
    COUPLET_RETURN_IF_ERROR(couplet::ReadFile(photo, uint64_t{1} << 28, &bytes));
    const Status status = couplet::DecodeImage(bytes, {}, &image);
    if (status.ok())
      Put(photo, {1, image.entry.height, image.entry.width, 3}, {image.pixels.begin(), image.pixels.end()});
    else
      Put("!" + status.message(), {0, 0, 0, 0}, {});
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  const std::span<char* const> args(argv, static_cast<size_t>(argc));
  const std::string command = argc > 1 ? argv[1] : "";
  Status status = couplet::BadInput("usage: dump layers ... | dump floats ... | dump pixels ... (see tests/oracle/dump.cc)");
  if (command == "layers" && argc >= 11) status = DumpLayers(args.subspan(2));
  if (command == "floats" && argc == 7) status = DumpFloats(args.subspan(2));
  if (command == "pixels" && argc >= 3) status = DumpPixels(args.subspan(2));
  if (!status.ok()) std::fprintf(stderr, "dump: %s\n", status.message().c_str());
  return status.exit_code();
}
