// A training on its way, in a file: what --resume goes on from. Beside it stand the conditions it was made under, so that
// it is never taken for another training's.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "models/training.h"
#include "runtime/status.h"

namespace couplet {

// Everything that decides a training's bits, as text: name (of the flag, where it is one) and value, without line breaks.
using TrainConditions = std::vector<std::pair<std::string, std::string>>;

// Old or new, never half (loaders/files.h), with a checksum over all of it.
Status WriteCheckpoint(const std::string& path, const TrainState& state, const TrainConditions& conditions);

// kIo: it cannot be read. kBadInput: it is damaged or no checkpoint, of another shape, or made under other conditions;
// the line says which.
Result<TrainState> ReadCheckpoint(const std::string& path, const HeadShape& shape,
                                  const TrainConditions& conditions);

}  // namespace couplet
