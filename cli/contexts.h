// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "cli/config.pb.h"
#include "cli/options.h"

// Contexts: which controller is called, and with which certificate. Flags win over the variables
// ORCHCTL_*, and these win over the configuration file.

namespace orch::cli {

// The path of the configuration file:
// ${ORCHCTL_CONFIG:-${XDG_CONFIG_HOME:-~/.config}/orchctl/config.yaml}.
std::string ConfigPath();
// Reads the configuration; without a file it is empty. InvalidArgument names file and line.
absl::StatusOr<Config> LoadConfig();
absl::Status SaveConfig(const Config& config);
// The path with a leading `~/` replaced by the home directory.
std::string ExpandHome(const std::string& path);
// The path as it is kept in the configuration file, which is read from any directory: absolute. An
// empty one and one that begins with `~/` stay as they are.
std::string KeptPath(const std::string& path);
// Checks for `host:port` with a port from 1 to 65535 and brackets around an IPv6 address.
// InvalidArgument: it is something else.
absl::Status CheckServer(const std::string& server);
// The context that flags, environment and file make together. InvalidArgument says what is missing
// and how to give it. FailedPrecondition: no controller is configured at all.
absl::StatusOr<Context> ResolveContext(const GlobalOptions& options);

}  // namespace orch::cli
