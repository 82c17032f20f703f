// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace orch::nodeagent {

// `text` as UTF-8 of at most `max` bytes without control characters but line feeds and tabs:
// protobuf refuses other text, and what Puppet prints may be anything.
std::string CleanText(absl::string_view text, size_t max);

}  // namespace orch::nodeagent
