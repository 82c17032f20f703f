// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "orch/v1/job.pb.h"

// Quantities: a number of nodes, `10`, or a percentage of them, `25%`. Pure.

namespace orch::api {

// Reads what people type. InvalidArgument unless it is a whole number above 0, or a percentage
// above 0 and at most 100 (`12.5%` too, to thousandths).
absl::StatusOr<orch::v1::Quantity> ParseQuantity(absl::string_view text);
// What ParseQuantity reads as the same.
std::string QuantityText(const orch::v1::Quantity& quantity);
// How many of `of` nodes that is, at most `of`. A percentage is rounded down, but to at least 1
// where there is a node at all. InvalidArgument that names `field`: it is not a quantity.
absl::StatusOr<uint32_t> ResolveQuantity(const orch::v1::Quantity& quantity, uint32_t of,
                                         absl::string_view field);

}  // namespace orch::api
