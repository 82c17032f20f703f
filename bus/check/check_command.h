// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>

#include "bus/check/check.pb.h"

// The command `orch-broker check`: it takes flags and configuration files and prints a table or
// JSON.

namespace orch::bus {

// The flags that say with which identity and credentials a role is tried.
struct CheckRoleFlags {
  std::string config, cert, key, login, passcode_file, name;
  bool given() const {
    return !config.empty() || !cert.empty() || !key.empty() || !login.empty() ||
           !passcode_file.empty();
  }
};

struct CheckFlags {
  std::string broker, flavour, prefix, collective, other_collective;
  std::string ca, crl, server_name, virtual_host;
  std::string timeout = "5s";
  std::string output = "table";
  bool plaintext = false;
  std::map<CheckRole, CheckRoleFlags> roles;
};

// Adds the subcommand; `flags` must live as long as `app`.
CLI::App* AddCheckCommand(CLI::App* app, CheckFlags* flags);

// The exit code: 0 no surprise, 1 surprises, 4 the broker can't be reached, 64 wrong flags or
// files.
int RunCheckCommand(const CheckFlags& flags);

}  // namespace orch::bus
