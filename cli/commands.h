// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>

#include "cli/options.h"

// The command tree: one function for each group of commands, each in a file of its own. A command's
// callback only sets Session::run; main calls that after parsing.

namespace orch::cli {

void AddFindCommands(CLI::App& app, Session& session);      // ping, find
void AddFactsCommand(CLI::App& app, Session& session);      // facts
void AddInventoryCommand(CLI::App& app, Session& session);  // inventory
void AddNodeCommands(CLI::App& app, Session& session);      // node
void AddPuppetCommands(CLI::App& app, Session& session);    // puppet
void AddJobCommands(CLI::App& app, Session& session);       // run, job
void AddJobList(CLI::App* job, Session& session);           // job list
void AddJobShow(CLI::App* job, Session& session);           // job show, logs, wait, diff
void AddPolicyCommands(CLI::App& app, Session& session);    // policy, explain
void AddTargetCommands(CLI::App& app, Session& session);    // target, explain target
void AddAuditCommands(CLI::App& app, Session& session);     // audit
void AddBrokerCommands(CLI::App& app, Session& session);    // broker
void AddSetupCommands(CLI::App& app, Session& session);     // doctor, context, completion, version

}  // namespace orch::cli
