// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"

// Reads the files that describe a node for `orchctl target test`.

namespace orch::cli {

inline constexpr size_t kFactsTextMax = 16 << 20;

// The content of the file `path`, or of standard input for `-`. NotFound: there is no such file.
// InvalidArgument: it is too large, or not a file.
absl::StatusOr<std::string> ReadInput(const std::string& path);

// Facts as a node reads them: `name=value` lines, JSON or YAML by the ending of `path`; where it
// has none of these, JSON and YAML are told apart by the first character. InvalidArgument.
absl::StatusOr<nlohmann::json> ParseFacts(const std::string& path, const std::string& text);

}  // namespace orch::cli
