// MobileNet v1 in every form it is found in.
// SPDX-License-Identifier: Apache-2.0
#include "tests/support/graph_generator.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "runtime/status.h"
#include "tests/support/graph_pieces.h"

namespace couplet::test {

namespace {

using Form = MobileNetOptions::Form;

constexpr int kClasses = 1001;
constexpr float kEpsilon = 0.001f;
// Constants of at least this many values lie behind Dequantize in Google's eight-bit files.
constexpr size_t kQuantizedFrom = 65536;

// One convolution with its batch norm.
struct Block {
  std::string name;  // "Conv2d_3_pointwise"
  bool depthwise = false;
  int stride = 1;
  std::vector<int64_t> dims;  // of the weights
  std::vector<float> weights, beta, gamma, mean, variance;
  std::vector<float> scale, offset;  // what the batch norm comes to

  std::string variables() const { return "MobilenetV1/" + name; }
  std::string scope() const { return "MobilenetV1/MobilenetV1/" + name; }
  std::string weights_name() const { return variables() + (depthwise ? "/depthwise_weights" : "/weights"); }
  std::string conv_name() const { return scope() + (depthwise ? "/depthwise" : "/convolution"); }
  const char* op() const { return depthwise ? "DepthwiseConv2dNative" : "Conv2D"; }
  int64_t channels() const { return depthwise ? dims[2] * dims[3] : dims[3]; }
  std::vector<float> ScaledWeights() const {
    std::vector<float> scaled = weights;
    for (size_t i = 0; i < scaled.size(); ++i) scaled[i] *= scale[i % scale.size()];
    return scaled;
  }
};

Block MakeBlock(uint64_t seed, std::string name, bool depthwise, int stride, int64_t kernel, int64_t ic,
                int64_t oc) {
  Block block;
  block.name = std::move(name);
  block.depthwise = depthwise;
  block.stride = stride;
  block.dims =
      depthwise ? std::vector<int64_t>{kernel, kernel, ic, 1} : std::vector<int64_t>{kernel, kernel, ic, oc};
  const size_t channels = static_cast<size_t>(block.channels());
  const std::string base = block.variables();
  size_t count = 1;
  for (const int64_t size : block.dims) count *= static_cast<size_t>(size);
  block.weights = HeValues(seed, base + "/weights", count, kernel * kernel * (depthwise ? 1 : ic));
  block.beta = UniformValues(seed, base + "/beta", channels, -0.2f, 0.6f);
  block.gamma = UniformValues(seed, base + "/gamma", channels, 0.8f, 1.2f);
  block.mean = UniformValues(seed, base + "/moving_mean", channels, -0.3f, 0.3f);
  block.variance = UniformValues(seed, base + "/moving_variance", channels, 0.7f, 1.3f);
  for (size_t c = 0; c < channels; ++c) {
    block.scale.push_back(1.0f / std::sqrt(block.variance[c] + kEpsilon) * block.gamma[c]);
    block.offset.push_back(block.beta[c] - block.mean[c] * block.scale[c]);
  }
  return block;
}

class MobileNetWriter {
 public:
  explicit MobileNetWriter(const MobileNetOptions& options);
  std::string Write() &&;

 private:
  bool folded() const { return options_.form == Form::kBiasAdd; }
  bool quantized() const { return options_.form == Form::kQuantized; }
  bool retrained() const { return options_.head_classes != 0; }
  void AddInput();
  void AddVariable(const std::string& name, const std::vector<int64_t>& dims, std::span<const float> values);
  void AddConv(const std::string& name, const std::string& op, const std::string& src,
               const std::string& weights, int stride);
  void AddDecomposedNorm(const Block& block);
  void AddFusedNorm(const Block& block);
  void AddFoldedBlocks();
  void AddQuantizedBlocks();
  void AddQuantizedConst(const std::string& name, const std::vector<int64_t>& dims,
                         std::span<const float> values);
  void AddQuantizedTail();
  void AddLogits();
  void AddPredictions();
  void AddHead();
  int CfNumber(size_t block) const;
  std::string Cf(const std::string& name, int number) const {
    return name + "/_" + std::to_string(number) + "__cf__" + std::to_string(number);
  }

  MobileNetOptions options_;
  std::vector<Block> blocks_;
  int pool_ = 1;  // size of the last feature map
  std::vector<float> logits_weights_, logits_biases_;
  GraphWriter writer_;
};

MobileNetWriter::MobileNetWriter(const MobileNetOptions& options) : options_(options) {
  COUPLET_CHECK(options.size >= 1 && options.width > 0);
  struct Stage {
    int stride, depth;
  };
  constexpr std::array<Stage, 13> kStages = {{{1, 64},
                                              {2, 128},
                                              {1, 128},
                                              {2, 256},
                                              {1, 256},
                                              {2, 512},
                                              {1, 512},
                                              {1, 512},
                                              {1, 512},
                                              {1, 512},
                                              {1, 512},
                                              {2, 1024},
                                              {1, 1024}}};
  const auto depth = [&](int full) {
    return std::max(static_cast<int64_t>(full * options.width), int64_t{8});
  };
  const auto halve = [](int size, int stride) { return (size + stride - 1) / stride; };
  int64_t channels = depth(32);
  blocks_.push_back(MakeBlock(options.seed, "Conv2d_0", false, 2, 3, 3, channels));
  pool_ = halve(options.size, 2);
  for (size_t i = 0; i < kStages.size(); ++i) {
    const std::string name = "Conv2d_" + std::to_string(i + 1);
    const int64_t next = depth(kStages[i].depth);
    blocks_.push_back(
        MakeBlock(options.seed, name + "_depthwise", true, kStages[i].stride, 3, channels, channels));
    blocks_.push_back(MakeBlock(options.seed, name + "_pointwise", false, 1, 1, channels, next));
    pool_ = halve(pool_, kStages[i].stride);
    channels = next;
  }
  const size_t count = static_cast<size_t>(channels) * kClasses;
  logits_weights_ = HeValues(options.seed, "Logits/weights", count, channels);
  logits_biases_ = UniformValues(options.seed, "Logits/biases", kClasses, -0.5f, 0.5f);
}

void MobileNetWriter::AddInput() {
  const int64_t dims[] = {1, options_.size, options_.size, 3};
  NodeAttrs attrs = {{"dtype", FloatType()}};
  if (!folded()) attrs.emplace_back("shape", ShapeAttr(dims));
  writer_.Add("input", "Placeholder", {}, attrs);
}

void MobileNetWriter::AddVariable(const std::string& name, const std::vector<int64_t>& dims,
                                  std::span<const float> values) {
  AddFloatConst(&writer_, name, dims, values);
  writer_.Add(name + "/read", "Identity", {name}, {{"T", FloatType()}, {"_class", ColocationAttr(name)}});
}

void MobileNetWriter::AddConv(const std::string& name, const std::string& op, const std::string& src,
                              const std::string& weights, int stride) {
  NodeAttrs attrs = {{"T", FloatType()}};
  if (op == "Conv2D") attrs.emplace_back("use_cudnn_on_gpu", BoolAttr(true));
  attrs.emplace_back("data_format", StringAttr("NHWC"));
  attrs.emplace_back("strides", StridesAttr(stride));
  attrs.emplace_back("padding", StringAttr("SAME"));
  if (retrained())
    attrs.emplace_back("dilations", StridesAttr(1));  // what importing into TensorFlow 1.5 adds
  if (options_.add_v2) attrs.emplace_back("explicit_paddings", IntsAttr({}));
  writer_.Add(name, op, {src, weights}, attrs);
}

void MobileNetWriter::AddDecomposedNorm(const Block& block) {
  const std::string norm = block.scope() + "/BatchNorm/batchnorm/",
                    variables = block.variables() + "/BatchNorm/";
  const std::vector<int64_t> dims = {block.channels()};
  AddVariable(variables + "beta", dims, block.beta);
  AddVariable(variables + "gamma", dims, block.gamma);
  AddVariable(variables + "moving_mean", dims, block.mean);
  AddVariable(variables + "moving_variance", dims, block.variance);
  writer_.Add(norm + "add/y", "Const", {}, {{"dtype", FloatType()}, {"value", FloatScalarAttr(kEpsilon)}});
  AddPlain(&writer_, norm + "add", "Add", {variables + "moving_variance/read", norm + "add/y"});
  AddPlain(&writer_, norm + "Rsqrt", "Rsqrt", {norm + "add"});
  AddPlain(&writer_, norm + "mul", "Mul", {norm + "Rsqrt", variables + "gamma/read"});
  AddPlain(&writer_, norm + "mul_1", "Mul", {block.conv_name(), norm + "mul"});
  AddPlain(&writer_, norm + "mul_2", "Mul", {variables + "moving_mean/read", norm + "mul"});
  AddPlain(&writer_, norm + "sub", "Sub", {variables + "beta/read", norm + "mul_2"});
  AddPlain(&writer_, norm + "add_1", "Add", {norm + "mul_1", norm + "sub"});
  AddPlain(&writer_, block.scope() + "/Relu6", "Relu6", {norm + "add_1"});
}

void MobileNetWriter::AddFusedNorm(const Block& block) {
  const std::string norm = block.scope() + "/BatchNorm/FusedBatchNorm",
                    variables = block.variables() + "/BatchNorm/";
  const std::vector<int64_t> dims = {block.channels()};
  AddVariable(variables + "gamma", dims, block.gamma);
  AddVariable(variables + "beta", dims, block.beta);
  AddVariable(variables + "moving_mean", dims, block.mean);
  AddVariable(variables + "moving_variance", dims, block.variance);
  writer_.Add(norm, "FusedBatchNorm",
              {block.conv_name(), variables + "gamma/read", variables + "beta/read",
               variables + "moving_mean/read", variables + "moving_variance/read"},
              {{"T", FloatType()},
               {"data_format", StringAttr("NHWC")},
               {"epsilon", FloatAttr(kEpsilon)},
               {"is_training", BoolAttr(false)}});
  AddPlain(&writer_, block.scope() + "/Relu6", "Relu6", {norm});
}

// optimize_for_inference puts what it folds behind everything else, so the activations come first.
void MobileNetWriter::AddFoldedBlocks() {
  for (const Block& block : blocks_) {
    const std::string norm = block.scope() + "/BatchNorm/FusedBatchNorm";
    AddFloatConst(&writer_, block.weights_name(), block.dims, block.ScaledWeights());
    const std::string src =
        &block == &blocks_.front()
            ? "input"
            : blocks_[static_cast<size_t>(&block - blocks_.data()) - 1].scope() + "/Relu6";
    AddConv(block.conv_name(), block.op(), src, block.weights_name(), block.stride);
    AddFloatConst(&writer_, block.conv_name() + "_bn_offset", {block.channels()}, block.offset);
    AddPlain(&writer_, norm, "BiasAdd", {block.conv_name(), block.conv_name() + "_bn_offset"});
  }
}

// Numbers of folded constants, as the constant folder counted them: from the logits backwards.
int MobileNetWriter::CfNumber(size_t block) const {
  const int last = static_cast<int>(blocks_.size()) - 1, index = static_cast<int>(block);
  if (block == 0) return 81;
  const int base = 3 + (last - index) / 2 * 6;
  return blocks_[block].depthwise ? base + 2 : base;
}

// Weights as eight bits with a Dequantize that carries their name.
void MobileNetWriter::AddQuantizedConst(const std::string& name, const std::vector<int64_t>& dims,
                                        std::span<const float> values) {
  if (values.size() < kQuantizedFrom) return AddFloatConst(&writer_, name, dims, values);
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  const float step = (*most - *least) / 255.0f, first = std::round(*least / step);
  std::string bytes(values.size(), '\0');
  for (size_t i = 0; i < values.size(); ++i)
    bytes[i] = static_cast<char>(
        static_cast<unsigned char>(std::clamp(std::round(values[i] / step) - first, 0.0f, 255.0f)));
  tf::AttrValue tensor = ShapeAttr(dims), content;
  content.mutable_tensor()->set_dtype(tf::DT_QUINT8);
  *content.mutable_tensor()->mutable_tensor_shape() = tensor.shape();
  content.mutable_tensor()->set_tensor_content(bytes);
  writer_.Add(name + "_quantized_const", "Const", {},
              {{"dtype", TypeAttr(tf::DT_QUINT8)}, {"value", content}});
  AddFloatConst(&writer_, name + "_quantized_min", {}, std::array{*least});
  AddFloatConst(&writer_, name + "_quantized_max", {}, std::array{*most});
  writer_.Add(name, "Dequantize",
              {name + "_quantized_const", name + "_quantized_min", name + "_quantized_max"},
              {{"T", TypeAttr(tf::DT_QUINT8)}, {"mode", StringAttr("MIN_FIRST")}});
}

// Constants folded and a pointwise convolution's scale in its weights; a depthwise one keeps its Mul.
void MobileNetWriter::AddQuantizedBlocks() {
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const Block& block = blocks_[i];
    const std::string norm = block.scope() + "/BatchNorm/batchnorm/";
    const std::string src = i == 0 ? "input" : blocks_[i - 1].scope() + "/Relu6";
    const int number = CfNumber(i);
    if (block.depthwise) {
      AddConv(block.conv_name(), block.op(), src, Cf(block.weights_name() + "/read", number + 2),
              block.stride);
      AddPlain(&writer_, norm + "mul_1", "Mul", {block.conv_name(), Cf(norm + "mul", number)});
      AddPlain(&writer_, norm + "add_1", "Add", {norm + "mul_1", Cf(norm + "sub", number + 1)});
      const Block& next = blocks_[i + 1];
      AddQuantizedConst(Cf(next.weights_name() + "/read", CfNumber(i + 1) + 1), next.dims,
                        next.ScaledWeights());
    } else {
      AddConv(norm + "mul_1", block.op(), src, Cf(block.weights_name() + "/read", number + 1), block.stride);
      AddPlain(&writer_, norm + "add_1", "Add", {norm + "mul_1", Cf(norm + "sub", number)});
    }
    AddPlain(&writer_, block.scope() + "/Relu6", "Relu6", {norm + "add_1"});
  }
}

// The rest of the constants, behind the nodes that read them.
void MobileNetWriter::AddQuantizedTail() {
  AddFloatConst(&writer_, Cf("MobilenetV1/Logits/Conv2d_1c_1x1/biases/read", 0), {kClasses}, logits_biases_);
  AddQuantizedConst(Cf("MobilenetV1/Logits/Conv2d_1c_1x1/weights/read", 1),
                    {1, 1, blocks_.back().channels(), kClasses}, logits_weights_);
  for (size_t i = blocks_.size() - 1; i > 0; i -= 2) {
    const Block &pointwise = blocks_[i], &depthwise = blocks_[i - 1];
    const std::string norm = depthwise.scope() + "/BatchNorm/batchnorm/";
    const std::vector<int64_t> dims = {depthwise.channels()};
    const int number = CfNumber(i - 1);
    AddFloatConst(&writer_, Cf(pointwise.scope() + "/BatchNorm/batchnorm/sub", CfNumber(i)),
                  {pointwise.channels()}, pointwise.offset);
    AddFloatConst(&writer_, Cf(norm + "mul", number), dims, depthwise.scale);
    AddFloatConst(&writer_, Cf(norm + "sub", number + 1), dims, depthwise.offset);
    AddFloatConst(&writer_, Cf(depthwise.weights_name() + "/read", number + 2), depthwise.dims,
                  depthwise.weights);
  }
  AddFloatConst(&writer_, Cf(blocks_[0].scope() + "/BatchNorm/batchnorm/sub", CfNumber(0)),
                {blocks_[0].channels()}, blocks_[0].offset);
}

void MobileNetWriter::AddLogits() {
  const std::string logits = "MobilenetV1/Logits/", conv = logits + "Conv2d_1c_1x1/";
  writer_.Add(logits + "AvgPool_1a/AvgPool", "AvgPool", {blocks_.back().scope() + "/Relu6"},
              {{"T", FloatType()},
               {"ksize", WindowAttr(pool_, pool_)},
               {"data_format", StringAttr("NHWC")},
               {"strides", StridesAttr(2)},
               {"padding", StringAttr("VALID")}});
  std::string pooled = logits + "AvgPool_1a/AvgPool", weights = conv + "weights", biases = conv + "biases";
  if (!folded()) {
    AddPlain(&writer_, logits + "Dropout_1b/Identity", "Identity", {pooled});
    pooled = logits + "Dropout_1b/Identity";
  }
  const std::vector<int64_t> dims = {1, 1, blocks_.back().channels(), kClasses};
  if (quantized()) {
    weights = Cf(weights + "/read", 1);
    biases = Cf(biases + "/read", 0);
  } else if (folded()) {
    AddFloatConst(&writer_, weights, dims, logits_weights_);
    AddFloatConst(&writer_, biases, {kClasses}, logits_biases_);
  } else {
    AddVariable(weights, dims, logits_weights_);
    AddVariable(biases, {kClasses}, logits_biases_);
    weights += "/read";
    biases += "/read";
  }
  AddConv(conv + "convolution", "Conv2D", pooled, weights, 1);
  writer_.Add(conv + "BiasAdd", "BiasAdd", {conv + "convolution", biases},
              {{"T", FloatType()}, {"data_format", StringAttr("NHWC")}});
  writer_.Add(logits + "SpatialSqueeze", "Squeeze", {conv + "BiasAdd"},
              {{"T", FloatType()}, {"squeeze_dims", IntsAttr(std::vector<int64_t>{1, 2})}});
}

void MobileNetWriter::AddPredictions() {
  const std::string scope = "MobilenetV1/Predictions/";
  const NodeAttrs reshape = {{"T", FloatType()}, {"Tshape", TypeAttr(tf::DT_INT32)}};
  if (!quantized()) AddIntConst(&writer_, scope + "Reshape/shape", {-1, kClasses});
  writer_.Add(scope + "Reshape", "Reshape", {"MobilenetV1/Logits/SpatialSqueeze", scope + "Reshape/shape"},
              reshape);
  if (retrained()) return;
  AddPlain(&writer_, scope + "Softmax", "Softmax", {scope + "Reshape"});
  if (!quantized()) AddIntConst(&writer_, scope + "Shape", {1, kClasses});
  writer_.Add(scope + "Reshape_1", "Reshape", {scope + "Softmax", scope + "Shape"}, reshape);
}

void MobileNetWriter::AddHead() {
  const std::string scope = "final_training_ops/", placeholder = "input_1/BottleneckInputPlaceholder";
  const int classes = options_.head_classes;
  const int64_t dims[] = {-1, kClasses};
  const auto weights =
      UniformValues(options_.seed, "final_weights", static_cast<size_t>(classes) * kClasses, -0.02f, 0.02f);
  const auto biases = UniformValues(options_.seed, "final_biases", static_cast<size_t>(classes), -0.1f, 0.1f);
  writer_.Add(placeholder, "PlaceholderWithDefault", {kMobileNetBottleneck},
              {{"dtype", FloatType()}, {"shape", ShapeAttr(dims)}});
  AddVariable(scope + "weights/final_weights", {kClasses, classes}, weights);
  AddVariable(scope + "biases/final_biases", {classes}, biases);
  writer_.Add(scope + "Wx_plus_b/MatMul", "MatMul", {placeholder, scope + "weights/final_weights/read"},
              {{"T", FloatType()}, {"transpose_b", BoolAttr(false)}, {"transpose_a", BoolAttr(false)}});
  AddPlain(&writer_, scope + "Wx_plus_b/add", options_.add_v2 ? "AddV2" : "Add",
           {scope + "Wx_plus_b/MatMul", scope + "biases/final_biases/read"});
  AddPlain(&writer_, "final_result", "Softmax", {scope + "Wx_plus_b/add"});
}

std::string MobileNetWriter::Write() && {
  if (quantized()) {
    if (!retrained()) AddIntConst(&writer_, "MobilenetV1/Predictions/Shape", {1, kClasses});
    AddIntConst(&writer_, "MobilenetV1/Predictions/Reshape/shape", {-1, kClasses});
    AddQuantizedConst(Cf(blocks_[0].weights_name() + "/read", CfNumber(0) + 1), blocks_[0].dims,
                      blocks_[0].ScaledWeights());
  }
  AddInput();
  if (quantized()) AddQuantizedBlocks();
  std::string src = "input";
  for (const Block& block : blocks_) {
    if (folded())
      AddPlain(&writer_, block.scope() + "/Relu6", "Relu6", {block.scope() + "/BatchNorm/FusedBatchNorm"});
    if (folded() || quantized()) continue;
    AddVariable(block.weights_name(), block.dims, block.weights);
    AddConv(block.conv_name(), block.op(), src, block.weights_name() + "/read", block.stride);
    if (options_.form == Form::kFused)
      AddFusedNorm(block);
    else
      AddDecomposedNorm(block);
    src = block.scope() + "/Relu6";
  }
  AddLogits();
  AddPredictions();
  if (quantized()) AddQuantizedTail();
  if (retrained()) AddHead();
  if (folded()) AddFoldedBlocks();
  std::string bytes = std::move(writer_).Finish(!folded());
  if (options_.add_v2) bytes += std::string("\x22\x00", 2);  // an empty `versions`
  return bytes;
}

}  // namespace

std::string GenerateMobileNet(const MobileNetOptions& options) { return MobileNetWriter(options).Write(); }

}  // namespace couplet::test
