// SPDX-License-Identifier: Apache-2.0
#include "models/near_duplicates.h"

#include <algorithm>
#include <cmath>

#include "runtime/cpu/dispatch.h"
#include "runtime/cpu/gemm_kernel.h"
#include "tests/support/small_training.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

// Every pair across splits, in double; the nearest earlier one of each.
std::vector<PhotoPair> NaivePairs(const HeadData& data, float least) {
  const size_t features = static_cast<size_t>(data.features);
  std::vector<std::pair<uint32_t, size_t>> members;
  for (size_t split = 0; split < 3; ++split)
    for (const auto& rows : data.rows[split])
      for (const uint32_t row : rows) members.emplace_back(row, split);
  std::vector<double> mean(features);
  for (const auto& [row, split] : members)
    for (size_t f = 0; f < features; ++f) mean[f] += data.vectors[row * features + f] / static_cast<double>(members.size());
  const auto cosine = [&](uint32_t a, uint32_t b) {
    double ab = 0, aa = 0, bb = 0;
    for (size_t f = 0; f < features; ++f) {
      const double x = data.vectors[a * features + f] - mean[f], y = data.vectors[b * features + f] - mean[f];
      ab += x * y;
      aa += x * x;
      bb += y * y;
    }
    return ab / std::sqrt(aa * bb);
  };
  std::vector<PhotoPair> pairs;
  for (const auto& [row, split] : members) {
    PhotoPair best;
    best.cosine = -2;
    for (const auto& [other, other_split] : members) {
      const float value = static_cast<float>(cosine(row, other));
      if (other_split < split && value >= least && value > best.cosine)
        best = {row, other, static_cast<Split>(split), static_cast<Split>(other_split), value};
    }
    if (best.cosine > -2) pairs.push_back(best);
  }
  std::stable_sort(pairs.begin(), pairs.end(), [](const PhotoPair& a, const PhotoPair& b) { return a.cosine > b.cosine; });
  return pairs;
}

// Vectors of several blocks and a part of one, some of them nearly copies.
HeadData WithCopies() {
  HeadData data;
  data.features = 203;
  data.classes = 2;
  for (auto& by_class : data.rows) by_class.resize(2);
  for (uint32_t row = 0; row < 60; ++row) {
    data.rows[row < 40 ? 0 : row < 50 ? 1 : 2][row % 2].push_back(row);
    for (uint32_t f = 0; f < 203; ++f) {
      // Rows 45, 55 and 59 are photos 5, 15 and 49 with a little noise.
      const uint32_t like = row == 45 ? 5 : row == 55 ? 15 : row == 59 ? 49 : row;
      const double noise = Philox(1, row, f, 201).v[0] * 0x1p-32 - 0.5;
      data.vectors.push_back(static_cast<float>(5.0 + Philox(1, like, f, 200).v[0] * 0x1p-32 + 0.01 * row / 60 * noise));
    }
  }
  return data;
}

TEST_CASE("near duplicates: those that a plain search finds [threads]") {
  const HeadData data = WithCopies();
  for (const float least : {0.97f, 0.15f}) {
    const auto expected = NaivePairs(data, least);
    REQUIRE(expected.size() >= 3);
    for (const int threads : {1, 3}) {
      const auto pairs = FindNearDuplicates(data, least, threads).value();
      REQUIRE(pairs.size() == expected.size());
      for (size_t i = 0; i < pairs.size(); ++i) {
        CHECK(pairs[i].row == expected[i].row);
        CHECK(pairs[i].other == expected[i].other);
        CHECK(pairs[i].split == expected[i].split);
        CHECK(pairs[i].other_split == expected[i].other_split);
        CHECK(!(std::fabs(pairs[i].cosine - expected[i].cosine) > 1e-5f));
      }
    }
  }
  const auto three = FindNearDuplicates(data, 0.97f, 1).value();
  REQUIRE(three.size() == 3);
  std::vector<uint32_t> rows;
  for (const PhotoPair& pair : three) rows.push_back(pair.row);
  std::sort(rows.begin(), rows.end());
  CHECK(rows == std::vector<uint32_t>{45, 55, 59});
}

TEST_CASE("near duplicates: a photo without a direction is like none") {
  HeadData data;
  data.features = 2;
  data.classes = 1;
  data.rows[0] = {{0, 1}};
  data.rows[2] = {{2}};
  data.vectors = {0, 0, 2, 2, 1, 1};  // the last is the mean
  CHECK(FindNearDuplicates(data, 0.5f, 1).value().empty());
  data.vectors.assign(6, 1.0f);
  CHECK(FindNearDuplicates(data, 0.5f, 1).value().empty());
}

// Vectors with seven degrees of freedom: those of a few photos span them all, so that nothing lies outside the plane and the
// bound is the cosine itself. Photos of a split are more than the search compares at a time.
HeadData OfFewDimensions() {
  HeadData data;
  data.features = 70;
  data.classes = 1;
  for (auto& by_class : data.rows) by_class.resize(1);
  for (uint32_t row = 0; row < 400; ++row) {
    data.rows[row < 140 ? 0 : row < 270 ? 1 : 2][0].push_back(row);
    for (uint32_t f = 0; f < 70; ++f) {
      double value = 3;
      for (uint32_t k = 0; k < 7; ++k)
        value += (Philox(2, row, k, 200).v[0] * 0x1p-32 - 0.5) * (Philox(2, f, k, 201).v[0] * 0x1p-32 - 0.5);
      data.vectors.push_back(static_cast<float>(value));
    }
  }
  return data;
}

TEST_CASE("near duplicates: a pair at the very bound is not ruled out by roundings") {
  const HeadData data = OfFewDimensions();
  const auto all = FindNearDuplicates(data, 0.5f, 1).value();
  const auto expected = NaivePairs(data, 0.5f);
  REQUIRE(expected.size() == 260);
  REQUIRE(all.size() == expected.size());
  for (const PhotoPair& pair : all) {
    const auto one = [&](const PhotoPair& other) { return other.row == pair.row; };
    const auto naive = std::find_if(expected.begin(), expected.end(), one);
    REQUIRE(naive != expected.end());
    CHECK(naive->other == pair.other);
    CHECK(!(std::fabs(naive->cosine - pair.cosine) > 1e-5f));
    const auto found = FindNearDuplicates(data, pair.cosine, 1).value();
    CHECK(std::any_of(found.begin(), found.end(), one));
    const auto above = FindNearDuplicates(data, std::nextafter(pair.cosine, 2.0f), 1).value();
    CHECK(std::none_of(above.begin(), above.end(), one));
  }
}

TEST_CASE("near duplicates: each photo nearer by little than the one before is seen") {
  HeadData data;
  data.features = 2;
  data.classes = 1;
  for (auto& by_class : data.rows) by_class.resize(1);
  // Photos on an arc, and opposite ones, so that the mean is zero; the photo held out at the arc's end is nearest to the last.
  for (uint32_t row = 0; row < 402; ++row) {
    data.rows[row < 400 ? 0 : 2][0].push_back(row);
    const double angle = row < 400 ? 0.3 - 0.00125 * (row / 2) : 0, sign = row % 2 == 0 ? 1 : -1;
    data.vectors.push_back(static_cast<float>(sign * std::cos(angle)));
    data.vectors.push_back(static_cast<float>(sign * std::sin(angle)));
  }
  const auto pairs = FindNearDuplicates(data, 0.9f, 1).value();
  REQUIRE(pairs.size() == 2);
  CHECK(pairs[0].other == 398 + pairs[0].row % 2);
  CHECK(pairs[1].other == 398 + pairs[1].row % 2);
}

TEST_CASE("near duplicates: every instruction set with a fused multiply-add finds the same bits") {
  const HeadData data = WithCopies();
  std::vector<std::vector<PhotoPair>> found;
  for (const cpu::Simd simd : {cpu::Simd::kBaseline, cpu::Simd::kAvx2, cpu::Simd::kAvx512}) {
    cpu::LimitSimd(simd);
    const std::string set = cpu::KernelTarget();
    if (set != "SSE2" && set != "SCALAR") found.push_back(FindNearDuplicates(data, 0.15f, 1).value());
  }
  for (const auto& pairs : found) {
    REQUIRE(pairs.size() == found[0].size());
    for (size_t i = 0; i < pairs.size(); ++i) {
      CHECK(pairs[i].row == found[0][i].row);
      CHECK(pairs[i].other == found[0][i].other);
      CHECK(pairs[i].cosine == found[0][i].cosine);
    }
  }
}

TEST_CASE("near duplicates: of copies the first is named") {
  HeadData data = OfFewDimensions();
  // Photo i is photo i % 3.
  for (size_t i = 3 * 70; i < data.vectors.size(); ++i) data.vectors[i] = data.vectors[i - 3 * 70];
  const auto pairs = FindNearDuplicates(data, 0.97f, 1).value();
  REQUIRE(pairs.size() == 260);
  for (const PhotoPair& pair : pairs) CHECK(pair.other == pair.row % 3);
}

TEST_CASE("near duplicates: the search tells how far it is, and ends when it is told to") {
  const HeadData data = OfFewDimensions();
  size_t last = 0;
  NearDuplicateHooks hooks;
  hooks.progress = [&](size_t done, size_t total) {
    CHECK(total == 260);
    CHECK(done > last);
    last = done;
  };
  CHECK(FindNearDuplicates(data, 0.97f, 1, hooks).ok());
  CHECK(last == 260);
  last = 0;
  hooks.interrupted = [&] { return last > 0; };
  CHECK(FindNearDuplicates(data, 0.97f, 1, hooks).status().code() == Code::kInterrupted);
  CHECK(last < 260);
}

}  // namespace
}  // namespace couplet
