// Checkpoints: what is read is what was written, or a line that says why not; a training that goes on gives equal bits.
// SPDX-License-Identifier: Apache-2.0
#include "models/checkpoint.h"

#include <fstream>

#include "tests/support/small_training.h"
#include "tests/support/test.h"
#include "tests/support/tiny_graph.h"

using namespace couplet;
using namespace couplet::test;

namespace {

const TrainConditions kConditions = {{"--seed", "3"}, {"the photos", "sum"}};

TrainState SomeState() {
  TrainState state;
  state.steps = 17;
  state.params.weights = {1.5f, -2.0f, 3e-30f, 0.0f, 1e30f, -0.0f};
  state.params.biases = {0.25f, -7.0f};
  state.history = {{0, 50.0f, 0.7, 4, 25.0f, 0.9}, {10, 75.0f, 0.6, 0, 0.0f, 0.0}};
  return state;
}
constexpr HeadShape kShape{3, 2};

}  // namespace

TEST_CASE("checkpoint: what was written is read again") {
  const TempDir dir;
  const TrainState state = SomeState();
  REQUIRE(WriteCheckpoint(dir / "c", state, kConditions).ok());
  const auto read = ReadCheckpoint(dir / "c", kShape, kConditions);
  REQUIRE_MESSAGE(read.ok(), read.status().message());
  CHECK(read->steps == 17);
  CHECK(SameParams(read->params, state.params));
  REQUIRE(read->history.size() == 2);
  CHECK(read->history[1].step == 10);
  CHECK(read->history[0].validation_cross_entropy == 0.9);
  CHECK(read->history[0].validation_n == 4);
}

TEST_CASE("checkpoint: of another training it is refused, with what differs") {
  const TempDir dir;
  REQUIRE(WriteCheckpoint(dir / "c", SomeState(), kConditions).ok());
  const auto read = [&](TrainConditions conditions, HeadShape shape = kShape) {
    return ReadCheckpoint(dir / "c", shape, conditions).status();
  };
  CHECK(NotTheLine(read({{"--seed", "4"}, {"the photos", "sum"}}), {dir / "c", "--seed was 3, now it is 4", "--resume"}) == "");
  CHECK(NotTheLine(read({{"--seed", "3"}, {"the photos", "x"}}), {"the photos was sum, now it is x"}) == "");
  CHECK(NotTheLine(read(kConditions, {2, 3}), {dir / "c", "damaged"}) == "");
  CHECK(NotTheLine(read({{"--seed", "3"}}), {"damaged"}) == "");
  CHECK(NotTheLine(ReadCheckpoint(dir / "none", kShape, kConditions).status(), {dir / "none"}, Code::kIo) == "");
}

TEST_CASE("checkpoint: a flipped bit or a missing end is damage, wherever it is") {
  const TempDir dir;
  REQUIRE(WriteCheckpoint(dir / "c", SomeState(), kConditions).ok());
  const std::string good = FileContents(dir / "c");
  const auto check = [&](const std::string& bytes) {
    std::ofstream(dir / "c", std::ios::binary) << bytes;
    const auto read = ReadCheckpoint(dir / "c", kShape, kConditions);
    REQUIRE_FALSE(read.ok());
    CHECK(NotTheLine(read.status(), {dir / "c", "damaged; delete it"}) == "");
  };
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ (1 << (i % 8)));
    check(bad);
    check(good.substr(0, i));
  }
  check(good + "x");
}

TEST_CASE("checkpoint: a training that goes on from any step gives the same bits and the same history") {
  const HeadData data = Clouds();
  const TrainOptions options = Short(45);
  const Run whole = TrainOn(data, options);
  for (const int at : {1, 10, 29, 44, 45}) {
    CAPTURE(at);
    TrainHooks hooks;
    int polled = 0;
    TrainState kept;
    hooks.interrupted = [&] { return polled++ == at; };
    hooks.store_checkpoint = [&](const TrainState& state) { kept = state; };
    TrainOptions first = options;
    first.how_many_training_steps = 46;  // so that 45 is an interruption, too
    const Run begun = TrainOn(data, first, hooks);
    CHECK(begun.result.stopped.code() == Code::kInterrupted);
    REQUIRE(kept.steps == at);
    CopyingTrainer trainer({data.features, data.classes});
    const auto rest = Train(trainer, data, options, {}, &kept);
    REQUIRE(rest.ok());
    CHECK(rest->stopped.ok());
    CHECK(rest->steps == 45);
    CHECK(SameParams(rest->params, whole.result.params));
    if (at == 45) continue;  // its last step was none then
    REQUIRE(rest->history.size() == whole.result.history.size());
    for (size_t i = 0; i < rest->history.size(); ++i) {
      CHECK(rest->history[i].step == whole.result.history[i].step);
      CHECK(rest->history[i].cross_entropy == whole.result.history[i].cross_entropy);
      CHECK(rest->history[i].validation_accuracy == whole.result.history[i].validation_accuracy);
    }
  }
}

TEST_CASE("checkpoint: one every so many steps, none at the end, and none from a step that diverged") {
  const HeadData data = Clouds();
  TrainOptions options = Short(40);
  options.checkpoint_interval = 10;
  std::vector<int> kept;
  TrainHooks hooks;
  hooks.store_checkpoint = [&](const TrainState& state) {
    kept.push_back(state.steps);
    CHECK(SameParams(state.params, TrainOn(data, Short(state.steps)).result.params));
  };
  TrainOn(data, options, hooks);
  CHECK(kept == std::vector<int>{10, 20, 30});
  kept.clear();
  options.checkpoint_interval = 0;
  TrainOn(data, options, hooks);
  CHECK(kept.empty());
  options.checkpoint_interval = 1;
  options.learning_rate = 3e38;
  hooks.store_checkpoint = [&](const TrainState& state) {
    for (const float weight : state.params.weights) CHECK(std::isfinite(weight));
  };
  CHECK(TrainOn(data, options, hooks).result.stopped.code() == Code::kDiverged);
}
