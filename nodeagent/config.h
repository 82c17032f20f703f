// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "nodeagent/config.pb.h"

namespace orch::nodeagent {

inline constexpr char kConfigPathDefault[] = "/etc/orch/nodeagent.yaml";
inline constexpr int kControllersMax = 64;
inline constexpr int kCollectivesMax = 32;

// Reads the YAML file, fills in defaults and checks every value by itself. Files that the
// configuration names are not looked at; whoever uses them does that. Errors name file, line (where
// there is one) and field.
absl::StatusOr<NodeAgentConfig> LoadConfig(const std::string& path);
// Does the same for `text`; `name` stands for the file in errors.
absl::StatusOr<NodeAgentConfig> ParseConfig(absl::string_view text, const std::string& name);

}  // namespace orch::nodeagent
