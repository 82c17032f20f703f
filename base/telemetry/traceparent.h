// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

// The `traceparent` of W3C Trace Context (https://www.w3.org/TR/trace-context/, 3.2): it ties what
// a caller did to what came of it, in every log on the way. Pure.

namespace orch::base {

// A position in a trace; the default is none.
struct Traceparent {
  std::string trace_id;  // 32 lower-case hex digits; empty: there is no trace
  std::string span_id;   // 16
  uint8_t flags = 0;     // 1: sampled; 2: the trace id is random

  bool has_value() const { return !trace_id.empty(); }
  // The header in version 00, the highest that we speak; empty: none.
  std::string ToString() const;
};

// Version 00 exactly, and of later versions what 00 knows of them, as the standard has it. Anything
// else (a wrong length, upper case, ids of zeros, version ff) is none: a caller's mistake here
// never costs the call.
Traceparent ParseTraceparent(absl::string_view header);

// The span within `parent` that `name` stands for: the same trace and flags, another span id, which
// follows from the two alone, so it is the same after a restart. None of none.
Traceparent ChildSpan(const Traceparent& parent, absl::string_view name);

}  // namespace orch::base
