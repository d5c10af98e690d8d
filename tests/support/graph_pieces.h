// What both generated networks are made of: weights that depend on a seed and a name alone, and the commonest
// nodes.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "loaders/node_writer.h"

namespace couplet::test {

// `count` values in [low, high), the same for one seed and name on every machine and in every form of a
// network.
std::vector<float> UniformValues(uint64_t seed, const std::string& name, size_t count, float low, float high);
// He-uniform: variance 2 / fan_in.
std::vector<float> HeValues(uint64_t seed, const std::string& name, size_t count, int64_t fan_in);

tf::AttrValue FloatType();
tf::AttrValue StridesAttr(int64_t stride);                // [1, stride, stride, 1]
tf::AttrValue WindowAttr(int64_t height, int64_t width);  // ksize

void AddFloatConst(GraphWriter* writer, const std::string& name, const std::vector<int64_t>& dims,
                   std::span<const float> values);
void AddIntConst(GraphWriter* writer, const std::string& name, const std::vector<int32_t>& values);
// An op with no attribute but T.
void AddPlain(GraphWriter* writer, const std::string& name, const std::string& op,
              const std::vector<std::string>& inputs);

}  // namespace couplet::test
