// Whether a layer's attributes lead from its sources to its result: what every backend asks before it
// prepares one.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "runtime/graph.h"
#include "runtime/status.h"

namespace couplet {

// `src`: shapes of the sources; their n does not matter. The error names the layer and says what does not
// fit.
Status CheckLayer(const Layer& layer, std::span<const Shape> src);

// Whether an average pool is the mean over the whole picture.
bool IsGlobalAverage(const PoolAttrs& pool, const Shape& src);

}  // namespace couplet
