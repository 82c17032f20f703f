// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// A node as files describe it, for `orchctl target test`.

namespace orch::cli {

// Facts of one file; mappings and lists within each other, as deep as nodes keep them.
inline constexpr size_t kFactsTextMax = 16 << 20;
inline constexpr int kFactsDepthMax = 24;
inline constexpr size_t kFactValuesMax = 200'000;

// `path`, or standard input for `-`. NotFound, InvalidArgument (too large, not a file).
absl::StatusOr<std::string> ReadInput(const std::string& path);

// A JSON object, or a YAML mapping: told apart by the first character. InvalidArgument says where
// it is neither.
absl::StatusOr<nlohmann::json> ParseFacts(const std::string& text);

// One class a line, sorted; empty lines and `#` comments are none.
std::vector<std::string> ParseClasses(absl::string_view text);

}  // namespace orch::cli
