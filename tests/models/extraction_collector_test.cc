// SPDX-License-Identifier: Apache-2.0
#include "models/extraction_collector.h"

#include <algorithm>
#include <numeric>

#include "tests/support/test.h"

namespace couplet {
namespace {

// Remembers how many records each transaction had.
class CountingStore final : public BottleneckStore {
 public:
  Result<std::vector<Found>> Find(std::span<const std::string> paths, std::span<float>, int) override { return std::vector<Found>(paths.size()); }
  bool Get(const Sha256Digest&, std::span<float>) override { return false; }
  std::optional<std::vector<uint8_t>> Thumbnail(const Sha256Digest&) override { return std::nullopt; }
  std::shared_ptr<void> ReadTogether() override { return nullptr; }
  Status Put(std::span<const Record> records) override {
    transactions.push_back(records.size());
    return {};
  }
  int damaged() const override { return 0; }

  std::vector<size_t> transactions;
};

}  // namespace

TEST_CASE("extract: transactions are few while photos are many, and short towards the end, when nobody computes meanwhile") {
  const std::vector<Photo> photos(20'000);
  ExtractionCollector collector(photos, 1);
  CountingStore store;
  collector.UseStore(&store);
  for (size_t i = 0; i < photos.size(); ++i) {
    ExtractionOutcome outcome;
    outcome.kind = ExtractionOutcome::Kind::kComputed;
    outcome.index = i;
    outcome.stamp.emplace();
    collector.Take(std::move(outcome));
    collector.Flush(i + 1 == photos.size());
  }
  const auto& sizes = store.transactions;
  CHECK(std::accumulate(sizes.begin(), sizes.end(), size_t{0}) == photos.size());
  CHECK(sizes.size() < 25);  // a transaction a second at most comes on top, on the slowest machine
  CHECK(*std::max_element(sizes.begin(), sizes.end()) == 2048);
  CHECK(sizes.back() <= 128);
}

}  // namespace couplet
