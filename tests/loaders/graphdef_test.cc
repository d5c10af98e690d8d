// SPDX-License-Identifier: Apache-2.0
#include "loaders/graphdef.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <map>

#include "tests/support/test.h"
#include "tests/support/tiny_graph.h"

using namespace couplet;
using couplet::test::AsBytes;
using couplet::test::NotTheLine;
using couplet::test::ParseBytes;
using couplet::test::TinyGraph;
using couplet::test::TinyNode;

namespace {

// The error of a graph that must not open.
Status OpenError(const TinyGraph& graph, const GraphDefLimits& limits = {}) {
  return graph.Parse(limits).status();
}

// A graph of one Const whose tensor the test then spoils.
struct OneConst {
  TinyGraph graph;
  tf::TensorProto* tensor;
  OneConst(tf::DataType dtype, const std::vector<int64_t>& dims) : tensor(&graph.Tensor("c", dtype, dims)) {}
  Status error() const { return OpenError(graph); }
  Result<TensorValue> value() const {
    auto def = graph.Parse();
    if (!def.ok()) return def.status();
    auto tensor_value = def->ConstValue(*def->Find("c"));
    // The view would outlive the bytes.
    if (tensor_value.ok()) tensor_value->content = {};
    return tensor_value;
  }
};

std::string Field(int number, int type, const std::string& payload) {
  std::string field;
  field.push_back(static_cast<char>(number << 3 | type));
  return field.append(payload);
}
// A length-delimited field of fewer than 128 bytes.
std::string Text(int number, const std::string& bytes) {
  std::string payload;
  payload.push_back(static_cast<char>(bytes.size()));
  return Field(number, 2, payload.append(bytes));
}

}  // namespace

TEST_CASE("graphdef: nodes, inputs and attributes are views of the file, in its order") {
  TinyGraph graph;
  graph.Placeholder().Shape("shape", {-1, 4, 4, 3});
  graph.Ramp("w", {2, 3});
  graph.Node("b", "Mul", {"input", "w:0", "^input"}).Ints("strides", {1, 2, 2, 1}).String("padding", "SAME");
  graph.proto.mutable_library();
  graph.proto.mutable_versions()->set_producer(26);
  auto owner = std::make_shared<const std::string>(graph.Bytes());
  const auto bytes = AsBytes(*owner);
  const auto def = GraphDef::Parse(bytes, owner, "tiny.pb");
  REQUIRE(def.ok());
  REQUIRE(def->nodes().size() == 3);
  const NodeView& b = def->nodes()[2];
  CHECK(b.name == "b");
  CHECK(b.op == "Mul");
  CHECK(b.inputs == std::vector<std::string_view>{"input", "w:0", "^input"});
  CHECK(def->IndexOf("w") == 1);
  CHECK(def->Find("b") == &b);
  CHECK(def->IndexOf("nobody") == -1);
  CHECK(def->Find("nobody") == nullptr);
  CHECK(def->path() == "tiny.pb");
  const auto inside = [&](const void* p) { return p >= bytes.data() && p < bytes.data() + bytes.size(); };
  for (const NodeView& node : def->nodes()) {
    CHECK(inside(node.name.data()));
    CHECK(inside(node.op.data()));
    for (const auto& [key, value] : node.attrs) CHECK((inside(key.data()) && inside(value.data())));
  }
  tf::NodeDef again;
  REQUIRE(again.ParseFromArray(b.raw.data(), static_cast<int>(b.raw.size())));
  CHECK(again.input_size() == 3);
  const auto value = def->ConstValue(def->nodes()[1]);
  REQUIRE(value.ok());
  CHECK(inside(value->content.data()));
  CHECK(value->content.size() == 6 * sizeof(float));
}

TEST_CASE("graphdef: attributes are read by kind and absent in any other") {
  TinyGraph graph;
  TinyNode node = graph.Node("n", "Any");
  node.Ints("ints", {1, -2, 3}).String("string", "NHWC").Bool("bool", true).Float("float", 0.001f);
  node.Type("type", tf::DT_QUINT8).Shape("shape", {-1, 1001}).Ints("empty", {});
  node.attr("int").set_i(-7);
  node.attr("unknown_rank").mutable_shape()->set_unknown_rank(true);
  node.attr("strings").mutable_list()->add_s("loc:@x");
  const auto def = graph.Parse();
  REQUIRE(def.ok());
  const NodeView& n = def->nodes()[0];
  CHECK(GraphDef::AttrInts(n, "ints") == std::vector<int64_t>{1, -2, 3});
  CHECK(GraphDef::AttrInts(n, "empty") == std::vector<int64_t>());
  CHECK(GraphDef::AttrString(n, "string") == "NHWC");
  CHECK(GraphDef::AttrBool(n, "bool") == true);
  CHECK(GraphDef::AttrFloat(n, "float") == 0.001f);
  CHECK(GraphDef::AttrType(n, "type") == DataType::kQuint8);
  CHECK(GraphDef::AttrShape(n, "shape") == std::vector<int64_t>{-1, 1001});
  CHECK(GraphDef::AttrInt(n, "int") == -7);
  CHECK_FALSE(GraphDef::AttrShape(n, "unknown_rank"));
  CHECK_FALSE(GraphDef::AttrInts(n, "strings"));
  CHECK_FALSE(GraphDef::AttrInts(n, "string"));
  CHECK_FALSE(GraphDef::AttrString(n, "ints"));
  CHECK_FALSE(GraphDef::AttrBool(n, "int"));
  CHECK_FALSE(GraphDef::AttrFloat(n, "absent"));
  CHECK_FALSE(GraphDef::AttrType(n, "shape"));
  CHECK_FALSE(GraphDef::AttrShape(n, "type"));
}

TEST_CASE("graphdef: the node an input names") {
  CHECK(NodeNameOf("a/b") == "a/b");
  CHECK(NodeNameOf("a/b:0") == "a/b");
  CHECK(NodeNameOf("^a/b") == "a/b");
  CHECK(NodeNameOf("") == "");
}

TEST_CASE("graphdef: constants come as content, as one number for all, or as a list, in every dtype") {
  SUBCASE("float list") {
    OneConst c(tf::DT_FLOAT, {3});
    for (float v : {1.5f, -2.0f, 0.0f}) c.tensor->add_float_val(v);
    CHECK(c.value()->values == std::vector<double>{1.5, -2.0, 0.0});
  }
  SUBCASE("float splat") {
    OneConst c(tf::DT_FLOAT, {2, 500});
    c.tensor->add_float_val(0.1f);
    const auto value = c.value();
    CHECK(value->count == 1000);
    CHECK(value->dims == std::vector<int64_t>{2, 500});
    CHECK(value->values == std::vector<double>{static_cast<double>(0.1f)});
  }
  SUBCASE("scalar") {
    OneConst c(tf::DT_INT32, {});
    c.tensor->add_int_val(-3);
    CHECK(c.value()->count == 1);
    CHECK(c.value()->values == std::vector<double>{-3});
  }
  SUBCASE("int64, double, bool, quint8") {
    OneConst i(tf::DT_INT64, {2});
    i.tensor->add_int64_val(-1);
    i.tensor->add_int64_val(int64_t{1} << 40);
    CHECK(i.value()->values == std::vector<double>{-1, 0x1p40});
    OneConst d(tf::DT_DOUBLE, {});
    d.tensor->add_double_val(1e300);
    CHECK(d.value()->values == std::vector<double>{1e300});
    OneConst b(tf::DT_BOOL, {});
    b.tensor->add_bool_val(true);
    CHECK(b.value()->values == std::vector<double>{1});
    OneConst q(tf::DT_QUINT8, {2});
    q.tensor->add_int_val(0);
    q.tensor->add_int_val(255);
    CHECK(q.value()->values == std::vector<double>{0, 255});
  }
  SUBCASE("no elements") {
    OneConst c(tf::DT_FLOAT, {0, 5});
    CHECK(c.value()->count == 0);
  }
  SUBCASE("floats that are not packed, as proto2 writers leave them") {
    const std::string one("\0\0\x80\x3f", 4);
    const std::string tensor = Field(1, 0, "\x01") + Text(2, Text(2, Field(1, 0, "\x02"))) +
                               Field(5, 5, one) + Field(5, 5, std::string("\0\0\0\x40", 4));
    const std::string node = Text(1, "c") + Text(2, "Const") +
                             Text(5, Text(1, "dtype") + Text(2, Field(6, 0, "\x01"))) +
                             Text(5, Text(1, "value") + Text(2, Text(8, tensor)));
    const auto def = ParseBytes(Text(1, node));
    REQUIRE(def.ok());
    CHECK(def->ConstValue(def->nodes()[0])->values == std::vector<double>{1, 2});
  }
  SUBCASE("text is carried, not read") {
    OneConst c(tf::DT_STRING, {});
    c.tensor->add_string_val("\xff\xd8jpeg");
    CHECK(c.error().ok());
    CHECK(NotTheLine(c.value().status(), {"tiny.pb", "'c'", "string"}) == "");
  }
  SUBCASE("a type Couplet does not know is carried, not read") {
    OneConst c(static_cast<tf::DataType>(14), {7});
    c.tensor->set_tensor_content("ab");
    CHECK(c.error().ok());
    CHECK(NotTheLine(c.value().status(), {"'c'", "type 14"}) == "");
  }
}

TEST_CASE("graphdef: limits are refused one past the last that passes") {
  SUBCASE("bytes") {
    TinyGraph graph;
    graph.Placeholder();
    const GraphDefLimits exact{.file_bytes = graph.Bytes().size()};
    CHECK(graph.Parse(exact).ok());
    CHECK(NotTheLine(OpenError(graph, {.file_bytes = exact.file_bytes - 1}), {"tiny.pb", "limit"}) == "");
  }
  SUBCASE("nodes") {
    TinyGraph graph;
    for (int i = 0; i < 3; ++i) graph.Placeholder(std::to_string(i));
    CHECK(graph.Parse({.nodes = 3}).ok());
    CHECK(NotTheLine(OpenError(graph, {.nodes = 2}), {"tiny.pb", "more than 2 nodes"}) == "");
  }
  SUBCASE("inputs of a node") {
    TinyGraph graph;
    graph.Placeholder("a");
    graph.Node("n", "Concat", std::vector<std::string>(64, "a"));
    CHECK(graph.Parse().ok());
    graph.proto.mutable_node(1)->add_input("a");
    CHECK(NotTheLine(OpenError(graph), {"'n'", "more than 64 inputs"}) == "");
  }
  SUBCASE("attributes of a node") {
    TinyGraph graph;
    TinyNode node = graph.Node("n", "Any");
    for (int i = 0; i < 64; ++i) node.Bool(fmt::format("k{}", i), true);
    CHECK(graph.Parse().ok());
    node.Bool("one more", true);
    CHECK_FALSE(graph.Parse().ok());
    node.proto().mutable_attr()->erase("one more");
    node.Bool("one_more", true);
    CHECK(NotTheLine(OpenError(graph), {"'n'", "more than 64 attributes"}) == "");
  }
  SUBCASE("rank") {
    OneConst eight(tf::DT_FLOAT, std::vector<int64_t>(8, 1));
    eight.tensor->add_float_val(1);
    CHECK(eight.error().ok());
    OneConst nine(tf::DT_FLOAT, std::vector<int64_t>(9, 1));
    nine.tensor->add_float_val(1);
    CHECK(NotTheLine(nine.error(), {"'c'", "8 dimensions"}) == "");
    TinyGraph graph;
    graph.Placeholder().Shape("shape", {1, 1, 1, 1, 1, 1, 1, 1, 1});
    CHECK(NotTheLine(OpenError(graph), {"'input'", "'shape'", "8 dimensions"}) == "");
  }
  SUBCASE("elements") {
    OneConst most(tf::DT_FLOAT, {1 << 14, 1 << 14});
    most.tensor->add_float_val(1);  // a splat: nothing is allocated for it
    CHECK(most.error().ok());
    OneConst more(tf::DT_FLOAT, {1 << 14, (1 << 14) + 1});
    more.tensor->add_float_val(1);
    CHECK(NotTheLine(more.error(), {"'c'", "elements"}) == "");
  }
  SUBCASE("a dimension of 2^31") {
    OneConst c(tf::DT_FLOAT, {int64_t{1} << 31, 0});
    CHECK(NotTheLine(c.error(), {"'c'", "2147483648"}) == "");
    TinyGraph graph;
    graph.Placeholder().Shape("shape", {-2});
    CHECK(NotTheLine(OpenError(graph), {"'input'", "-2"}) == "");
  }
  SUBCASE("nesting: a group within a group without end") {
    CHECK_FALSE(ParseBytes(std::string(100000, '\x0b')).ok());
    const std::string list = Text(5, Text(1, "k") + Text(2, Text(1, std::string(60, '\x7b'))));
    const auto def = ParseBytes(Text(1, Text(1, "n") + Text(2, "Any") + list));
    REQUIRE(def.ok());
    CHECK_FALSE(GraphDef::AttrInts(def->nodes()[0], "k"));
  }
}

TEST_CASE("graphdef: the product of dims cannot overflow (as CVE-2021-41197)") {
  OneConst c(tf::DT_FLOAT, {INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX});
  CHECK(NotTheLine(c.error(), {"tiny.pb", "'c'", "elements"}) == "");
  OneConst wraps(tf::DT_FLOAT, {int64_t{1} << 30, int64_t{1} << 30, 16});  // 2^64: zero after a wrap
  CHECK(NotTheLine(wraps.error(), {"'c'", "elements"}) == "");
}

TEST_CASE("graphdef: a malformed shape or dtype is refused (as CVE-2022-23582)") {
  OneConst negative(tf::DT_FLOAT, {-1, 4});
  negative.tensor->add_float_val(1);
  CHECK(NotTheLine(negative.error(), {"'c'", "unknown dimension"}) == "");
  OneConst unknown(tf::DT_FLOAT, {});
  unknown.tensor->mutable_tensor_shape()->set_unknown_rank(true);
  CHECK(NotTheLine(unknown.error(), {"'c'", "unknown rank"}) == "");
  OneConst none(tf::DT_INVALID, {});
  CHECK(NotTheLine(none.error(), {"'c'", "dtype"}) == "");
  OneConst huge(static_cast<tf::DataType>(4711), {});
  CHECK(NotTheLine(huge.error(), {"'c'", "4711"}) == "");
}

TEST_CASE("graphdef: dtype of node, tensor and list must be one (as CVE-2022-23583)") {
  OneConst c(tf::DT_FLOAT, {1});
  c.tensor->add_float_val(1);
  (*c.graph.proto.mutable_node(0)->mutable_attr())["dtype"].set_type(tf::DT_INT32);
  CHECK(NotTheLine(c.error(), {"'c'", "int32", "float"}) == "");
  OneConst list(tf::DT_FLOAT, {1});
  list.tensor->add_int_val(1);
  CHECK(NotTheLine(list.error(), {"'c'", "float", "another type"}) == "");
  OneConst mixed(tf::DT_FLOAT, {1});
  mixed.tensor->add_float_val(1);
  mixed.tensor->add_string_val("x");
  CHECK(NotTheLine(mixed.error(), {"'c'", "another type"}) == "");
}

TEST_CASE("graphdef: an input that does not exist is refused (as CVE-2022-23589)") {
  TinyGraph graph;
  graph.Node("n", "Relu", {"nobody"});
  CHECK(NotTheLine(OpenError(graph), {"tiny.pb", "'n'", "'nobody'"}) == "");
  TinyGraph control;
  control.Node("n", "Relu", {"^nobody"});
  CHECK(NotTheLine(OpenError(control), {"'n'", "'^nobody'"}) == "");
  for (const std::string bad : {"", "^", ":0", "a:", "a:x", "a:99999", "a b", "a\nb"}) {
    CAPTURE(bad);
    TinyGraph malformed;
    malformed.Placeholder("a");
    malformed.Node("n", "Relu", {bad});
    CHECK(NotTheLine(OpenError(malformed), {"'n'", "input"}) == "");
  }
}

TEST_CASE("graphdef: a Const without dtype or value is refused (as CVE-2022-23590)") {
  TinyGraph no_value;
  no_value.Node("c", "Const").Type("dtype", tf::DT_FLOAT);
  CHECK(NotTheLine(OpenError(no_value), {"'c'", "without a value"}) == "");
  TinyGraph other_value;
  other_value.Node("c", "Const").Type("dtype", tf::DT_FLOAT).Float("value", 1);
  CHECK(NotTheLine(OpenError(other_value), {"'c'", "without a value"}) == "");
  OneConst no_dtype(tf::DT_FLOAT, {});
  no_dtype.tensor->add_float_val(1);
  no_dtype.graph.proto.mutable_node(0)->mutable_attr()->erase("dtype");
  CHECK(NotTheLine(no_dtype.error(), {"'c'", "without a dtype"}) == "");
}

TEST_CASE("graphdef: a function library is refused, an empty one is not (as CVE-2022-23591)") {
  TinyGraph graph;
  graph.Placeholder();
  CHECK(ParseBytes(graph.Bytes() + Text(2, "")).ok());
  CHECK(NotTheLine(ParseBytes(graph.Bytes() + Text(2, Text(1, "f"))).status(), {"tiny.pb", "library"}) == "");
}

TEST_CASE("graphdef: tensor_content and lists have exactly the elements of the shape (as CVE-2022-23594)") {
  for (const size_t bytes : {size_t{20}, size_t{23}, size_t{25}, size_t{28}, size_t{1}}) {
    CAPTURE(bytes);
    OneConst c(tf::DT_FLOAT, {2, 3});
    c.tensor->set_tensor_content(std::string(bytes, 'x'));
    CHECK(NotTheLine(c.error(), {"'c'", "tensor_content", "24"}) == "");
  }
  for (const int listed : {0, 2, 5, 7}) {
    CAPTURE(listed);
    OneConst c(tf::DT_FLOAT, {2, 3});
    for (int i = 0; i < listed; ++i) c.tensor->add_float_val(1);
    CHECK(NotTheLine(c.error(), {"'c'", "1 or 6"}) == "");
  }
  OneConst none(tf::DT_FLOAT, {0});
  none.tensor->add_float_val(1);
  CHECK_FALSE(none.error().ok());
  OneConst both(tf::DT_FLOAT, {1});
  both.tensor->set_tensor_content(std::string(4, 'x'));
  both.tensor->add_float_val(1);
  CHECK(NotTheLine(both.error(), {"'c'", "both"}) == "");
}

TEST_CASE("graphdef: what is written twice has no meaning") {
  TinyGraph names;
  names.Placeholder("a");
  names.Placeholder("a");
  CHECK(NotTheLine(OpenError(names), {"tiny.pb", "'a'", "two"}) == "");
  const std::string attr = Text(5, Text(1, "T") + Text(2, Field(6, 0, "\x01")));
  const std::string node = Text(1, "n") + Text(2, "Relu");
  REQUIRE(ParseBytes(Text(1, node + attr)).ok());
  CHECK(NotTheLine(ParseBytes(Text(1, node + attr + attr)).status(), {"'n'", "'T' twice"}) == "");
  CHECK(NotTheLine(ParseBytes(Text(1, node + Text(1, "m"))).status(), {"two names"}) == "");
  CHECK(NotTheLine(ParseBytes(Text(1, node + Text(2, "Add"))).status(), {"two names or two ops"}) == "");
  const std::string two_kinds = Text(5, Text(1, "T") + Text(2, Field(6, 0, "\x01") + Field(3, 0, "\x01")));
  CHECK(NotTheLine(ParseBytes(Text(1, node + two_kinds)).status(), {"'n'", "'T'", "two values"}) == "");
  const std::string dtype = Field(1, 0, "\x01");
  const std::string tensor = Text(5, Text(1, "value") + Text(2, Text(8, dtype + dtype)));
  CHECK(NotTheLine(ParseBytes(Text(1, node + tensor)).status(), {"'n'", "twice"}) == "");
}

TEST_CASE("graphdef: names that would break a line are refused without repeating them") {
  for (const std::string bad : {"", "a\nb", "a b", "a:0", "^a", "\x1b[31m", "\xc3\xa4"}) {
    CAPTURE(bad);
    TinyGraph graph;
    graph.Placeholder("fine");
    graph.proto.add_node()->set_op("Relu");
    graph.proto.mutable_node(1)->mutable_name()->assign(bad);
    CHECK(NotTheLine(OpenError(graph), {"node number 1"}) == "");
  }
  TinyGraph op;
  op.Node("n", "Re\nlu");
  CHECK(NotTheLine(OpenError(op), {"'n'", "op"}) == "");
}

TEST_CASE("graphdef: what is no graph says what it is") {
  CHECK(NotTheLine(ParseBytes("").status(), {"tiny.pb", "empty"}) == "");
  CHECK(NotTheLine(ParseBytes("node {\n  name: \"input\"\n}\n").status(), {"text"}) == "");
  CHECK(NotTheLine(ParseBytes("<html><body>404</body></html>").status(), {"text"}) == "");
  CHECK(NotTheLine(ParseBytes("\x1f\x8b\x08\x01\x02").status(), {"gzip"}) == "");
  CHECK(NotTheLine(ParseBytes(std::string("\x1c\0\0\0TFL3\0\0\0\0", 12)).status(), {"TensorFlow Lite"}) ==
        "");
  CHECK(NotTheLine(ParseBytes(std::string("\x08\x01\x12\x00", 4)).status(), {"SavedModel"}) == "");
  CHECK(NotTheLine(ParseBytes(Text(4, "")).status(), {"no nodes"}) == "");
  test::TempDir dir;
  CHECK(NotTheLine(GraphDef::Open(dir / "absent.pb").status(), {dir / "absent.pb"}, Code::kIo) == "");
  CHECK(NotTheLine(GraphDef::Open(dir.path()).status(), {dir.path(), "folder"}) == "");
  std::ofstream(dir / "empty.pb").flush();
  CHECK(NotTheLine(GraphDef::Open(dir / "empty.pb").status(), {dir / "empty.pb", "empty"}) == "");
  REQUIRE(mkfifo((dir / "fifo").c_str(), 0600) == 0);
  CHECK(NotTheLine(GraphDef::Open(dir / "fifo").status(), {dir / "fifo", "regular"}) == "");
}

TEST_CASE("graphdef: bytes after the end, and every truncation, are refused") {
  TinyGraph graph;
  graph.Placeholder();
  graph.Ramp("w", {3});
  graph.Node("out", "Mul", {"input", "w"}).Type("T", tf::DT_FLOAT);
  const std::string whole = graph.Bytes();
  const std::string tails[] = {"garbage", std::string(1, '\0'), "\x7a\x02hi", "\n"};
  for (const std::string& tail : tails)
    CHECK(NotTheLine(ParseBytes(whole + tail).status(), {"tiny.pb", "after 3 nodes"}) == "");
  std::vector<size_t> ends;  // a cut between nodes leaves a smaller graph
  for (size_t at = 0; at < whole.size(); at += 2 + static_cast<uint8_t>(whole[at + 1])) ends.push_back(at);
  REQUIRE(ends.size() == 3);
  for (size_t length = 1; length < whole.size(); ++length) {
    CAPTURE(length);
    const auto def = ParseBytes(whole.substr(0, length));
    CHECK(def.ok() == (std::find(ends.begin(), ends.end(), length) != ends.end()));
    if (!def.ok()) CHECK(NotTheLine(def.status(), {"tiny.pb"}) == "");
  }
}

TEST_CASE("graphdef: real graphs open, and their ops are those TensorFlow counts") {
  COUPLET_NEEDS_SHARED(dir);
  const auto def = GraphDef::Open(dir + "/models/retrained/scratches_0.25_128/retrained_graph.pb");
  REQUIRE(def.ok());
  std::map<std::string_view, int> census;
  for (const NodeView& node : def->nodes()) ++census[node.op];
  const std::map<std::string_view, int> expected = {{"Const", 167},
                                                    {"Identity", 140},
                                                    {"Mul", 81},
                                                    {"Add", 55},
                                                    {"Relu6", 27},
                                                    {"Rsqrt", 27},
                                                    {"Sub", 27},
                                                    {"Conv2D", 15},
                                                    {"DepthwiseConv2dNative", 13},
                                                    {"AvgPool", 1},
                                                    {"BiasAdd", 1},
                                                    {"MatMul", 1},
                                                    {"Placeholder", 1},
                                                    {"PlaceholderWithDefault", 1},
                                                    {"Reshape", 1},
                                                    {"Softmax", 1},
                                                    {"Squeeze", 1}};
  CHECK(census == expected);
  const std::pair<const char*, size_t> counts[] = {{"mobilenet_v1_0.25_128/frozen_graph.pb", 555},
                                                   {"mobilenet_v1_0.25_128/quantized_graph.pb", 180},
                                                   {"retrained/scratches_0.25_128/retrained_graph.pb", 560},
                                                   {"retrained/scratches_0.25_128/optimized_graph.pb", 420},
                                                   {"inception_2015/classify_image_graph_def.pb", 1004}};
  for (const auto& [file, nodes] : counts) {
    CAPTURE(file);
    const auto graph = GraphDef::Open(dir + "/models/" + file);
    REQUIRE(graph.ok());
    CHECK(graph->nodes().size() == nodes);
  }
}

TEST_CASE("graphdef: big constants stay where they are mapped") {
  COUPLET_NEEDS_SHARED(dir);
  const auto def = GraphDef::Open(dir + "/models/inception_2015/classify_image_graph_def.pb");
  REQUIRE(def.ok());
  const std::byte* begin = def->bytes().data();
  const std::byte* end = begin + def->bytes().size();
  size_t viewed = 0;
  for (const NodeView& node : def->nodes()) {
    if (node.op != "Const" || node.name == "DecodeJpeg/contents") continue;
    const auto value = def->ConstValue(node);
    REQUIRE(value.ok());
    CHECK(value->values.size() <= 1);
    if (value->content.empty()) continue;
    CHECK((value->content.data() >= begin && value->content.data() + value->content.size() <= end));
    viewed += value->content.size();
  }
  CHECK(viewed > size_t{95'000'000});
}
