// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>

#include "bus/stream/stream.h"

// Streams that go wrong where a test wants it.

namespace orch::testing {

struct Faults {
  static constexpr size_t kNever = ~size_t{0};
  size_t read_max = kNever;         // split: at most so many bytes a read
  size_t cut_after_read = kNever;   // the connection is gone after so many bytes read
  size_t cut_after_wrote = kNever;  // … or written, in the middle of a write if it falls there
};

std::unique_ptr<bus::Stream> NewFaultyStream(std::unique_ptr<bus::Stream> inner, Faults faults);

// Makes each stream of `inner` go wrong.
std::shared_ptr<bus::StreamFactory> NewFaultyStreams(std::shared_ptr<bus::StreamFactory> inner,
                                                     Faults faults);

}  // namespace orch::testing
