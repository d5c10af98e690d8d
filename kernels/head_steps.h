// Many training steps of a small last layer without a word from the host, one kernel a step.
//
// Block k owns features [64 k, 64 k + 64) of the weights. Launch j finishes step j - 1 and begins step j:
// every block adds the logits' partial sums that the launch before left (in the order of the blocks), makes
// softmax and slopes for itself, updates its own weights, and leaves its partial sums of the next batch's
// logits. So the only thing blocks wait for is the end of a launch: no barrier across blocks, no atomics on
// floats, and one launch a step where matrix products and reductions apart take seven. A graph of captured
// launches replays them without the host. A run's evaluations ride along as further rows of a launch.
//
// Several heads, of one shape and on the same vectors, share the launches: row h of blocks is head h's, with weights, batches and
// a learning rate of its own. Rows tell each other nothing, so a head's bits are those it has alone; and as no
// block waits for another, it does not matter how many of them the device holds at a time.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/head_result.h"
#include "kernels/launch.h"

namespace couplet {

constexpr int kHeadStepsMaxClasses = 32;
constexpr int kHeadStepsMaxHeads = 32;

struct HeadStepsShape {
  int features;  // >= 1
  int classes;   // 1 to kHeadStepsMaxClasses
};

// Heads of one shape, trained side by side.
struct HeadStepsHeads {
  int count;         // 1 to kHeadStepsMaxHeads
  uint32_t stopped;  // bit h: head h is left as it is, and its results are not written
  int results;       // from one head's results to the next one's
  float learning_rates[kHeadStepsMaxHeads];
};

// A batch of each head: rows of the vectors, their labels, and where its result goes. Pointers are head 0's.
struct HeadStepsBatch {
  const uint32_t* rows;   // [n]
  const int32_t* labels;  // [n]
  int n;                  // 0: no batch
  int stride;             // elements from one head's rows (labels) to the next one's
  HeadResult* result;     // HeadStepsHeads::results apart
};

// What is looked at after a step's update, with the updated parameters.
struct HeadStepsEvaluation {
  int after;  // index of the step in the run
  HeadStepsBatch batches[2];
};

struct HeadStepsRun {
  int count;             // steps, >= 1
  HeadStepsBatch first;  // of step 0, n >= 1
  int64_t row_stride;    // elements from a step's rows (labels) to the next one's; results are 1 apart
  const HeadStepsEvaluation* evaluations;  // host memory, ascending, at most one a step
  int evaluation_count;
};

// Whether the current device's shared memory holds a block's share; else take matrix products.
bool HeadStepsFit(const HeadStepsShape& shape);

// Floats of scratch: for launches of up to `rows` rows a head, a step's batch and the two of an evaluation
// together.
int64_t HeadStepsScratchFloats(const HeadStepsShape& shape, int rows, int heads);

// How many of `heads` one run's launches take within so much scratch; 0: not even one.
int HeadStepsTogether(const HeadStepsShape& shape, int rows, int heads, int64_t scratch_floats);

// vectors [any count, features]; weights [heads, features, classes] and biases [heads, classes], updated in
// place by the end; `scratch`: HeadStepsScratchFloats(shape, rows, heads.count) floats. Each step's result is
// of its forward pass. From a head's first step on that is not finite (HeadResult::finite) nothing of that
// head changes: its parameters are those before it, and its later results, evaluations too, have finite = 0.
// run.count + 2 launches (one more where the last step is evaluated), however many heads.
LaunchResult LaunchHeadSteps(const HeadStepsShape& shape, const HeadStepsHeads& heads, const HeadStepsRun& run,
                             const float* vectors, float* weights, float* biases, float* scratch, int rows,
                             DeviceStream stream);

}  // namespace couplet
