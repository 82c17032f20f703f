// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "cli/config.pb.h"
#include "cli/options.h"

// Contexts: which controller, as whom. Flags win over ORCHCTL_* variables, these over the
// configuration file.

namespace orch::cli {

// ${ORCHCTL_CONFIG:-${XDG_CONFIG_HOME:-~/.config}/orchctl/config.yaml}
std::string ConfigPath();
// The empty configuration if there is no file. InvalidArgument names file and line.
absl::StatusOr<Config> LoadConfig();
absl::Status SaveConfig(const Config& config);
// A path with a leading `~/` below the home directory.
std::string ExpandHome(const std::string& path);
// `host:port` with a port from 1 to 65535; brackets around an IPv6 address. InvalidArgument
// otherwise.
absl::Status CheckServer(const std::string& server);
// The context that flags, environment and file come to. InvalidArgument says what is missing and
// how to give it; FailedPrecondition: no controller is configured at all.
absl::StatusOr<Context> ResolveContext(const GlobalOptions& options);

}  // namespace orch::cli
