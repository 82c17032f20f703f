// SPDX-License-Identifier: Apache-2.0
// orchctl: wires the command tree, the terminal and the exit code; decides nothing.
#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <clocale>
#include <cstdlib>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/log.h"
#include "base/version.h"
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/contexts.h"
#include "cli/failure.h"
#include "cli/options.h"

namespace orch::cli {
namespace {

void AddGlobalOptions(CLI::App& app, GlobalOptions& o) {
  const std::string group = "Everywhere";
  const auto text = [&](const char* names, std::string& value, const char* help) {
    app.add_option(names, value, help)->group(group);
  };
  text("--context", o.context, "which controller, as whom; see `orchctl context`");
  text("--server", o.server, "the controller, HOST:PORT");
  text("--ca", o.ca, "the CA's certificates");
  text("--cert", o.cert, "my certificate");
  text("--key", o.key, "my private key");
  text("--server-name", o.server_name, "the name in the controller's certificate");
  app.add_flag("--insecure-loopback", o.insecure_loopback, "no TLS, on this machine only")
      ->group(group);
  text("--timeout", o.timeout, "how long nodes may take, for example 90s");
  app.add_option("-o,--output", o.output, "table, wide, json, jsonl, yaml or name")
      ->group(group)
      ->check(CLI::IsMember({"table", "wide", "json", "jsonl", "yaml", "name"}));
  app.add_flag("--no-headers", o.no_headers, "tables without their first line")->group(group);
  app.add_flag("-q,--quiet", o.quiet, "only what is worth attention")->group(group);
  app.add_flag("-v,--verbose", o.verbose, "errors with all their details")->group(group);
  app.add_option("--color", o.color, "auto, always or never")
      ->group(group)
      ->check(CLI::IsMember({"auto", "always", "never"}));
  app.add_flag("--no-progress", o.no_progress, "no live lines")->group(group);
  app.add_flag("--no-input", o.no_input, "never ask")->group(group);
  app.add_flag("-y,--yes", o.yes, "don't ask; needs --expect-nodes or --at-most for many nodes")
      ->group(group);
  app.add_option("--expect-nodes", o.expect_nodes, "refuse unless exactly so many nodes are meant")
      ->group(group)
      ->check(CLI::Range(1, 1000000));
  app.add_option("--at-most", o.at_most, "refuse if more nodes are meant")
      ->group(group)
      ->check(CLI::Range(1, 1000000));
  app.add_flag("--dry-run", o.dry_run, "say which nodes are meant and send nothing")->group(group);
  text("--idempotency-key", o.idempotency_key, "the same key and request are the same job");
  text("--tolerate", o.tolerate, "forgive outcomes: disabled,running,no-response:N|P%");
  text("--reason", o.reason, "why, for the audit");
}

Terminal TheTerminal() {
  Terminal terminal{std::cout, std::cerr};
  terminal.out_is_tty = isatty(STDOUT_FILENO) != 0;
  // A dumb terminal can't go back in its line: it gets the plain progress of a file.
  const char* term = std::getenv("TERM");
  terminal.err_is_tty =
      isatty(STDERR_FILENO) != 0 && term != nullptr && std::string(term) != "dumb";
  terminal.in_is_tty = isatty(STDIN_FILENO) != 0;
  winsize size = {};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) terminal.width = size.ws_col;
  return terminal;
}

bool WantsColor(const GlobalOptions& options, const Terminal& terminal) {
  if (options.color != "auto") return options.color == "always";
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return terminal.out_is_tty && (no_color == nullptr || *no_color == '\0') && term != nullptr &&
         std::string(term) != "dumb";
}

// What is wrong where a command's name should stand: CLI11 only says that one is required. Empty:
// nothing.
std::string UnknownCommand(const CLI::App& app, const std::vector<std::string>& words) {
  const CLI::App* command = &app;
  std::string path = "orchctl";
  for (const std::string& word : words) {
    const std::vector<const CLI::App*> subs =
        command->get_subcommands([](const CLI::App*) { return true; });
    if (subs.empty() || word.empty() || word[0] == '-') return "";
    const auto found = std::find_if(subs.begin(), subs.end(),
                                    [&](const CLI::App* s) { return s->get_name() == word; });
    if (found == subs.end()) {
      std::string known;
      for (const CLI::App* sub : subs)
        absl::StrAppend(&known, known.empty() ? "" : ", ", sub->get_name());
      return absl::StrCat("unknown command `", word, "`; ", path, " has ", known);
    }
    command = *found;
    absl::StrAppend(&path, " ", word);
  }
  return "";
}

int CheckConfig() {
  const absl::StatusOr<Config> config = LoadConfig();
  if (!config.ok()) {
    std::cerr << "orchctl: " << config.status().message() << std::endl;
    return kExitUsage;
  }
  std::cout << ConfigPath() << ": ok" << std::endl;
  return kExitOk;
}

int Main(int argc, char** argv) {
  // gRPC's own log lines are not for operators; what went wrong is said in our words.
  setenv("GRPC_VERBOSITY", "NONE", 0);
  Session session{GlobalOptions(), TheTerminal(), nullptr};
  CLI::App app("orchctl: push Puppet runs to a fleet, and see what became of them", "orchctl");
  app.set_version_flag("--version", absl::StrCat("orchctl ", base::kVersion));
  bool check_config = false;
  app.add_flag("--check-config", check_config, "check the configuration file and exit");
  app.fallthrough();
  app.require_subcommand(0, 1);
  AddGlobalOptions(app, session.options);
  AddFindCommands(app, session);
  AddFactsCommand(app, session);
  AddInventoryCommand(app, session);
  AddNodeCommands(app, session);
  AddPuppetCommands(app, session);
  AddJobCommands(app, session);
  AddPolicyCommands(app, session);
  AddAuditCommands(app, session);
  AddSetupCommands(app, session);

  if (argc >= 2 && std::string(argv[1]) == "__complete") {
    for (const std::string& word : Complete(app, std::vector<std::string>(argv + 2, argv + argc))) {
      std::cout << word << "\n";
    }
    return kExitOk;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
      app.exit(error);
      std::cout.flush();
      return std::cout ? kExitOk : kExitInternal;
    }
    const std::string unknown =
        UnknownCommand(app, std::vector<std::string>(argv + 1, argv + argc));
    if (!unknown.empty()) {
      std::cerr << "orchctl: " << unknown << std::endl;
      return kExitUsage;
    }
    std::cerr << "orchctl: " << error.what() << "\nsee `orchctl --help`" << std::endl;
    return kExitUsage;
  }
  session.terminal.color = WantsColor(session.options, session.terminal);
  base::SetUpLog("orchctl",
                 session.options.verbose ? base::LogLevel::kInfo : base::LogLevel::kError,
                 base::LogFormat::kText);
  if (check_config) return CheckConfig();
  if (session.run == nullptr) {
    std::cout << app.help();
    return argc == 1 ? kExitOk : kExitUsage;
  }
  if (!session.options.timeout.empty()) {
    const auto timeout = base::ParseDuration(session.options.timeout);
    if (!timeout.ok() || *timeout <= absl::ZeroDuration()) {
      std::cerr << "orchctl: --timeout " << session.options.timeout
                << ": expected a duration above 0 such as 90s, 5m or 1h30m" << std::endl;
      return kExitUsage;
    }
  }
  const int code = session.run();
  std::cout.flush();
  if (!std::cout) {
    std::cerr << "orchctl: writing to standard output failed" << std::endl;
    return code == kExitOk ? kExitInternal : code;
  }
  return code;
}

}  // namespace

}  // namespace orch::cli

int main(int argc, char** argv) { return orch::cli::Main(argc, argv); }
