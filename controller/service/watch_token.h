// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "controller/context/dispatcher_api.h"

// Resume tokens of watches. Pure.

namespace orch::controller {

// `<process>-<revision>`, both hexadecimal.
std::string TokenOf(const WatchCursor& cursor);
// Empty: the beginning. InvalidArgument on `field`: not a token that TokenOf made.
absl::StatusOr<WatchCursor> CursorOf(absl::string_view field, absl::string_view token);

}  // namespace orch::controller
