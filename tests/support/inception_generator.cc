// Inception v3 as Google published it in December 2015.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>

#include "runtime/status.h"
#include "tests/support/graph_generator.h"
#include "tests/support/graph_pieces.h"

namespace couplet::test {

namespace {

constexpr int kSize = 299, kFeatureMap = 8, kClasses = 1008;

class InceptionWriter {
 public:
  explicit InceptionWriter(const InceptionOptions& options) : options_(options) {}
  std::string Write() &&;

 private:
  int64_t Channels(int full) const { return std::max<int64_t>(full / options_.divide_channels, 8); }
  void AddDecode();
  // Each adds its nodes and gives the name that the next layer reads.
  std::string Conv(const std::string& name, const std::string& src, int64_t kh, int64_t kw, int full_channels,
                   const std::string& padding = "SAME", int stride = 1);
  std::string MaxPool(const std::string& name, const std::string& src, const std::string& padding,
                      int stride);
  std::string AvgPool(const std::string& name, const std::string& src);
  std::string Join(const std::string& name, const std::vector<std::string>& towers);
  std::string Mixed35(const std::string& name, const std::string& src, int pool_channels);
  std::string Mixed17(const std::string& name, const std::string& src, int channels);
  std::string Mixed8(const std::string& name, const std::string& src, bool max_pool);
  std::string ShrinkTo17(const std::string& name, const std::string& src);
  std::string ShrinkTo8(const std::string& name, const std::string& src);
  void AddClassifier(const std::string& src);

  InceptionOptions options_;
  std::map<std::string, int64_t> channels_;  // of every layer's output
  GraphWriter writer_;
};

void InceptionWriter::AddDecode() {
  const auto int_const = [&](const std::string& name, const tf::AttrValue& value) {
    writer_.Add(name, "Const", {}, {{"dtype", TypeAttr(tf::DT_INT32)}, {"value", value}});
  };
  const auto scalar = [&](const std::string& name, float value) {
    writer_.Add(name, "Const", {}, {{"dtype", FloatType()}, {"value", FloatScalarAttr(value)}});
  };
  writer_.Add("DecodeJpeg/contents", "Const", {},
              {{"dtype", TypeAttr(tf::DT_STRING)}, {"value", StringScalarAttr(std::string(4000, '\xFF'))}});
  writer_.Add("DecodeJpeg", "DecodeJpeg", {"DecodeJpeg/contents"},
              {{"channels", IntAttr(3)},
               {"fancy_upscaling", BoolAttr(true)},
               {"try_recover_truncated", BoolAttr(false)},
               {"ratio", IntAttr(1)},
               {"acceptable_fraction", FloatAttr(1.0f)}});
  writer_.Add("Cast", "Cast", {"DecodeJpeg"}, {{"DstT", FloatType()}, {"SrcT", TypeAttr(tf::DT_UINT8)}});
  int_const("ExpandDims/dim", IntScalarAttr(std::vector<int64_t>{1}, 0));
  AddPlain(&writer_, "ExpandDims", "ExpandDims", {"Cast", "ExpandDims/dim"});
  AddIntConst(&writer_, "ResizeBilinear/size", {kSize, kSize});
  AddPlain(&writer_, "ResizeBilinear", "ResizeBilinear", {"ExpandDims", "ResizeBilinear/size"});
  scalar("Sub/y", 128.0f);
  AddPlain(&writer_, "Sub", "Sub", {"ResizeBilinear", "Sub/y"});
  scalar("Mul/y", 1.0f / 128);
  AddPlain(&writer_, "Mul", "Mul", {"Sub", "Mul/y"});
  channels_["Mul"] = 3;
}

std::string InceptionWriter::Conv(const std::string& name, const std::string& src, int64_t kh, int64_t kw,
                                  int full_channels, const std::string& padding, int stride) {
  const int64_t ic = channels_.at(src), oc = Channels(full_channels);
  const std::string norm = name + "/batchnorm";
  const auto count = static_cast<size_t>(kh * kw * ic * oc), oc_count = static_cast<size_t>(oc);
  const auto vector = [&](const std::string& which, float low, float high) {
    AddFloatConst(&writer_, norm + which, {oc},
                  UniformValues(options_.seed, norm + which, oc_count, low, high));
  };
  AddFloatConst(&writer_, name + "/conv2d_params", {kh, kw, ic, oc},
                HeValues(options_.seed, name + "/conv2d_params", count, kh * kw * ic));
  writer_.Add(name + "/Conv2D", "Conv2D", {src, name + "/conv2d_params"},
              {{"padding", StringAttr(padding)},
               {"T", FloatType()},
               {"use_cudnn_on_gpu", BoolAttr(true)},
               {"strides", StridesAttr(stride)}});
  vector("/beta", -0.2f, 0.2f);
  vector("/gamma", 1.0f, 1.0f);
  vector("/moving_mean", -0.2f, 0.2f);
  vector("/moving_variance", 0.9f, 1.3f);
  writer_.Add(
      norm, "BatchNormWithGlobalNormalization",
      {name + "/Conv2D", norm + "/moving_mean", norm + "/moving_variance", norm + "/beta", norm + "/gamma"},
      {{"variance_epsilon", FloatAttr(0.001f)},
       {"T", FloatType()},
       {"scale_after_normalization", BoolAttr(false)}});
  writer_.Add(name + "/CheckNumerics", "CheckNumerics", {norm},
              {{"T", FloatType()}, {"message", StringAttr("activation input is not finite.")}});
  AddPlain(&writer_, name + "/control_dependency", "Identity", {norm, "^" + name + "/CheckNumerics"});
  AddPlain(&writer_, name, "Relu", {name + "/control_dependency"});
  channels_[name] = oc;
  return name;
}

// The 2015 file's MaxPool has no T.
std::string InceptionWriter::MaxPool(const std::string& name, const std::string& src,
                                     const std::string& padding, int stride) {
  writer_.Add(name + "/CheckNumerics", "CheckNumerics", {src},
              {{"T", FloatType()}, {"message", StringAttr("MaxPool input is not finite.")}});
  AddPlain(&writer_, name + "/control_dependency", "Identity", {src, "^" + name + "/CheckNumerics"});
  writer_.Add(
      name, "MaxPool", {name + "/control_dependency"},
      {{"padding", StringAttr(padding)}, {"ksize", WindowAttr(3, 3)}, {"strides", StridesAttr(stride)}});
  channels_[name] = channels_.at(src);
  return name;
}

std::string InceptionWriter::AvgPool(const std::string& name, const std::string& src) {
  writer_.Add(name, "AvgPool", {src},
              {{"padding", StringAttr("SAME")},
               {"ksize", WindowAttr(3, 3)},
               {"T", FloatType()},
               {"strides", StridesAttr(1)}});
  channels_[name] = channels_.at(src);
  return name;
}

std::string InceptionWriter::Join(const std::string& name, const std::vector<std::string>& towers) {
  writer_.Add(name + "/concat_dim", "Const", {},
              {{"dtype", TypeAttr(tf::DT_INT32)}, {"value", IntScalarAttr({}, 3)}});
  std::vector<std::string> inputs = {name + "/concat_dim"};
  int64_t sum = 0;
  for (const std::string& tower : towers) {
    inputs.push_back(tower);
    sum += channels_.at(tower);
  }
  writer_.Add(name, "Concat", inputs,
              {{"N", IntAttr(static_cast<int64_t>(towers.size()))}, {"T", FloatType()}});
  channels_[name] = sum;
  return name;
}

std::string InceptionWriter::Mixed35(const std::string& name, const std::string& src, int pool_channels) {
  const std::string direct = Conv(name + "/conv", src, 1, 1, 64);
  const std::string five = Conv(name + "/tower/conv_1", Conv(name + "/tower/conv", src, 1, 1, 48), 5, 5, 64);
  std::string three = Conv(name + "/tower_1/conv", src, 1, 1, 64);
  three = Conv(name + "/tower_1/conv_1", three, 3, 3, 96);
  three = Conv(name + "/tower_1/conv_2", three, 3, 3, 96);
  const std::string pooled =
      Conv(name + "/tower_2/conv", AvgPool(name + "/tower_2/pool", src), 1, 1, pool_channels);
  return Join(name + "/join", {direct, five, three, pooled});
}

std::string InceptionWriter::ShrinkTo17(const std::string& name, const std::string& src) {
  const std::string direct = Conv(name + "/conv", src, 3, 3, 384, "VALID", 2);
  std::string tower = Conv(name + "/tower/conv", src, 1, 1, 64);
  tower = Conv(name + "/tower/conv_1", tower, 3, 3, 96);
  tower = Conv(name + "/tower/conv_2", tower, 3, 3, 96, "VALID", 2);
  const std::string pooled = MaxPool(name + "/pool", src, "VALID", 2);
  return Join(name + "/join", {direct, tower, pooled});
}

std::string InceptionWriter::Mixed17(const std::string& name, const std::string& src, int channels) {
  const std::string direct = Conv(name + "/conv", src, 1, 1, 192);
  std::string tower = Conv(name + "/tower/conv", src, 1, 1, channels);
  tower = Conv(name + "/tower/conv_1", tower, 1, 7, channels);
  tower = Conv(name + "/tower/conv_2", tower, 7, 1, 192);
  std::string twice = Conv(name + "/tower_1/conv", src, 1, 1, channels);
  twice = Conv(name + "/tower_1/conv_1", twice, 7, 1, channels);
  twice = Conv(name + "/tower_1/conv_2", twice, 1, 7, channels);
  twice = Conv(name + "/tower_1/conv_3", twice, 7, 1, channels);
  twice = Conv(name + "/tower_1/conv_4", twice, 1, 7, 192);
  const std::string pooled = Conv(name + "/tower_2/conv", AvgPool(name + "/tower_2/pool", src), 1, 1, 192);
  return Join(name + "/join", {direct, tower, twice, pooled});
}

std::string InceptionWriter::ShrinkTo8(const std::string& name, const std::string& src) {
  std::string tower = Conv(name + "/tower/conv", src, 1, 1, 192);
  tower = Conv(name + "/tower/conv_1", tower, 3, 3, 320, "VALID", 2);
  std::string seven = Conv(name + "/tower_1/conv", src, 1, 1, 192);
  seven = Conv(name + "/tower_1/conv_1", seven, 1, 7, 192);
  seven = Conv(name + "/tower_1/conv_2", seven, 7, 1, 192);
  seven = Conv(name + "/tower_1/conv_3", seven, 3, 3, 192, "VALID", 2);
  const std::string pooled = MaxPool(name + "/pool", src, "VALID", 2);
  return Join(name + "/join", {tower, seven, pooled});
}

std::string InceptionWriter::Mixed8(const std::string& name, const std::string& src, bool max_pool) {
  const std::string direct = Conv(name + "/conv", src, 1, 1, 320);
  const std::string tower = Conv(name + "/tower/conv", src, 1, 1, 384);
  const std::string a = Conv(name + "/tower/mixed/conv", tower, 1, 3, 384);
  const std::string b = Conv(name + "/tower/mixed/conv_1", tower, 3, 1, 384);
  const std::string twice =
      Conv(name + "/tower_1/conv_1", Conv(name + "/tower_1/conv", src, 1, 1, 448), 3, 3, 384);
  const std::string c = Conv(name + "/tower_1/mixed/conv", twice, 1, 3, 384);
  const std::string d = Conv(name + "/tower_1/mixed/conv_1", twice, 3, 1, 384);
  const std::string pool = name + "/tower_2/pool";
  const std::string pooled =
      Conv(name + "/tower_2/conv", max_pool ? MaxPool(pool, src, "SAME", 1) : AvgPool(pool, src), 1, 1, 192);
  return Join(name + "/join", {direct, a, b, c, d, pooled});
}

void InceptionWriter::AddClassifier(const std::string& src) {
  const int64_t features = channels_.at(src);
  writer_.Add("pool_3", "AvgPool", {src},
              {{"padding", StringAttr("VALID")},
               {"ksize", WindowAttr(kFeatureMap, kFeatureMap)},
               {"T", FloatType()},
               {"strides", StridesAttr(1)}});
  AddIntConst(&writer_, "pool_3/_reshape/shape", {1, static_cast<int32_t>(features)});
  AddPlain(&writer_, kInceptionBottleneck, "Reshape", {"pool_3", "pool_3/_reshape/shape"});
  AddFloatConst(
      &writer_, "softmax/weights", {features, kClasses},
      HeValues(options_.seed, "softmax/weights", static_cast<size_t>(features) * kClasses, features));
  AddFloatConst(&writer_, "softmax/biases", {kClasses},
                UniformValues(options_.seed, "softmax/biases", kClasses, -0.1f, 0.1f));
  writer_.Add("softmax/logits/MatMul", "MatMul", {kInceptionBottleneck, "softmax/weights"},
              {{"transpose_a", BoolAttr(false)}, {"transpose_b", BoolAttr(false)}, {"T", FloatType()}});
  AddPlain(&writer_, "softmax/logits", "BiasAdd", {"softmax/logits/MatMul", "softmax/biases"});
  AddPlain(&writer_, "softmax", "Softmax", {"softmax/logits"});
}

std::string InceptionWriter::Write() && {
  COUPLET_CHECK(options_.divide_channels >= 1);
  AddDecode();
  std::string at = Conv("conv", "Mul", 3, 3, 32, "VALID", 2);
  at = Conv("conv_1", at, 3, 3, 32, "VALID");
  at = Conv("conv_2", at, 3, 3, 64);
  at = MaxPool("pool", at, "VALID", 2);
  at = Conv("conv_3", at, 1, 1, 80, "VALID");
  at = Conv("conv_4", at, 3, 3, 192, "VALID");
  at = MaxPool("pool_1", at, "VALID", 2);
  at = Mixed35("mixed", at, 32);
  at = Mixed35("mixed_1", at, 64);
  at = Mixed35("mixed_2", at, 64);
  at = ShrinkTo17("mixed_3", at);
  at = Mixed17("mixed_4", at, 128);
  at = Mixed17("mixed_5", at, 160);
  at = Mixed17("mixed_6", at, 160);
  at = Mixed17("mixed_7", at, 192);
  at = ShrinkTo8("mixed_8", at);
  at = Mixed8("mixed_9", at, false);
  at = Mixed8("mixed_10", at, true);
  AddClassifier(at);
  return std::move(writer_).Finish(false);
}

}  // namespace

std::string GenerateInception2015(const InceptionOptions& options) {
  return InceptionWriter(options).Write();
}

}  // namespace couplet::test
