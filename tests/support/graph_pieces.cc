// SPDX-License-Identifier: Apache-2.0
#include "tests/support/graph_pieces.h"

#include <cmath>

#include "kernels/philox.h"

namespace couplet::test {

namespace {

constexpr uint32_t kStream = 100;  // no stream of the engine's own

uint32_t HashName(const std::string& name) {  // FNV-1a
  uint32_t hash = 2166136261u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return hash;
}

}  // namespace

std::vector<float> UniformValues(uint64_t seed, const std::string& name, size_t count, float low,
                                 float high) {
  std::vector<float> values(count);
  const uint32_t step = HashName(name);
  for (size_t i = 0; i < count; i += 4) {
    const Philox4 draw = Philox(seed, static_cast<uint32_t>(i / 4), step, kStream);
    for (size_t k = 0; k < 4 && i + k < count; ++k)
      values[i + k] = low + (high - low) * (static_cast<float>(draw.v[k] >> 8) * 0x1p-24f);
  }
  return values;
}

std::vector<float> HeValues(uint64_t seed, const std::string& name, size_t count, int64_t fan_in) {
  const float reach = std::sqrt(6.0f / static_cast<float>(fan_in));
  return UniformValues(seed, name, count, -reach, reach);
}

tf::AttrValue FloatType() { return TypeAttr(tf::DT_FLOAT); }
tf::AttrValue StridesAttr(int64_t stride) { return IntsAttr(std::vector<int64_t>{1, stride, stride, 1}); }
tf::AttrValue WindowAttr(int64_t height, int64_t width) {
  return IntsAttr(std::vector<int64_t>{1, height, width, 1});
}

void AddFloatConst(GraphWriter* writer, const std::string& name, const std::vector<int64_t>& dims,
                   std::span<const float> values) {
  writer->Add(name, "Const", {}, {{"dtype", FloatType()}, {"value", FloatTensorAttr(dims, values)}});
}

void AddIntConst(GraphWriter* writer, const std::string& name, const std::vector<int32_t>& values) {
  const int64_t dims[] = {static_cast<int64_t>(values.size())};
  writer->Add(name, "Const", {}, {{"dtype", TypeAttr(tf::DT_INT32)}, {"value", IntTensorAttr(dims, values)}});
}

void AddPlain(GraphWriter* writer, const std::string& name, const std::string& op,
              const std::vector<std::string>& inputs) {
  writer->Add(name, op, inputs, {{"T", FloatType()}});
}

}  // namespace couplet::test
