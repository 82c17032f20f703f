// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "nodeagent/puppet_paths.h"

// The calls of the target language that only a node can answer, from files alone, in milliseconds;
// field names are MCollective's, or the API's. NotFound: no such field, with those there are.
// Thread-safe.

namespace orch::nodeagent {

// Files above it are not hashed.
inline constexpr size_t kFstatHashMax = 8 << 20;

// `puppet().field`. Unknown (DataLoss) where the last run's summary is damaged.
absl::StatusOr<nlohmann::json> AnswerPuppet(const PuppetPaths* paths, const std::string& field,
                                            absl::Time now);

// `resource('File[/srv]').field`: whether the last catalog manages it, and the last run's counts.
absl::StatusOr<nlohmann::json> AnswerResource(const PuppetPaths* paths, const std::string& resource,
                                              const std::string& field, absl::Time now);

// `fstat('/srv/x').field`; PermissionDenied unless the path is below one of `allowed`, symbolic
// links followed.
absl::StatusOr<nlohmann::json> AnswerFstat(const std::vector<std::string>& allowed,
                                           const std::string& path, const std::string& field,
                                           absl::Time now);

}  // namespace orch::nodeagent
