// SPDX-License-Identifier: Apache-2.0
#include "kernels/head_steps.cuh"

namespace couplet {

namespace {

int64_t RoundUp(int64_t floats) {
  return (floats + 3) / 4 * 4;
}

// Cuts the next piece off the scratch; with a null scratch only the count moves.
struct Cutter {
  float* scratch;
  int64_t used;
  float* Take(int64_t floats) {
    float* const piece = scratch == nullptr ? nullptr : scratch + used;
    used += RoundUp(floats);
    return piece;
  }
};

int Blocks(const HeadStepsShape& shape) {
  return CeilDiv(shape.features, kHeadFeatures);
}

HeadState CutState(const HeadStepsShape& shape, int rows, int heads, Cutter* cutter) {
  const int64_t all = heads;
  HeadState state;
  state.weights = cutter->Take(all * shape.features * shape.classes);
  state.biases = cutter->Take(all * shape.classes);
  state.partials = cutter->Take(all * Blocks(shape) * rows * shape.classes);
  state.flags = reinterpret_cast<int32_t*>(cutter->Take(all * (1 + Blocks(shape))));
  return state;
}

const HeadStepsBatch kNoBatch = {nullptr, nullptr, 0, 0, nullptr};

HeadStepsBatch BatchOf(const HeadStepsRun& run, int step) {
  if (step < 0 || step >= run.count) return kNoBatch;
  HeadStepsBatch batch = run.first;
  batch.rows += step * run.row_stride;
  batch.labels += step * run.row_stride;
  batch.result += step;
  return batch;
}

// The evaluation after `step`, or null.
const HeadStepsEvaluation* EvaluationAfter(const HeadStepsRun& run, int step) {
  for (int i = 0; i < run.evaluation_count; ++i)
    if (run.evaluations[i].after == step) return &run.evaluations[i];
  return nullptr;
}

// What launch `launch` begins: its step's batch, and the evaluations after the step that it finishes.
void Begin(const HeadStepsRun& run, int launch, HeadStepsBatch* batches) {
  batches[0] = BatchOf(run, launch);
  const HeadStepsEvaluation* const evaluation = EvaluationAfter(run, launch - 1);
  for (int i = 0; i < 2; ++i) batches[1 + i] = evaluation == nullptr ? kNoBatch : evaluation->batches[i];
}

bool IsShape(const HeadStepsShape& shape) {
  return shape.features >= 1 && shape.classes >= 1 && shape.classes <= kHeadStepsMaxClasses;
}

size_t SharedBytes(const HeadStepsShape& shape) {
  return static_cast<size_t>(MakeHeadLayout(shape.classes).total) * sizeof(float);
}

bool Fits(const HeadStepsShape& shape, const HeadStepsHeads& heads, const HeadStepsRun& run, int rows) {
  if (!IsShape(shape) || heads.count < 1 || heads.count > kHeadStepsMaxHeads) return false;
  if (run.count < 1 || run.first.n < 1 || run.first.n > rows) return false;
  for (int i = 0; i < run.evaluation_count; ++i) {
    const HeadStepsBatch* const batches = run.evaluations[i].batches;
    if (run.first.n + batches[0].n + batches[1].n > rows) return false;
  }
  return true;
}

}  // namespace

bool HeadStepsFit(const HeadStepsShape& shape) {
  return IsShape(shape) && SharedBytes(shape) <= SharedLimit();
}

int64_t HeadStepsScratchFloats(const HeadStepsShape& shape, int rows, int heads) {
  Cutter cutter = {nullptr, 0};
  for (int i = 0; i < 2; ++i) CutState(shape, rows, heads, &cutter);
  return cutter.used;
}

int HeadStepsTogether(const HeadStepsShape& shape, int rows, int heads, int64_t scratch_floats) {
  const int64_t fit = scratch_floats / HeadStepsScratchFloats(shape, rows, 1);
  const int most = heads < kHeadStepsMaxHeads ? heads : kHeadStepsMaxHeads;
  return fit < most ? static_cast<int>(fit) : most;
}

LaunchResult LaunchHeadSteps(const HeadStepsShape& shape, const HeadStepsHeads& heads, const HeadStepsRun& run,
                             const float* vectors, float* weights, float* biases, float* scratch, int rows,
                             DeviceStream stream) {
  if (!Fits(shape, heads, run, rows)) return kLaunchInvalidValue;
  Cutter cutter = {scratch, 0};
  HeadStepArgs args = {};
  args.shape = shape;
  args.heads = heads;
  args.vectors = vectors;
  for (HeadState& state : args.states) state = CutState(shape, rows, heads.count, &cutter);
  const dim3 grid(static_cast<unsigned>(Blocks(shape)), static_cast<unsigned>(heads.count)), block(kHeadThreads);
  const int launches = run.count + 1 + (EvaluationAfter(run, run.count - 1) != nullptr ? 1 : 0);
  for (int launch = 0; launch < launches; ++launch) {
    args.from = launch == 0 ? -1 : (launch - 1) % 2;
    args.to = launch % 2;
    args.weights = launch == 0 ? weights : args.states[args.from].weights;
    args.biases = launch == 0 ? biases : args.states[args.from].biases;
    args.updated = launch < 2 ? nullptr : run.first.result + (launch - 2);
    for (int i = 0; i < 3; ++i) args.finish[i] = launch == 0 ? kNoBatch : args.begin[i];
    Begin(run, launch, args.begin);
    const LaunchResult result = Launch(HeadStepKernel, grid, block, SharedBytes(shape), stream, args);
    if (result != kLaunchOk) return result;
  }
  args.from = (launches - 1) % 2;
  args.to = launches % 2;
  args.updated = launches - 2 < run.count ? run.first.result + (launches - 2) : nullptr;
  for (HeadStepsBatch& batch : args.finish) batch = kNoBatch;
  return Launch(HeadEndKernel, grid, block, 0, stream, args, weights, biases);
}

}  // namespace couplet
