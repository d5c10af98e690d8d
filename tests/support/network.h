// A graph file, ready to run one photo at a time and to show any layer: for the tests against TensorFlow's
// goldens and for the oracle.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "loaders/import_tf.h"
#include "runtime/backend.h"
#include "runtime/session.h"

namespace couplet::test {

class Network {
 public:
  enum class Form { kAsFound, kOptimized };  // a layer a TensorFlow node, or after all rewrites
  // Every layer keeps its output where `keep_all`. On the CPU backend of this build, or `backend`; one thread.
  static Result<std::unique_ptr<Network>> Load(const std::string& graph_path, const ImportOptions& options,
                                               Form form, bool keep_all, std::unique_ptr<Backend> backend = MakeCpuBackend());

  // The output layer's values for the photo.
  Result<std::vector<float>> Run(const std::string& photo_path);
  // After Run, with keep_all: the values of layer `index`.
  Result<std::vector<float>> Output(int index);
  const Graph& graph() const { return session_->graph(); }

 private:
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<Session::Worker> worker_;
};

// `size` x `size` photos, (x - mean) * (1 / std), or (x - mean) / std where `divide`.
ImportOptions PhotoOptions(const std::string& input_layer, const std::string& output_layer, int size,
                           float mean, float std, bool divide);

// |got - want| / |want|; infinite where the sizes differ or a value is not finite.
double RelativeL2(const std::vector<float>& got, const std::vector<float>& want);

}  // namespace couplet::test
