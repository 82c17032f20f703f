// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

// Facts and classes as they stand in files. Calls block. Thread-safe.

namespace orch::nodeagent {

// Values of one file, counted with what YAML aliases stand for.
inline constexpr size_t kFactValuesMax = 200'000;
// Mappings and lists within each other: each costs three levels of protobuf's hundred on its way to
// the API.
inline constexpr int kFactsDepthMax = 24;
// Files of one directory that are read.
inline constexpr size_t kFactFilesMax = 1000;

// A `.json`, `.yaml` or `.yml` file with a mapping, or a `.txt` file with lines `name=value`.
// InvalidArgument: its content is not that; ResourceExhausted: it is too large.
absl::StatusOr<nlohmann::json> ReadFactsFile(const std::string& path, size_t max);
absl::StatusOr<nlohmann::json> ParseYamlFacts(const std::string& text);

// JSON text, nested at most kFactsDepthMax deep; InvalidArgument for other text.
absl::StatusOr<nlohmann::json> ParseJsonFacts(const std::string& text);

// The files of a facts.d directory that ReadFactsFile knows, by name; executables are left out.
absl::StatusOr<std::vector<std::string>> FactFilesIn(const std::string& directory);

// One class a line, sorted, without doubles. NotFound where there is no file.
absl::StatusOr<std::vector<std::string>> ReadClasses(const std::string& path);

// Removes the facts that `pattern` names: a dotted path, `*` for any key.
void RemoveFact(nlohmann::json* facts, const std::string& pattern);
// Facts that change all the time, as Facter names them.
std::vector<std::string> DefaultVolatileFacts();

}  // namespace orch::nodeagent
