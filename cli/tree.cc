// SPDX-License-Identifier: Apache-2.0
#include "cli/tree.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "cli/commands.h"
#include "cli/examples.h"
#include "cli/naming_flags.h"
#include "cli/suggest.h"

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
  text("--timeout", o.timeout, "how long each node may take, for example 90s");
  app.add_option("-o,--output", o.output, "table, wide, json, jsonl, yaml or name")
      ->group(group)
      ->check(CLI::IsMember({"table", "wide", "json", "jsonl", "yaml", "name"}));
  app.add_flag("--no-headers", o.no_headers, "tables without their first line")->group(group);
  text("--sort-by", o.sort_by, "sort rows by a column, -column downwards; several with commas");
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

void AddHelpCommand(CLI::App& app, Session& session) {
  auto words = std::make_shared<std::vector<std::string>>();
  CLI::App* help = app.add_subcommand("help", "the same as --help of the command that is named");
  help->add_option("command", *words, "for example puppet run; none: orchctl itself");
  help->callback([&app, &session, words] {
    session.run = [&app, &session, words]() -> int {
      const absl::StatusOr<std::string> text = HelpOf(app, *words);
      if (!text.ok()) {
        session.terminal.err << "orchctl: " << text.status().message() << std::endl;
        return kExitUsage;
      }
      session.terminal.out << *text << std::flush;
      return kExitOk;
    };
  });
}

// Help without what only the library's author wants to know of an option: what it excludes is said
// when both are given.
class PlainFormatter : public CLI::Formatter {
 public:
  PlainFormatter() { column_width(28); }
  std::string make_option_opts(const CLI::Option* option) const override {
    if (option->get_type_size() == 0) return "";
    // Which values there are, or between which numbers, is said behind it.
    std::string type = option->get_type_name();
    type = type.substr(0, type.find(':'));
    if (type == "UINT" || type == "INT") type = "N";
    return type.empty() ? "" : absl::StrCat(" ", type);
  }
};

void UsePlain(CLI::App& command) {
  command.formatter(std::make_shared<PlainFormatter>());
  for (CLI::App* sub : command.get_subcommands([](const CLI::App*) { return true; })) {
    UsePlain(*sub);
  }
}

// The commands that make a job, and the flags that only they take.
constexpr absl::string_view kJobMakers[] = {
    "ping",       "find",          "facts",         "inventory",      "run",
    "puppet run", "puppet status", "puppet enable", "puppet disable", "job rerun",
};
constexpr const char* kJobFlags[] = {"--dry-run", "--expect-nodes", "--at-most",
                                     "--idempotency-key", "--tolerate"};

}  // namespace

void AddCommands(CLI::App& app, Session& session) {
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
  AddTargetCommands(app, session);
  AddAuditCommands(app, session);
  AddBrokerCommands(app, session);
  AddSetupCommands(app, session);
  AddHelpCommand(app, session);
  RefuseEmptyValues(&app);
  AddExamples(app);
  app.formatter(std::make_shared<PlainFormatter>());
  for (CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) UsePlain(*sub);
}

absl::Status CheckJobFlags(const CLI::App& app) {
  std::string path;
  const CLI::App* command = &app;
  for (auto subs = command->get_subcommands(); !subs.empty(); subs = command->get_subcommands()) {
    command = subs[0];
    absl::StrAppend(&path, path.empty() ? "" : " ", command->get_name());
  }
  if (path.empty() ||
      std::find(std::begin(kJobMakers), std::end(kJobMakers), path) != std::end(kJobMakers)) {
    return absl::OkStatus();
  }
  // Who follows a job may forgive what its maker would.
  const bool follows = path == "job watch" || path == "job wait";
  for (const char* flag : kJobFlags) {
    if (follows && absl::string_view(flag) == "--tolerate") continue;
    if (app.get_option(flag)->count() == 0) continue;
    return absl::InvalidArgumentError(absl::StrCat(flag, " means nothing for `orchctl ", path,
                                                   "`: it belongs to commands that ask nodes"));
  }
  return absl::OkStatus();
}

}  // namespace orch::cli
