// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace orch::target {

// The value of `--limit`: a number of nodes, `10`, or a percentage of them, `25%`.
class Limit {
 public:
  // InvalidArgument unless a whole number above 0, or a percentage above 0 and at most 100 (`12.5%`
  // too, to thousandths).
  static absl::StatusOr<Limit> Parse(absl::string_view text);

  // How many of `total` nodes the limit allows. A percentage is rounded down, but to at least 1
  // where there is a node at all.
  size_t Of(size_t total) const;

 private:
  uint32_t count_ = 0;        // 0: a percentage
  uint64_t thousandths_ = 0;  // of a percent: 100,000 is all
};

}  // namespace orch::target
