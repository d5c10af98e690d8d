// SPDX-License-Identifier: Apache-2.0
#include "tests/support/hostile_graphs.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include "tests/support/tiny_graph.h"

namespace couplet::test {
namespace {

// A network that is sound: input, a convolution, its mean, and a softmax. Each file bends one thing of it.
struct Sound : TinyGraph {
  Sound() {
    Placeholder().Shape("shape", {1, 6, 6, 3});
    Ramp("w", {3, 3, 3, 2});
    Node("conv", "Conv2D", {"input", "w"}).Ints("strides", {1, 1, 1, 1}).String("padding", "SAME");
    Int32s("axes", {2}, {1, 2});
    Node("mean", "Mean", {"conv", "axes"});
    Node("final_result", "Softmax", {"mean"});
  }
  tf::NodeDef& node(const std::string& name) {
    for (tf::NodeDef& candidate : *proto.mutable_node())
      if (candidate.name() == name) return candidate;
    return *proto.add_node();
  }
  tf::TensorProto& weights() { return *(*node("w").mutable_attr())["value"].mutable_tensor(); }
  tf::AttrValue& attr(const std::string& name, const std::string& key) { return (*node(name).mutable_attr())[key]; }
  void Dims(std::initializer_list<int64_t> dims) {
    weights().mutable_tensor_shape()->clear_dim();
    for (const int64_t dim : dims) weights().mutable_tensor_shape()->add_dim()->set_size(dim);
  }
  void Strides(int64_t stride) { attr("conv", "strides").mutable_list()->set_i(1, stride); }
};

class Collection {
 public:
  // `bend` is done to a sound graph.
  template <class Bend>
  void Add(std::string name, std::string says, Bend bend) {
    Sound graph;
    bend(graph);
    AddBytes(std::move(name), std::move(says), graph.Bytes());
  }
  void AddBytes(std::string name, std::string says, std::string bytes) {
    graphs.push_back({name + ".pb", std::move(bytes), std::move(says)});
  }
  std::vector<HostileGraph> graphs;
};

// A length-delimited field, for what the generated classes do not know.
std::string Field(int number, const std::string& payload) {
  std::string out(1, static_cast<char>(number << 3 | 2));
  size_t size = payload.size();
  for (; size > 127; size >>= 7) out += static_cast<char>((size & 127) | 128);
  return out + static_cast<char>(size) + payload;
}

void AddTensors(Collection* files) {
  files->Add("CVE-2021-41197_product_of_dims_over_2^63", "'w'", [](Sound& g) { g.Dims({INT32_MAX, INT32_MAX, INT32_MAX, 2}); });
  files->Add("CVE-2021-41197_product_of_dims_wraps_to_0", "'w'",
             [](Sound& g) { g.Dims({int64_t{1} << 30, int64_t{1} << 30, 16, 1}); });
  files->Add("CVE-2022-23582_negative_dim", "'w'", [](Sound& g) { g.Dims({3, 3, -3, 2}); });
  files->Add("CVE-2022-23582_unknown_rank", "'w'", [](Sound& g) { g.weights().mutable_tensor_shape()->set_unknown_rank(true); });
  files->Add("CVE-2022-23582_no_dtype", "'w'", [](Sound& g) { g.weights().set_dtype(tf::DT_INVALID); });
  files->Add("CVE-2022-23582_dtype_of_no_meaning", "'w'", [](Sound& g) { g.weights().set_dtype(static_cast<tf::DataType>(4711)); });
  files->Add("CVE-2022-23583_dtype_of_node_and_tensor_differ", "'w'", [](Sound& g) { g.attr("w", "dtype").set_type(tf::DT_INT32); });
  files->Add("CVE-2022-23583_list_of_another_type", "'w'", [](Sound& g) {
    g.weights().clear_tensor_content();
    g.weights().add_int_val(1);
  });
  files->Add("CVE-2022-23594_content_shorter_than_shape", "'w'", [](Sound& g) { g.weights().mutable_tensor_content()->resize(100); });
  files->Add("CVE-2022-23594_content_longer_than_shape", "'w'", [](Sound& g) { g.weights().mutable_tensor_content()->append(4, 'x'); });
  files->Add("weights_not_finite", "not finite", [](Sound& g) {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    g.weights().mutable_tensor_content()->replace(0, 4, std::string(reinterpret_cast<const char*>(&nan), 4));
  });
  files->Add("few_bytes_for_gigabytes_of_equal_weights", "elements", [](Sound& g) {
    g.Dims({8192, 8192, 3, 1});
    g.weights().clear_tensor_content();
    g.weights().add_float_val(1);
  });
}

void AddStructure(Collection* files) {
  files->Add("CVE-2022-23589_input_that_is_not_there", "'conv'", [](Sound& g) { g.node("conv").set_input(0, "nobody"); });
  files->Add("CVE-2022-23589_output_that_is_not_there", "'conv'", [](Sound& g) { g.node("conv").set_input(1, "w:7"); });
  files->Add("CVE-2022-23589_inputs_missing", "'conv'", [](Sound& g) { g.node("conv").clear_input(); });
  files->Add("CVE-2022-23590_const_without_value", "'w'", [](Sound& g) { g.node("w").mutable_attr()->erase("value"); });
  files->Add("CVE-2022-23590_const_without_dtype", "'w'", [](Sound& g) { g.node("w").mutable_attr()->erase("dtype"); });
  files->AddBytes("CVE-2022-23591_functions_that_call_themselves", "library",
                  Sound().Bytes() + Field(2, Field(1, Field(1, Field(1, "f")) + Field(3, Field(1, "n") + Field(2, "f")))));
  files->Add("CVE-2022-23591_cycle", "back to itself", [](Sound& g) {
    g.node("conv").set_input(0, "again");
    g.Node("again", "Relu", {"conv"});
  });
  files->Add("CVE-2022-23594_two_nodes_of_one_name", "'w'", [](Sound& g) { g.node("axes").set_name("w"); });
  files->Add("CVE-2022-23594_node_without_name", "name", [](Sound& g) { g.node("mean").set_name(""); });
  files->Add("CVE-2022-23594_constant_where_a_map_is_needed", "'conv'", [](Sound& g) { g.node("conv").set_input(0, "w"); });
  files->Add("op_that_reads_files", "'conv'", [](Sound& g) { g.node("conv").set_op("ReadFile"); });
  files->Add("op_with_control_flow", "'conv'", [](Sound& g) { g.node("conv").set_op("Switch"); });
  files->Add("name_that_commands_a_terminal", "name", [](Sound& g) { g.node("conv").set_name("\x1b[2J\nconv"); });
  files->Add("input_65_times", "'mean'", [](Sound& g) {
    for (int i = 0; i < 65; ++i) g.node("mean").add_input("conv");
  });
  files->AddBytes("bytes_cut_in_a_node", "breaks off", Sound().Bytes().substr(0, 150));
  files->AddBytes("groups_nested_without_end", "is no GraphDef", std::string(10000, '\x0b'));
  files->AddBytes("empty", "empty", "");
}

void AddAttributes(Collection* files) {
  for (const int64_t stride : {int64_t{0}, int64_t{-1}, int64_t{1} << 40})
    files->Add("stride_" + std::to_string(stride), "'conv'", [stride](Sound& g) { g.Strides(stride); });
  files->Add("strides_of_two_numbers", "'conv'", [](Sound& g) { g.attr("conv", "strides").mutable_list()->mutable_i()->Truncate(2); });
  files->Add("padding_of_no_meaning", "'conv'", [](Sound& g) { g.attr("conv", "padding").set_s("WIDE"); });
  files->Add("window_larger_than_the_map", "'conv'", [](Sound& g) {
    g.Dims({9, 9, 3, 1});
    g.weights().clear_tensor_content();
    g.weights().add_float_val(1);
    g.attr("conv", "padding").set_s("VALID");
  });
  files->Add("channels_that_do_not_fit", "'conv'", [](Sound& g) { g.Dims({3, 3, 2, 3}); });
  files->Add("dilation_past_any_map", "'conv'", [](Sound& g) {
    for (const int64_t dilation : {1, 1 << 20, 1, 1}) g.attr("conv", "dilations").mutable_list()->add_i(dilation);
  });
  files->Add("axes_beyond_any_size", "'mean'", [](Sound& g) {
    tf::TensorProto& axes = *g.attr("axes", "value").mutable_tensor();
    axes.clear_tensor_content();
    axes.add_int_val(INT32_MIN);
    axes.add_int_val(INT32_MAX);
  });
  files->Add("shape_of_the_photos_is_none", "'input'", [](Sound& g) { g.attr("input", "shape").mutable_shape()->mutable_dim(3)->set_size(7); });
  files->Add("nine_dimensions", "'input'", [](Sound& g) {
    for (int i = 0; i < 5; ++i) g.attr("input", "shape").mutable_shape()->add_dim()->set_size(1);
  });
}

}  // namespace

std::vector<HostileGraph> HostileGraphs() {
  Collection files;
  AddTensors(&files);
  AddStructure(&files);
  AddAttributes(&files);
  return std::move(files.graphs);
}

}  // namespace couplet::test
