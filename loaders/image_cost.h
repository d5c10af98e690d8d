// How much memory an image will take, read off its first bytes, so that many threads decoding at once stay
// within a budget. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "loaders/image.h"

namespace couplet {

// Bytes that DecodeImage allocates at its peak, the result included, rounded up generously; little for what
// it refuses. Takes no time to speak of.
size_t DecodeCostBytes(std::span<const uint8_t> bytes, const DecodeOptions& options);

}  // namespace couplet
