// Every photo held out is compared with every other of an earlier split. Most pairs are ruled out by a bound that costs a
// fortieth of the cosine. Let P project onto a plane: for directions a and b, of length 1,
//   a . b = Pa . Pb + (a - Pa) . (b - Pb) <= Pa . Pb + |a - Pa| |b - Pb|          (Cauchy-Schwarz)
// so 24 coordinates in the plane and the length of what lies outside of it, the photo's sketch, bound the cosine by one short
// product. Any plane will do; one through 24 of the photos holds half of what photos differ in. On 1,000 flowers the bound leaves one
// pair of 100,000 (MobileNet 0.25_128) or of 4,000 (Inception v3).
// SPDX-License-Identifier: Apache-2.0
#include "models/near_duplicates.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>
#include <tuple>
#include <utility>

#include "runtime/cpu/aligned_floats.h"
#include "runtime/cpu/gemm_kernel.h"
#include "runtime/cpu/team.h"

namespace couplet {
namespace {

using cpu::AlignedFloats;
using cpu::MakeAligned;

constexpr size_t kPlane = 24, kSketch = kPlane + 1;
constexpr size_t kGroup = 64;    // photos held out that are compared at a time,
constexpr size_t kOthers = 128;  // with so many others: their directions stay in the second cache
constexpr size_t kRound = 4;     // groups a thread between two looks at the hooks: half a second where the bound rules nothing out
constexpr float kSame = 0.999999f;
constexpr float kNever = std::numeric_limits<float>::infinity();

struct Member {
  uint32_t row = 0;
  Split split = Split::kTraining;
};

std::vector<Member> MembersOf(const HeadData& data) {
  std::vector<Member> members;
  for (size_t split = 0; split < data.rows.size(); ++split)
    for (const auto& rows : data.rows[split])
      for (const uint32_t row : rows) members.push_back({row, static_cast<Split>(split)});
  return members;
}

// Eight sums, which the compiler keeps in vectors; their order is the same on every machine.
template <class Product>
double Sum(size_t count, const Product& product) {
  double sums[8] = {};
  const size_t whole = count / 8 * 8;
  for (size_t i = 0; i < whole; i += 8)
    for (size_t k = 0; k < 8; ++k) sums[k] += product(i + k);
  for (size_t i = whole; i < count; ++i) sums[i - whole] += product(i);
  return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

// Up to `count` vectors of `length` floats, packed so that others are multiplied with all of them at once.
class Panel {
 public:
  Panel(size_t count, size_t length)
      : count_(count), length_(length), panels_(cpu::PanelsFor(static_cast<int>(count))), channels_(static_cast<size_t>(panels_.channels())),
        bias_(channels_), values_(MakeAligned(length * channels_)) {
    std::fill_n(values_.get(), length * channels_, 0.0f);
  }
  // vector [length] becomes the panel's i-th.
  void Set(size_t i, const float* vector) {
    size_t first = 0, width = static_cast<size_t>(panels_.width(0));
    for (int panel = 1; i >= first + width; ++panel) first += width, width = static_cast<size_t>(panels_.width(panel));
    float* to = values_.get() + first * length_ + (i - first);
    for (size_t k = 0; k < length_; ++k) to[k * width] = vector[k];
  }
  // products [others, stride]: of the `others` vectors that begin every `length` floats from src with all of the panel.
  void Multiply(const float* src, size_t others, float* products, size_t stride) const {
    if (others == 0) return;
    cpu::GemmPanel t{.src = &src, .pixel_stride = length_, .pixels = static_cast<int>(others), .tile = panels_.tile, .segments = 1,
                     .length = static_cast<int>(length_), .weights = values_.get(), .bias = bias_.data(), .dst_stride = stride,
                     .clamp = {-kNever, kNever}};
    for (int panel = 0; panel < panels_.count; ++panel) {
      const int first = panels_.first(panel);
      t.width = panels_.width(panel);
      t.channels = std::min(t.width, static_cast<int>(count_) - first);
      t.dst = products + first;
      cpu::RunGemmPanel(t);
      t.weights += length_ * static_cast<size_t>(t.width);
    }
  }

 private:
  size_t count_, length_;
  cpu::Panels panels_;
  size_t channels_;
  std::vector<float> bias_;
  AlignedFloats values_;
};

// The vectors without their mean and of length 1, made when they are wanted.
class Directions {
 public:
  explicit Directions(const HeadData& data)
      : features_(static_cast<size_t>(data.features)), data_(data), members_(MembersOf(data)), mean_(features_), scale_(members_.size()) {
    std::vector<double> sums(features_);
    for (const Member& member : members_) {
      const float* vector = Vector(member);
      for (size_t f = 0; f < features_; ++f) sums[f] += vector[f];
    }
    for (size_t f = 0; f < features_; ++f) mean_[f] = static_cast<float>(sums[f] / static_cast<double>(members_.size()));
  }
  size_t features() const { return features_; }
  std::span<const Member> members() const { return members_; }
  bool has_one(size_t i) const { return scale_[i] != 0; }

  void Measure(size_t i) {
    const float* vector = Vector(members_[i]);
    const float* mean = mean_.data();
    const double length = std::sqrt(Sum(features_, [&](size_t f) {
      const double value = vector[f] - mean[f];
      return value * value;
    }));
    // A photo that is the mean itself has no direction, and is like none. Nor has one without a length that a float can hold.
    scale_[i] = length > 1e-30 && length < 1e30 ? static_cast<float>(1 / length) : 0;
  }
  // REQUIRES: Measure(i). to [features]
  void Write(size_t i, float* to) const {
    const float* vector = Vector(members_[i]);
    const float* mean = mean_.data();
    const float scale = scale_[i];
    for (size_t f = 0; f < features_; ++f) to[f] = (vector[f] - mean[f]) * scale;
  }

 private:
  const float* Vector(const Member& member) const { return data_.vectors.data() + member.row * features_; }

  const size_t features_;
  const HeadData& data_;
  std::vector<Member> members_;
  std::vector<float> mean_, scale_;
};

// Photos of one split that are compared with [0, others).
struct Group {
  size_t first = 0, count = 0, others = 0;
};

std::vector<Group> GroupsOf(std::span<const Member> members) {
  std::vector<Group> groups;
  size_t others = 0;  // the current split's first
  for (size_t i = 0; i < members.size(); ++i) {
    const bool begins = i == 0 || members[i].split != members[i - 1].split;
    if (begins) others = i;
    if (members[i].split == Split::kTraining || others == 0) continue;
    if (begins || groups.back().count == kGroup) groups.push_back({i, 0, others});
    ++groups.back().count;
  }
  return groups;
}

// What a thread needs for itself.
struct Lane {
  explicit Lane(size_t features)
      : held(kGroup, features), held_sketches(kGroup, kSketch), directions(MakeAligned(kOthers * features)),
        products(MakeAligned(kOthers * kGroup)) {}
  Panel held, held_sketches;
  AlignedFloats directions, products;
  std::array<size_t, kOthers> left{};  // others that the bound has not ruled out
};

class Search {
 public:
  Search(const HeadData& data, float least, int threads)
      : least_(least), at_(data), photos_(at_.members().size()), rounding_((66 + static_cast<float>(data.features) / 64) * 0x1p-24f),
        groups_(GroupsOf(at_.members())), sketches_(photos_ * kSketch), nearest_(photos_), team_(threads) {
    for (int lane = 0; lane < threads; ++lane) lanes_.emplace_back(at_.features());
  }

  Status Run(const NearDuplicateHooks& hooks) {
    if (groups_.empty()) return {};
    const int blocks = static_cast<int>((photos_ + kOthers - 1) / kOthers);
    team_.ForEach(blocks, [&](int, int block) {
      const size_t first = static_cast<size_t>(block) * kOthers;
      for (size_t i = first; i < std::min(photos_, first + kOthers); ++i) at_.Measure(i);
    });
    const Panel plane = Plane();
    team_.ForEach(blocks, [&](int lane, int block) { Sketch(plane, static_cast<size_t>(block) * kOthers, lanes_[static_cast<size_t>(lane)]); });
    const size_t total = photos_ - groups_.front().first, round = kRound * lanes_.size();
    for (size_t first = 0; first < groups_.size(); first += round) {
      if (hooks.interrupted && hooks.interrupted()) return Status(Code::kInterrupted, "the search for copies was interrupted");
      const size_t count = std::min(round, groups_.size() - first);
      team_.ForEach(static_cast<int>(count), [&](int lane, int group) {
        Compare(groups_[first + static_cast<size_t>(group)], lanes_[static_cast<size_t>(lane)]);
      });
      const Group& last = groups_[first + count - 1];
      if (hooks.progress) hooks.progress(total - (photos_ - last.first - last.count), total);
    }
    return {};
  }

  std::vector<PhotoPair> Pairs() const {
    std::vector<PhotoPair> pairs;
    for (const PhotoPair& pair : nearest_)
      if (pair.cosine > 0) pairs.push_back(pair);
    std::sort(pairs.begin(), pairs.end(), [](const PhotoPair& a, const PhotoPair& b) {
      return std::tuple(-a.cosine, a.row, a.other) < std::tuple(-b.cosine, b.row, b.other);
    });
    return pairs;
  }

 private:
  // Orthonormal vectors of what some of the photos span, by Gram and Schmidt; once more, as the first time leaves its roundings.
  Panel Plane() const {
    const size_t features = at_.features(), count = std::min(kPlane, photos_);
    std::vector<std::vector<double>> axes;
    std::vector<float> direction(features);
    for (size_t k = 0; k < count; ++k) {
      at_.Write(photos_ * k / count, direction.data());
      std::vector<double> axis(direction.begin(), direction.end());
      for (int time = 0; time < 2; ++time)
        for (const std::vector<double>& before : axes) {
          const double share = Sum(features, [&](size_t f) { return axis[f] * before[f]; });
          for (size_t f = 0; f < features; ++f) axis[f] -= share * before[f];
        }
      const double length = std::sqrt(Sum(features, [&](size_t f) { return axis[f] * axis[f]; }));
      if (!(length > 1e-3)) continue;  // like one that is there already
      for (double& value : axis) value /= length;
      axes.push_back(std::move(axis));
    }
    Panel plane(kPlane, features);
    for (size_t k = 0; k < axes.size(); ++k) {
      std::copy(axes[k].begin(), axes[k].end(), direction.begin());
      plane.Set(k, direction.data());
    }
    return plane;
  }

  // What roundings may take from a photo's coordinates in the plane: a product's rounding (gemm_kernel.h: chains of 64, then the sums of
  // these), in 24 coordinates.
  float PlaneRounding() const { return std::sqrt(static_cast<float>(kPlane)) * rounding_; }

  void Sketch(const Panel& plane, size_t first, Lane& lane) {
    const size_t count = std::min(kOthers, photos_ - first);
    for (size_t i = 0; i < count; ++i) at_.Write(first + i, lane.directions.get() + i * at_.features());
    float* sketches = sketches_.data() + first * kSketch;
    plane.Multiply(lane.directions.get(), count, sketches, kSketch);
    for (size_t i = 0; i < count; ++i) {
      float* sketch = sketches + i * kSketch;
      const double inside = std::sqrt(Sum(kPlane, [&](size_t k) { return static_cast<double>(sketch[k]) * sketch[k]; })) - PlaneRounding();
      // The length of what lies outside, never too small.
      const double outside = std::sqrt(std::max(1 + 1e-6 - std::max(inside, 0.0) * inside, 0.0)) + 1e-6;
      sketch[kPlane] = at_.has_one(first + i) ? static_cast<float>(outside) : 0;
    }
  }

  // Below this bound no pair is nearer than `cosine`: the bound's own roundings, those of both sketches and of the product itself.
  float Limit(float cosine) const { return cosine >= kSame ? kNever : cosine - (2 * PlaneRounding() + rounding_ + 1e-5f); }

  void Compare(const Group& group, Lane& lane) {
    std::array<float, kGroup> limits;
    limits.fill(kNever);
    for (size_t i = 0; i < group.count; ++i) {
      const size_t member = group.first + i;
      at_.Write(member, lane.directions.get());
      lane.held.Set(i, lane.directions.get());
      lane.held_sketches.Set(i, sketches_.data() + member * kSketch);
      if (at_.has_one(member)) limits[i] = Limit(least_);
    }
    for (size_t first = 0; first < group.others; first += kOthers) {
      const size_t left = RuleOut(first, std::min(kOthers, group.others - first), limits, lane);
      lane.held.Multiply(lane.directions.get(), left, lane.products.get(), kGroup);
      for (size_t n = 0; n < left; ++n)
        for (size_t i = 0; i < group.count; ++i) Note(group.first + i, lane.left[n], lane.products[n * kGroup + i], &limits[i]);
    }
  }

  // Writes the directions of those among `others` that may be near enough to some of the group; how many they are.
  size_t RuleOut(size_t first, size_t others, const std::array<float, kGroup>& limits, Lane& lane) const {
    lane.held_sketches.Multiply(sketches_.data() + first * kSketch, others, lane.products.get(), kGroup);
    size_t left = 0;
    for (size_t n = 0; n < others; ++n) {
      const float* bounds = lane.products.get() + n * kGroup;
      int reached = 0;
      for (size_t i = 0; i < kGroup; ++i) reached |= bounds[i] >= limits[i];
      if (reached == 0) continue;
      at_.Write(first + n, lane.directions.get() + left * at_.features());
      lane.left[left++] = first + n;
    }
    return left;
  }

  void Note(size_t held, size_t other, float cosine, float* limit) {
    cosine = std::min(cosine, 1.0f);
    PhotoPair& nearest = nearest_[held];
    if (*limit == kNever || !(cosine >= least_ && cosine > nearest.cosine)) return;
    const Member &member = at_.members()[held], &its = at_.members()[other];
    nearest = {member.row, its.row, member.split, its.split, cosine};
    *limit = Limit(cosine);
  }

  const float least_;
  Directions at_;
  const size_t photos_;
  const float rounding_;  // of a product of directions
  const std::vector<Group> groups_;
  std::vector<float> sketches_;     // [members, kSketch]
  std::vector<PhotoPair> nearest_;  // [members]; cosine 0: none is near enough
  std::vector<Lane> lanes_;
  cpu::Team team_;
};

}  // namespace

Result<std::vector<PhotoPair>> FindNearDuplicates(const HeadData& data, float least, int threads, const NearDuplicateHooks& hooks) {
  Search search(data, least, threads);
  COUPLET_RETURN_IF_ERROR(search.Run(hooks));
  return search.Pairs();
}

}  // namespace couplet
