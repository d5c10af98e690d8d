// The last layer's trainer for a GPU, on stand-ins for its libraries and its kernels on the CPU: the same
// numbers as the CPU's trainer, step by step and in runs, whatever the order of work, and a clear end where a
// call fails.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "kernels/philox.h"
#include "models/training.h"
#include "runtime/cpu/head_trainer.h"
#include "tests/support/device_heads.h"

using namespace couplet;
using namespace couplet::test;

namespace {

TrainResult TrainWith(HeadTrainer& trainer, const HeadData& data, const TrainOptions& options) {
  auto result = Train(trainer, data, options, {});
  REQUIRE_MESSAGE(result.ok(), result.status().message());
  return std::move(result).value();
}
TrainResult TrainOnCpu(const HeadData& data, const TrainOptions& options) {
  return TrainWith(*MakeCpuHeadTrainer({data.features, data.classes}), data, options);
}

// The training photo that batches come to last.
uint32_t LatestDrawn(const HeadData& data, const TrainOptions& options) {
  std::vector<bool> drawn(data.vectors.size() / static_cast<size_t>(data.features));
  uint32_t latest = 0;
  for (int step = 0; step < options.how_many_training_steps; ++step) {
    const HeadBatch batch = DrawBatch(data.rows[0], options.train_batch_size, options.seed,
                                      static_cast<uint32_t>(step), kStreamTrain);
    for (const uint32_t row : batch.rows) {
      if (!drawn[row]) latest = row;
      drawn[row] = true;
    }
  }
  return latest;
}

// Eight steps, with an evaluation after the first; the second run is the first of its pattern, the third is
// captured, the fourth replays it.
Status FourRuns(HeadTrainer& trainer, const HeadData& data) {
  COUPLET_RETURN_IF_ERROR(trainer.set_vectors(data.vectors));
  COUPLET_RETURN_IF_ERROR(trainer.set_params(InitialParams({data.features, data.classes}, 0)));
  const RunPlan plan{.train = MakeBatchSource(data.rows[0], 2, kStreamTrain),
                     .validation = MakeBatchSource(data.rows[1], 1, kStreamValidation),
                     .seed = 1,
                     .learning_rate = 0.1f,
                     .steps = 100,
                     .eval_interval = 50};
  COUPLET_RETURN_IF_ERROR(trainer.runner()->set_plans({&plan, 1}));
  for (int run = 0; run < 4; ++run) {
    COUPLET_ASSIGN_OR_RETURN(const auto results, trainer.runner()->run(2 * run, 2));
    if (results[0].steps.size() != 2) return Internal("steps are missing");
  }
  return {};
}

bool Near(double got, double want, double relative) {
  return std::abs(got - want) <= relative * std::abs(want);
}
bool Near(const HeadParams& got, const HeadParams& want, double absolute) {
  const auto near = [&](const std::vector<float>& a, const std::vector<float>& b) {
    for (size_t i = 0; i < a.size(); ++i)
      if (!(std::abs(a[i] - b[i]) <= absolute)) return false;
    return a.size() == b.size();
  };
  return near(got.weights, want.weights) && near(got.biases, want.biases);
}
void CheckSameHistory(const TrainResult& got, const TrainResult& want) {
  CHECK(got.stopped.code() == want.stopped.code());
  CHECK(got.stopped.message() == want.stopped.message());
  CHECK(got.steps == want.steps);
  REQUIRE(got.history.size() == want.history.size());
  for (size_t i = 0; i < got.history.size(); ++i) {
    const EvalPoint &a = got.history[i], &b = want.history[i];
    CAPTURE(b.step);
    CHECK(a.step == b.step);
    CHECK(Near(a.cross_entropy, b.cross_entropy, 1e-5));
    CHECK(a.train_accuracy == b.train_accuracy);
    CHECK(a.validation_n == b.validation_n);
    CHECK(Near(a.validation_cross_entropy, b.validation_cross_entropy, 1e-5));
    CHECK(a.validation_accuracy == b.validation_accuracy);
  }
}

}  // namespace

TEST_CASE(
    "cuda head trainer: the losses of 100 steps are the CPU's to 1e-5, in one kernel a step and in many") {
  COUPLET_NEEDS_STANDIN(device);
  for (const int classes : {kFused, kPlain}) {
    for (const char* order : {"eager", "late", "11"}) {
      CAPTURE(classes);
      CAPTURE(order);
      device.Order(order);
      const HeadData data = CloudsOf(70, classes);
      TrainOptions options = ShortTraining(order[0] != 'e' ? 20 : test::Sanitized() ? 30 : 100);
      options.eval_step_interval = order[0] == 'e' ? 1 : 7;
      const auto trainer = OnDevice(data);
      const TrainResult got = TrainWith(*trainer, data, options), want = TrainOnCpu(data, options);
      CheckSameHistory(got, want);
      CHECK(Near(got.params, want.params, 1e-5));
      const HeadBatch test = DrawBatch(data.rows[2], -1, 0, 0, kStreamTest);
      const auto on_device = EvaluateBatch(*trainer, data, test);
      const auto on_cpu_trainer = MakeCpuHeadTrainer({data.features, data.classes});
      REQUIRE(on_cpu_trainer->set_params(want.params).ok());
      const auto on_cpu = EvaluateBatch(*on_cpu_trainer, data, test);
      REQUIRE(on_device.ok());
      CHECK(on_device->predicted == on_cpu->predicted);
      CHECK(Near(on_device->mean_loss, on_cpu->mean_loss, 1e-5));
    }
  }
}

TEST_CASE("cuda head trainer: after 4000 steps the accuracy is the CPU's to half a point") {
  COUPLET_NEEDS_STANDIN(device);
  const HeadData data = CloudsOf(20, kFused, 6.0);  // so wide that they overlap
  const int steps = test::Sanitized() ? 400 : 4000;
  const TrainOptions options = ShortTraining(steps);
  const auto trainer = OnDevice(data);
  const auto cpu = MakeCpuHeadTrainer({data.features, data.classes});
  const TrainResult got = TrainWith(*trainer, data, options), want = TrainWith(*cpu, data, options);
  CHECK(got.steps == steps);
  CHECK(got.history.size() == want.history.size());
  int wrong = 0;
  for (size_t split = 0; split < 3; ++split) {
    const HeadBatch batch = DrawBatch(data.rows[split], -1, 0, 0, kStreamTest);
    const auto a = EvaluateBatch(*trainer, data, batch), b = EvaluateBatch(*cpu, data, batch);
    REQUIRE((a.ok() && b.ok()));
    wrong += b->n - b->correct;
    CHECK(std::abs(a->correct - b->correct) <= 0.005 * b->n);
  }
  CHECK(wrong > 0);
}

TEST_CASE("cuda head trainer: a step alone tells logits, probabilities and result, as the CPU's does") {
  COUPLET_NEEDS_STANDIN(device);
  const HeadData data = CloudsOf(70, kFused);
  const HeadShape shape{data.features, data.classes};
  const HeadBatch batch = DrawBatch(data.rows[0], 20, 9, 0, kStreamTrain);
  const auto run = [&](HeadTrainer& trainer, std::vector<float>* logits, std::vector<float>* probabilities) {
    logits->resize(100), probabilities->resize(100);
    REQUIRE(trainer.set_vectors(data.vectors).ok());
    REQUIRE(trainer.set_params(InitialParams(shape, 1)).ok());
    for (int i = 0; i < 3; ++i) REQUIRE(trainer.step(batch.rows, batch.labels, 0.5f, {}).ok());
    const auto result = trainer.step(batch.rows, batch.labels, 0.5f, {logits->data(), probabilities->data()});
    REQUIRE(result.ok());
    return *result;
  };
  std::vector<float> got_logits, got_probabilities, want_logits, want_probabilities;
  const auto trainer = OnDevice(data);
  const auto cpu = MakeCpuHeadTrainer(shape);
  const BatchResult got = run(*trainer, &got_logits, &got_probabilities);
  const BatchResult want = run(*cpu, &want_logits, &want_probabilities);
  CHECK(Near(got.mean_loss, want.mean_loss, 1e-5));
  CHECK(got.correct == want.correct);
  CHECK(got.finite);
  for (size_t i = 0; i < 100; ++i) {
    CHECK(std::abs(got_logits[i] - want_logits[i]) <= 1e-5);
    CHECK(std::abs(got_probabilities[i] - want_probabilities[i]) <= 1e-6);
  }
  CHECK(Near(*trainer->params(), *cpu->params(), 1e-5));
}

TEST_CASE("cuda head trainer: runs of any lengths, replayed or not, give the same bits") {
  COUPLET_NEEDS_STANDIN(device);
  for (const int classes : {kFused, kPlain}) {
    CAPTURE(classes);
    const HeadData data = CloudsOf(20, classes);
    const HeadShape shape{data.features, data.classes};
    const RunPlan plan{.train = MakeBatchSource(data.rows[0], 6, kStreamTrain),
                       .validation = MakeBatchSource(data.rows[1], 5, kStreamValidation),
                       .seed = 8,
                       .learning_rate = 0.2f,
                       .steps = 40,
                       .eval_interval = 4};
    const auto take = [&](const std::vector<int>& lengths, RunResult* all) {
      const auto trainer = OnDevice(data);
      REQUIRE(trainer->set_vectors(data.vectors).ok());
      REQUIRE(trainer->set_params(InitialParams(shape, 2)).ok());
      REQUIRE(trainer->runner() != nullptr);
      REQUIRE(trainer->runner()->set_plans({&plan, 1}).ok());
      int first = 0;
      for (const int length : lengths) {
        const auto part = trainer->runner()->run(first, length);
        REQUIRE_MESSAGE(part.ok(), part.status().message());
        const RunResult& one = part->front();
        all->steps.insert(all->steps.end(), one.steps.begin(), one.steps.end());
        all->evaluations.insert(all->evaluations.end(), one.evaluations.begin(), one.evaluations.end());
        first += length;
      }
      return *trainer->params();
    };
    const auto same = [](const BatchResult& a, const BatchResult& b) {
      return a.mean_loss == b.mean_loss && a.correct == b.correct && a.finite == b.finite;
    };
    RunResult want;
    const HeadParams params = take({40}, &want);
    CHECK(want.steps.size() == 40);
    CHECK(want.evaluations.size() == 11);  // 0, 4, ..., 36, 39
    CHECK(device.Calls("cudaGraphLaunch") == 0);
    const std::vector<std::vector<int>> splits = {
        {8, 8, 8, 8, 8}, {1, 12, 27}, {4, 4, 4, 4, 4, 4, 4, 4, 4, 4}};
    for (const auto& lengths : splits) {
      RunResult got;
      CHECK(SameParams(take(lengths, &got), params));
      REQUIRE(got.steps.size() == 40);
      for (size_t i = 0; i < 40; ++i) CHECK(same(got.steps[i], want.steps[i]));
      REQUIRE(got.evaluations.size() == want.evaluations.size());
      for (size_t i = 0; i < got.evaluations.size(); ++i) {
        CHECK(got.evaluations[i].step == want.evaluations[i].step);
        CHECK(same(got.evaluations[i].train, want.evaluations[i].train));
        CHECK(same(got.evaluations[i].validation, want.evaluations[i].validation));
      }
    }
    const auto alone = OnDevice(data);
    REQUIRE(alone->set_vectors(data.vectors).ok());
    REQUIRE(alone->set_params(InitialParams(shape, 2)).ok());
    std::vector<float> logits(6 * static_cast<size_t>(classes));
    for (uint32_t i = 0; i < 40; ++i) {
      const HeadBatch batch = DrawBatch(data.rows[0], 6, 8, i, kStreamTrain);
      const auto step =
          alone->step(batch.rows, batch.labels, 0.2f, {.logits = i % 2 == 0 ? logits.data() : nullptr});
      REQUIRE(step.ok());
      CHECK(same(*step, want.steps[i]));
    }
    CHECK(SameParams(*alone->params(), params));
    // Of 5 runs of 8 the second to fourth are one graph (the fifth ends with one evaluation more), of 10 of 4
    // eight.
    CHECK(device.Calls("cudaGraphLaunch") == 3 + 8);
    CHECK(device.Calls("cudaGraphInstantiateWithFlags") == 2);
    device.Reset();
  }
}

TEST_CASE("cuda head trainer: where a capture is refused training goes on without it") {
  COUPLET_NEEDS_STANDIN(device);
  const HeadData data = CloudsOf(10, kFused);
  const auto params = [&] {
    const auto trainer = OnDevice(data);
    const Status status = FourRuns(*trainer, data);
    REQUIRE_MESSAGE(status.ok(), status.message());
    return *trainer->params();
  };
  const HeadParams want = params();
  CHECK(device.Calls("cudaGraphLaunch") == 2);
  for (const char* call :
       {"cudaStreamBeginCapture", "cudaStreamEndCapture", "cudaGraphInstantiateWithFlags"}) {
    CAPTURE(call);
    device.Reset();
    device.Fail(call + std::string(":1"));
    CHECK(SameParams(params(), want));
    CHECK(device.Calls("cudaGraphLaunch") == 0);
    CHECK(device.Calls(call) == 1);
  }
}

TEST_CASE("cuda head trainer: vectors that move make what was captured void") {
  COUPLET_NEEDS_STANDIN(device);
  HeadData data = CloudsOf(20, kFused);
  const auto trainer = OnDevice(data);
  const RunPlan plan{.train = MakeBatchSource(data.rows[0], 6, kStreamTrain),
                     .validation = {},
                     .seed = 8,
                     .learning_rate = 0.2f,
                     .steps = 90,
                     .eval_interval = 100};
  const auto losses = [&] {
    REQUIRE(trainer->set_params(InitialParams({20, kFused}, 2)).ok());
    REQUIRE(trainer->runner()->set_plans({&plan, 1}).ok());
    std::vector<double> all;
    for (int first = 1; first < 81; first += 20) {
      if (first == 61) {  // a larger set, with the same vectors at its start
        data.vectors.resize(data.vectors.size() * 3, 0.5f);
        REQUIRE(trainer->set_vectors(data.vectors).ok());
      }
      const auto run = trainer->runner()->run(first, 20);
      REQUIRE(run.ok());
      for (const BatchResult& step : run->front().steps) all.push_back(step.mean_loss);
    }
    return all;
  };
  REQUIRE(trainer->set_vectors(data.vectors).ok());
  const std::vector<double> moved = losses();
  CHECK(device.Calls("cudaGraphLaunch") == 2);
  CHECK(losses() == moved);
}

TEST_CASE("cuda head trainer: whole splits, no validation photos, evaluation in parts") {
  COUPLET_NEEDS_STANDIN(device);
  for (const int classes : {kFused, kPlain}) {
    CAPTURE(classes);
    HeadData data = CloudsOf(9, classes);
    TrainOptions options = ShortTraining(7);
    options.train_batch_size = options.validation_batch_size = -1;
    options.eval_step_interval = 5;
    CheckSameHistory(TrainWith(*OnDevice(data), data, options), TrainOnCpu(data, options));
    for (auto& rows : data.rows[1]) rows.clear();
    options.train_batch_size = 9;
    CheckSameHistory(TrainWith(*OnDevice(data), data, options), TrainOnCpu(data, options));
  }
  const HeadShape shape{2, 3};
  std::vector<float> vectors;
  std::vector<uint32_t> rows;
  std::vector<int32_t> labels;
  for (uint32_t i = 0; i < 4500; ++i) {
    vectors.push_back(static_cast<float>(i % 7)), vectors.push_back(static_cast<float>(i % 11));
    rows.push_back(i), labels.push_back(static_cast<int32_t>(i % 3));
  }
  std::vector<float> got_logits(3 * 4500), want_logits(3 * 4500);
  const auto evaluate = [&](HeadTrainer& trainer, std::vector<float>* logits) {
    REQUIRE(trainer.set_vectors(vectors).ok());
    REQUIRE(trainer.set_params({{1, 2, -1, -2, 1, 0.5f}, {0, 1, 2}}).ok());
    const auto result = trainer.evaluate(rows, labels, {.logits = logits->data()});
    REQUIRE(result.ok());
    return *result;
  };
  const BatchResult got = evaluate(*OnDevice(shape), &got_logits);
  const BatchResult want = evaluate(*MakeCpuHeadTrainer(shape), &want_logits);
  CHECK(got_logits == want_logits);
  CHECK(got.correct == want.correct);
  CHECK(Near(got.mean_loss, want.mean_loss, 1e-5));
}

TEST_CASE("cuda head trainer: training that leaves the finite numbers ends where the CPU's does") {
  COUPLET_NEEDS_STANDIN(device);
  for (const int classes : {kFused, kPlain}) {
    CAPTURE(classes);
    HeadData data = CloudsOf(40, classes);
    TrainOptions options = ShortTraining(60);
    options.learning_rate = 3e38;
    const TrainResult wild = TrainWith(*OnDevice(data), data, options);
    CHECK(wild.stopped.code() == Code::kDiverged);
    CHECK(wild.steps < 60);
    for (const float w : wild.params.weights) CHECK(std::isfinite(w));
    // A vector that is not finite ends it at the first batch that draws it.
    options.learning_rate = 0.1;
    const uint32_t strange = LatestDrawn(data, options);
    data.vectors[strange * 40 + 39] = std::nanf("");
    const TrainResult got = TrainWith(*OnDevice(data), data, options), want = TrainOnCpu(data, options);
    CHECK(want.stopped.code() == Code::kDiverged);
    CHECK(want.steps > 10);
    CheckSameHistory(got, want);
    CHECK(Near(got.params, want.params, 1e-5));
    // Step by step: the parameters stay, bit for bit.
    const auto trainer = OnDevice(data);
    const HeadParams before = InitialParams({40, classes}, 0);
    REQUIRE(trainer->set_vectors(data.vectors).ok());
    REQUIRE(trainer->set_params(before).ok());
    const std::vector<uint32_t> rows = {0, strange};
    const std::vector<int32_t> labels = {0, 1};
    const auto step = trainer->step(rows, labels, 0.1f, {});
    REQUIRE(step.ok());
    CHECK_FALSE(step->finite);
    CHECK(SameParams(*trainer->params(), before));
  }
}

const long kStride = test::Sanitized() ? 7 : 1;

TEST_CASE("cuda head trainer: every call that fails ends in one clear line, and nothing is left behind") {
  COUPLET_NEEDS_STANDIN(device);
  for (const int classes : {kFused, kPlain}) {
    const HeadData data = CloudsOf(10, classes);
    const auto all = [&]() -> Status {
      COUPLET_ASSIGN_OR_RETURN(const auto backend, OpenStandinBackend());
      COUPLET_ASSIGN_OR_RETURN(const auto trainer, backend->make_head_trainer({data.features, data.classes}));
      COUPLET_RETURN_IF_ERROR(FourRuns(*trainer, data));
      const HeadBatch test = DrawBatch(data.rows[2], 3, 0, 0, kStreamTest);
      COUPLET_ASSIGN_OR_RETURN([[maybe_unused]] const Evaluation evaluation,
                               EvaluateBatch(*trainer, data, test));
      COUPLET_ASSIGN_OR_RETURN([[maybe_unused]] const BatchResult step,
                               trainer->step(test.rows, test.labels, 0.1f, {}));
      return trainer->params().status();
    };
    device.Reset();
    REQUIRE(all().ok());
    const long calls = device.Calls("*");
    int failed = 0;
    // Under a sanitizer every seventh call, another one for each kind of head.
    for (long n = 1 + classes % kStride; n <= calls; n += kStride) {
      CAPTURE(n);
      device.Reset();
      const std::string alive = device.Alive();
      device.Fail("*:" + std::to_string(n));
      CapturedErrors errors;
      const Status status = all();
      CHECK(errors.Lines().size() <= 4);
      CHECK(device.Alive() == alive);
      if (status.ok()) continue;  // a call that lets go; its failure is logged
      ++failed;
      CHECK((status.code() == Code::kDevice || status.code() == Code::kOutOfMemory));
      CHECK(status.message().size() > 20);
      CHECK(status.message().find('\n') == std::string::npos);
    }
    CHECK(failed > 50 / kStride);
  }
  device.Reset();
}

TEST_CASE("cuda head: its memory counts towards the limit") {
  COUPLET_NEEDS_STANDIN(device);
  const HeadShape shape{256, 3};
  const std::vector<float> vectors(size_t{256} * 8192, 0.5f);  // 8 MB
  for (const int limit_mb : {4, 12, 32}) {
    CAPTURE(limit_mb);
    CudaOptions options;
    options.memory_limit_bytes = static_cast<size_t>(limit_mb) << 20;
    const auto backend = OpenStandinBackend(options);
    REQUIRE(backend.ok());
    const auto trainer = (*backend)->make_head_trainer(shape);  // 8 MB for cuBLAS, and little more
    const Status status = trainer.ok() ? (*trainer)->set_vectors(vectors) : trainer.status();
    CHECK(trainer.ok() == (limit_mb > 4));
    CHECK(status.ok() == (limit_mb > 12));
    if (status.ok()) continue;
    CHECK(status.code() == Code::kOutOfMemory);
    CHECK_HAS(status.message(), "8 MB of device memory: the limit of " + std::to_string(limit_mb) + " MB leaves");
  }
}
