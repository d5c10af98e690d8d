// SPDX-License-Identifier: Apache-2.0
#include "tests/support/network.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "loaders/files.h"
#include "loaders/graphdef.h"
#include "loaders/image.h"
#include "runtime/graph_passes.h"

namespace couplet::test {

Result<std::unique_ptr<Network>> Network::Load(const std::string& graph_path, const ImportOptions& options,
                                               Form form, bool keep_all, std::unique_ptr<Backend> backend) {
  COUPLET_ASSIGN_OR_RETURN(const GraphDef def, GraphDef::Open(graph_path));
  COUPLET_ASSIGN_OR_RETURN(Graph graph, ImportGraph(def, options));
  if (form == Form::kOptimized) graph = Optimize(std::move(graph));
  auto network = std::make_unique<Network>();
  network->backend_ = std::move(backend);
  SessionOptions session_options;
  session_options.keep_all = keep_all;
  COUPLET_ASSIGN_OR_RETURN(network->session_,
                           Session::Create(std::move(graph), *network->backend_, session_options));
  COUPLET_ASSIGN_OR_RETURN(network->worker_, network->session_->NewWorker());
  return network;
}

Result<std::vector<float>> Network::Run(const std::string& photo_path) {
  std::vector<uint8_t> bytes;
  COUPLET_RETURN_IF_ERROR(ReadFile(photo_path, uint64_t{1} << 28, &bytes));
  Image image;
  COUPLET_RETURN_IF_ERROR(DecodeImage(bytes, {}, &image));
  std::vector<float> output(static_cast<size_t>(session_->output_size()));
  COUPLET_RETURN_IF_ERROR(session_->Run(*worker_, {image.pixels, {&image.entry, 1}}, output));
  return output;
}

Result<std::vector<float>> Network::Output(int index) { return session_->Output(*worker_, index, 1); }

ImportOptions PhotoOptions(const std::string& input_layer, const std::string& output_layer, int size,
                           float mean, float std, bool divide) {
  ImportOptions options;
  options.input_layer = input_layer;
  options.output_layer = output_layer;
  options.input_height = options.input_width = size;
  options.normalization = {mean, std, divide ? Normalization::Mode::kDivide : Normalization::Mode::kMultiply};
  return options;
}

double RelativeL2(const std::vector<float>& got, const std::vector<float>& want) {
  if (got.size() != want.size()) return std::numeric_limits<double>::infinity();
  double difference = 0, norm = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    if (!std::isfinite(got[i])) return std::numeric_limits<double>::infinity();
    const double d = double{got[i]} - double{want[i]};
    difference += d * d;
    norm += double{want[i]} * double{want[i]};
  }
  return std::sqrt(difference) / std::max(std::sqrt(norm), 1e-30);
}

}  // namespace couplet::test
