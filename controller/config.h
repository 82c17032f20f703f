// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "controller/config.pb.h"

// The controller's configuration, read from YAML, checked, with every default filled in, so that
// nobody downstream knows a default of its own. Pure but for reading the file.

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
