// Writes networks as Google's files hold them, with weights from a seed, so that no test depends on a
// download: node names, ops, inputs, attributes and order are those of mobilenet_v1_*_frozen.tgz and
// inception-2015-12-05.tgz. Weights are He-initialised and batch norm statistics chosen so that activations
// stay near 1 all the way.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace couplet::test {

struct MobileNetOptions {
  double width = 0.25;
  int size = 128;  // of the input, pixels
  uint64_t seed = 1;
  // The same network as it is found. One seed gives equal outputs up to rounding, kQuantized up to its bits.
  enum class Form {
    kDecomposed,  // frozen_graph.pb: batch norm as Add Rsqrt Mul Mul Mul Sub Add; 555 nodes
    kFused,       // FusedBatchNorm instead
    kBiasAdd,     // after optimize_for_inference: folded into the weights, offsets at the end of the file
    kQuantized,  // quantized_graph.pb: constants folded, big ones behind Dequantize, not topologically sorted
  } form = Form::kDecomposed;
  // 0: the network alone. Otherwise as retrain.py writes it with that many classes, the head seeded too.
  int head_classes = 0;
  bool add_v2 = false;  // written by a late TensorFlow
};

// A serialised GraphDef.
std::string GenerateMobileNet(const MobileNetOptions& options);

struct InceptionOptions {
  uint64_t seed = 1;
  // Divides the channels of every layer (at least 8 are left), to keep a test small; 1: the real 95 MB.
  int divide_channels = 1;
};

// classify_image_graph_def.pb of 2015: 1004 nodes from DecodeJpeg/contents to softmax.
std::string GenerateInception2015(const InceptionOptions& options);

// Where a generated network is entered and left.
inline constexpr const char* kMobileNetBottleneck = "MobilenetV1/Predictions/Reshape";
inline constexpr const char* kInceptionBottleneck = "pool_3/_reshape";

}  // namespace couplet::test
