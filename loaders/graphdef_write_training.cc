// The training graph for TensorBoard's graph page: scopes and names as retrain.py lays them out, with
// variables where the retrained graph has constants, and the summaries, loss, gradients and accuracy around
// them. Labels are class numbers, and the gradients are the handful of nodes that softmax cross-entropy
// needs, so the graph runs in TensorFlow as it is; TensorFlow's own automatic differentiation would write
// some fifty nodes for the same.
// SPDX-License-Identifier: Apache-2.0
#include <numeric>

#include "loaders/graph_rewrite.h"
#include "loaders/graphdef.h"
#include "loaders/head_nodes.h"
#include "loaders/node_writer.h"
#include "loaders/wire_fields.h"

namespace couplet {

namespace {

constexpr size_t kLargestConst = 1024;  // bytes of a node; TensorBoard drops larger attributes itself

// A serialised AttrValue; of a tensor its dtype and shape without the values, so that an event file holds a few hundred
// kilobytes and not a model. By hand: protobuf 3.21 crashes over a map of attributes that there was no memory for.
std::string WithoutValues(std::span<const std::byte> attr) {
  constexpr int kTensor = 8, kDtype = 1, kShape = 2;
  WireFields fields(attr);
  while (fields.Next()) {
    if (!fields.is(kTensor, WireFields::Type::kBytes)) continue;
    std::string kept, value;
    WireFields tensor(fields.bytes());
    while (tensor.Next()) {
      if (tensor.is(kDtype, WireFields::Type::kVarint)) {
        AppendVarint(kDtype << 3, &kept);
        AppendVarint(tensor.varint(), &kept);
      }
      if (tensor.is(kShape, WireFields::Type::kBytes)) AppendField(kShape, tensor.text(), &kept);
    }
    AppendField(kTensor, kept, &value);
    return value;
  }
  return {reinterpret_cast<const char*>(attr.data()), attr.size()};
}

void AddWithoutValues(const NodeView& node, GraphWriter* writer) {
  if (node.op != "Const" || node.raw.size() <= kLargestConst) {
    writer->AddRaw(node.raw);
    return;
  }
  std::vector<std::pair<std::string, std::string>> attrs;
  attrs.reserve(node.attrs.size());
  for (const auto& [key, value] : node.attrs) attrs.emplace_back(key, WithoutValues(value));
  writer->AddSerialized(node.name, node.op, {node.inputs.begin(), node.inputs.end()}, attrs, OtherFields(node));
}

// `wanted`, or with a number where the graph has that scope or node already.
std::string UniqueScope(const std::string& wanted, const HeadPlan& plan) {
  std::string name = wanted;
  const auto taken = [&](std::string_view node) {
    return node.starts_with(name) && (node.size() == name.size() || node[name.size()] == '/');
  };
  const auto is_taken = [&] {
    bool found = taken(plan.final_tensor);
    for (const NodeView* node : plan.backbone) found = found || taken(node->name);
    return found;
  };
  for (int i = 1; is_taken(); ++i) name = wanted + "_" + std::to_string(i);
  return name;
}

// Adds nodes of the kinds that the scopes below are made of.
class TrainingWriter {
 public:
  TrainingWriter(const HeadPlan& plan, GraphWriter* writer)
      : plan_(plan),
        writer_(*writer),
        loss_(UniqueScope("cross_entropy", plan)),
        train_(UniqueScope("train", plan)),
        accuracy_(UniqueScope("accuracy", plan)) {}

  void AddGroundTruth();
  void AddVariables();
  void AddHead();
  void AddLoss();
  void AddTraining(float learning_rate);
  void AddAccuracy();
  void AddMerge() {
    writer_.Add(UniqueScope("Merge", plan_) + "/MergeSummary", "MergeSummary", summaries_,
                {{"N", IntAttr(static_cast<int64_t>(summaries_.size()))}});
  }

 private:
  void AddVariable(const std::string& name, std::span<const int64_t> dims, const std::string& initial);
  void AddSummaries(const std::string& scope, const std::string& value, int rank);
  void AddScalarSummary(const std::string& name, const std::string& tag, const std::string& value);
  void AddHistogram(const std::string& name, const std::string& tag, const std::string& value);
  // Reduces `value` over its first `rank` axes, which node `axes` names.
  void AddReduction(const std::string& name, const std::string& op, const std::string& value,
                    const std::string& axes, int rank);
  void AddFloat(const std::string& name, float value) {
    writer_.Add(name, "Const", {}, {{"value", FloatScalarAttr(value)}, {"dtype", float_}});
  }
  void AddUnary(const std::string& name, const std::string& op, const std::vector<std::string>& inputs) {
    writer_.Add(name, op, inputs, {{"T", float_}});
  }

  const HeadPlan& plan_;
  GraphWriter& writer_;
  const std::string loss_, train_, accuracy_;  // scopes
  const tf::AttrValue float_ = TypeAttr(tf::DT_FLOAT), int32_ = TypeAttr(tf::DT_INT32),
                      int64_ = TypeAttr(tf::DT_INT64);
  std::vector<std::string> summaries_;
};

void TrainingWriter::AddReduction(const std::string& name, const std::string& op, const std::string& value,
                                  const std::string& axes, int rank) {
  std::vector<int32_t> numbers(static_cast<size_t>(rank));
  std::iota(numbers.begin(), numbers.end(), 0);
  const int64_t dims[] = {rank};
  writer_.Add(axes, "Const", {}, {{"value", IntTensorAttr(dims, numbers)}, {"dtype", int32_}});
  writer_.Add(name, op, {value, axes}, {{"keep_dims", BoolAttr(false)}, {"T", float_}, {"Tidx", int32_}});
}

void TrainingWriter::AddScalarSummary(const std::string& name, const std::string& tag,
                                      const std::string& value) {
  writer_.Add(name + "/tags", "Const", {},
              {{"value", StringScalarAttr(tag)}, {"dtype", TypeAttr(tf::DT_STRING)}});
  AddUnary(name, "ScalarSummary", {name + "/tags", value});
  summaries_.push_back(name);
}

void TrainingWriter::AddHistogram(const std::string& name, const std::string& tag, const std::string& value) {
  writer_.Add(name + "/tag", "Const", {},
              {{"value", StringScalarAttr(tag)}, {"dtype", TypeAttr(tf::DT_STRING)}});
  AddUnary(name, "HistogramSummary", {name + "/tag", value});
  summaries_.push_back(name);
}

void TrainingWriter::AddSummaries(const std::string& scope, const std::string& value, int rank) {
  AddReduction(scope + "/Mean", "Mean", value, scope + "/Const", rank);
  AddScalarSummary(scope + "/mean", scope + "/mean", scope + "/Mean");
  AddUnary(scope + "/stddev/sub", "Sub", {value, scope + "/Mean"});
  AddUnary(scope + "/stddev/Square", "Square", {scope + "/stddev/sub"});
  AddReduction(scope + "/stddev/Mean", "Mean", scope + "/stddev/Square", scope + "/stddev/Const", rank);
  AddUnary(scope + "/stddev/Sqrt", "Sqrt", {scope + "/stddev/Mean"});
  AddScalarSummary(scope + "/stddev_1", scope + "/stddev_1", scope + "/stddev/Sqrt");
  AddReduction(scope + "/Max", "Max", value, scope + "/Const_1", rank);
  AddScalarSummary(scope + "/max", scope + "/max", scope + "/Max");
  AddReduction(scope + "/Min", "Min", value, scope + "/Const_2", rank);
  AddScalarSummary(scope + "/min", scope + "/min", scope + "/Min");
  AddHistogram(scope + "/histogram", scope + "/histogram", value);
}

void TrainingWriter::AddVariable(const std::string& name, std::span<const int64_t> dims,
                                 const std::string& initial) {
  writer_.Add(name, "VariableV2", {},
              {{"shape", ShapeAttr(dims)},
               {"dtype", float_},
               {"container", StringAttr("")},
               {"shared_name", StringAttr("")}});
  writer_.Add(name + "/Assign", "Assign", {name, initial},
              {{"T", float_},
               {"_class", ColocationAttr(name)},
               {"validate_shape", BoolAttr(true)},
               {"use_locking", BoolAttr(true)}});
  AddVariableRead(name, &writer_);
  AddSummaries(name.substr(0, name.rfind('/')) + "/summaries", name + "/read", static_cast<int>(dims.size()));
}

void TrainingWriter::AddGroundTruth() {
  const int64_t dims[] = {-1};
  writer_.Add(plan_.input_scope + "/GroundTruthInput", "Placeholder", {},
              {{"dtype", int64_}, {"shape", ShapeAttr(dims)}});
}

void TrainingWriter::AddVariables() {
  const int64_t weight_dims[] = {plan_.shape.features, plan_.shape.classes},
                bias_dims[] = {plan_.shape.classes};
  const int64_t two[] = {2};
  const int32_t sizes[] = {plan_.shape.features, plan_.shape.classes};
  const std::string normal = plan_.scope + "/weights/truncated_normal", zeros = plan_.scope + "/biases/zeros";
  writer_.Add(normal + "/shape", "Const", {}, {{"value", IntTensorAttr(two, sizes)}, {"dtype", int32_}});
  AddFloat(normal + "/mean", 0.0f);
  AddFloat(normal + "/stddev", 0.001f);
  writer_.Add(normal + "/TruncatedNormal", "TruncatedNormal", {normal + "/shape"},
              {{"T", int32_}, {"dtype", float_}, {"seed", IntAttr(0)}, {"seed2", IntAttr(0)}});
  AddUnary(normal + "/mul", "Mul", {normal + "/TruncatedNormal", normal + "/stddev"});
  AddUnary(normal, "Add", {normal + "/mul", normal + "/mean"});
  AddVariable(plan_.weights, weight_dims, normal);

  tf::AttrValue zero = FloatScalarAttr(0.0f);  // one value for every element
  zero.mutable_tensor()->mutable_tensor_shape()->mutable_dim()->Reserve(1);
  zero.mutable_tensor()->mutable_tensor_shape()->add_dim()->set_size(plan_.shape.classes);
  writer_.Add(zeros, "Const", {}, {{"value", zero}, {"dtype", float_}});
  AddVariable(plan_.biases, bias_dims, zeros);
}

void TrainingWriter::AddHead() {
  AddLogitsAndSoftmax(plan_, &writer_);
  const std::string pre_activations = plan_.scope + "/Wx_plus_b/pre_activations";
  AddHistogram(pre_activations, pre_activations, plan_.logits);
  AddHistogram(UniqueScope("activations", plan_), "activations", plan_.final_tensor);
}

void TrainingWriter::AddLoss() {
  writer_.Add(loss_ + "/xentropy", "SparseSoftmaxCrossEntropyWithLogits",
              {plan_.logits, plan_.input_scope + "/GroundTruthInput"}, {{"T", float_}, {"Tlabels", int64_}});
  AddReduction(loss_ + "/total/Mean", "Mean", loss_ + "/xentropy", loss_ + "/total/Const", 1);
  AddScalarSummary(UniqueScope(loss_ + "_1", plan_), "cross_entropy_1", loss_ + "/total/Mean");
}

// d loss / d logits = (softmax - one hot) / n; the op's second output is the numerator.
void TrainingWriter::AddTraining(float learning_rate) {
  const std::string gradients = train_ + "/gradients/", descent = train_ + "/GradientDescent";
  const std::string mean = gradients + loss_ + "/total/Mean_grad",
                    logits = gradients + loss_ + "/xentropy_grad/div";
  const std::string weights = gradients + plan_.matmul + "_grad/MatMul_1";
  const std::string biases = gradients + plan_.logits + "_grad/Sum";
  writer_.Add(mean + "/Size", "Size", {loss_ + "/xentropy"}, {{"T", float_}, {"out_type", int32_}});
  writer_.Add(mean + "/Cast", "Cast", {mean + "/Size"}, {{"SrcT", int32_}, {"DstT", float_}});
  AddUnary(logits, "RealDiv", {loss_ + "/xentropy:1", mean + "/Cast"});
  writer_.Add(weights, "MatMul", {plan_.placeholder, logits},
              {{"T", float_}, {"transpose_b", BoolAttr(false)}, {"transpose_a", BoolAttr(true)}});
  AddReduction(biases, "Sum", logits, biases + "/reduction_indices", 1);

  AddFloat(descent + "/learning_rate", learning_rate);
  std::vector<std::string> updates;
  for (const auto& [variable, gradient] :
       {std::pair{plan_.weights, weights}, std::pair{plan_.biases, biases}}) {
    const std::string update = descent + "/update_" + variable + "/ApplyGradientDescent";
    writer_.Add(update, "ApplyGradientDescent", {variable, descent + "/learning_rate", gradient},
                {{"T", float_}, {"_class", ColocationAttr(variable)}, {"use_locking", BoolAttr(false)}});
    updates.push_back("^" + update);
  }
  writer_.Add(descent, "NoOp", updates, {});
}

void TrainingWriter::AddAccuracy() {
  const std::string prediction = accuracy_ + "/correct_prediction/", inner = accuracy_ + "/accuracy";
  writer_.Add(prediction + "ArgMax/dimension", "Const", {},
              {{"value", IntScalarAttr({}, 1)}, {"dtype", int32_}});
  writer_.Add(prediction + "ArgMax", "ArgMax", {plan_.final_tensor, prediction + "ArgMax/dimension"},
              {{"T", float_}, {"Tidx", int32_}, {"output_type", int64_}});
  writer_.Add(prediction + "Equal", "Equal", {prediction + "ArgMax", plan_.input_scope + "/GroundTruthInput"},
              {{"T", int64_}});
  writer_.Add(inner + "/Cast", "Cast", {prediction + "Equal"},
              {{"SrcT", TypeAttr(tf::DT_BOOL)}, {"DstT", float_}});
  AddReduction(inner + "/Mean", "Mean", inner + "/Cast", inner + "/Const", 1);
  AddScalarSummary(UniqueScope(accuracy_ + "_1", plan_), "accuracy_1", inner + "/Mean");
}

}  // namespace

Result<std::string> SerializeTrainingGraph(const GraphDef& backbone, const HeadShape& shape,
                                           const RetrainedGraphOptions& options) {
  COUPLET_ASSIGN_OR_RETURN(const HeadPlan plan, PlanHead(backbone, shape, options));
  GraphWriter writer;
  for (const NodeView* node : plan.backbone) AddWithoutValues(*node, &writer);
  AddBottleneckPlaceholder(plan, &writer);
  TrainingWriter training(plan, &writer);
  training.AddGroundTruth();
  training.AddVariables();
  training.AddHead();
  training.AddLoss();
  training.AddTraining(options.learning_rate);
  training.AddAccuracy();
  training.AddMerge();
  return std::move(writer).Finish();
}

std::string SerializeWithoutValues(const GraphDef& def) {
  GraphWriter writer;
  for (const NodeView& node : def.nodes()) AddWithoutValues(node, &writer);
  return std::move(writer).Finish();
}

}  // namespace couplet
