// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "controller/config.pb.h"

// Reads the controller's configuration from YAML, checks it and fills in every default, so that no
// other part knows a default of its own. Pure, apart from reading the file.

namespace orch::controller {

// InvalidArgument, NotFound, PermissionDenied with the file (and line) in the message.
absl::StatusOr<ControllerConfig> LoadConfig(const std::string& path);

// What LoadConfig does after reading: checks, then fills in defaults. `name` stands for the file in
// errors.
absl::Status CompleteConfig(const std::string& name, ControllerConfig* config);

// Whether the broker runs in this process.
bool HasOwnBroker(const ControllerConfig& config);

// `state_dir`/orch.db and `state_dir`/audit.jsonl.
std::string StorePath(const ControllerConfig& config);
std::string AuditPath(const ControllerConfig& config);

}  // namespace orch::controller
