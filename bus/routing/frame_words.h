// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/text.h"
#include "bus/stomp/frame.h"

// How the broker's verbs read a client's frame and speak of it in errors. Pure.

namespace orch::bus {

// Bytes of a client's own text that an error repeats.
inline constexpr size_t kShownMax = 128;

// The client's own words, cut, so that its ERROR and our log stay readable.
inline absl::string_view Shown(absl::string_view text) { return base::CutUtf8(text, kShownMax); }

// The error for a frame that breaks STOMP's rules.
inline absl::Status Wrong(absl::string_view text) { return absl::InvalidArgumentError(text); }

// The value of a header that must be there. InvalidArgument: it is not, or is empty.
inline absl::StatusOr<std::string> Require(const Frame& frame, absl::string_view name) {
  const std::string* value = frame.Find(name);
  if (value == nullptr || value->empty()) {
    return Wrong(absl::StrCat(frame.command, " without ", name, " header"));
  }
  return *value;
}

}  // namespace orch::bus
