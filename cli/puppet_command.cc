// SPDX-License-Identifier: Apache-2.0
#include <memory>

#include "absl/strings/str_cat.h"
#include "api/catalog.h"
#include "base/config.h"
#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/follow.h"
#include "cli/render.h"

namespace orch::cli {
namespace {

// Flags of `puppet run`, as Puppet itself names them.
struct RunFlags {
  JobRequestFlags job;
  bool noop = false, no_noop = false, splay = false, no_splay = false, use_cached_catalog = false;
  bool ignore_schedules = false, force = false, show_diff = false, evaltrace = false, debug = false,
       join = false;
  bool kill_on_timeout = false, allow_environment_override = false;
  std::vector<std::string> tags, skip_tags;
  std::string environment, server, splay_limit, wait_for_lock;

  // As `key=value` words of the catalog: one parser, one set of errors.
  std::vector<std::string> Words(const std::string& timeout) const {
    std::vector<std::string> words;
    const auto yes = [&words](bool given, const char* name) {
      if (given) words.push_back(absl::StrCat(name, "=true"));
    };
    const auto text = [&words](const std::string& value, const char* name) {
      if (!value.empty()) words.push_back(absl::StrCat(name, "=", value));
    };
    yes(noop, "noop");
    if (no_noop) words.push_back("noop=false");
    yes(splay, "splay");
    if (no_splay) words.push_back("splay=false");
    yes(use_cached_catalog, "use_cached_catalog");
    yes(ignore_schedules, "ignore_schedules");
    yes(force, "force");
    yes(show_diff, "show_diff");
    yes(evaltrace, "evaltrace");
    yes(debug, "debug");
    yes(join, "join");
    yes(kill_on_timeout, "kill_on_timeout");
    yes(allow_environment_override, "allow_environment_override");
    for (const std::string& tag : tags) text(tag, "tags");
    for (const std::string& tag : skip_tags) text(tag, "skip_tags");
    text(environment, "environment");
    text(server, "server");
    text(splay_limit, "splay_limit");
    text(wait_for_lock, "wait_for_lock");
    text(timeout, "timeout");
    return words;
  }

  void AddTo(CLI::App* command) {
    job.AddTo(command, true);
    job.target.AddNodes(command);
    const std::string group = "Puppet";
    auto* noop_flag = command->add_flag("--noop", noop, "only say what would change")->group(group);
    command->add_flag("--no-noop", no_noop, "change things though puppet.conf says noop")
        ->group(group)
        ->excludes(noop_flag);
    command->add_option("--tags", tags, "only resources with one of these tags")
        ->group(group)
        ->delimiter(',');
    command->add_option("--skip-tags", skip_tags, "no resources with one of these tags")
        ->group(group)
        ->delimiter(',');
    command->add_option("--environment", environment, "the Puppet environment")->group(group);
    command->add_option("--puppet-server", server, "another Puppet server, if the node allows it")
        ->group(group);
    auto* splay_flag =
        command->add_flag("--splay", splay, "wait a random time first")->group(group);
    command->add_flag("--no-splay", no_splay, "no splay whatever puppet.conf says")
        ->group(group)
        ->excludes(splay_flag);
    command->add_option("--splay-limit", splay_limit, "the longest splay, for example 30s")
        ->group(group);
    command->add_flag("--use-cached-catalog", use_cached_catalog, "apply the cached catalog")
        ->group(group);
    command->add_flag("--ignore-schedules", ignore_schedules, "ignore schedules")->group(group);
    command->add_flag("--force", force, "run at once: no splay")->group(group);
    command->add_flag("--show-diff", show_diff, "report differences of files (may show secrets)")
        ->group(group);
    command->add_flag("--evaltrace", evaltrace, "report how each resource is evaluated")
        ->group(group);
    command->add_flag("--debug", debug, "Puppet's debug messages too")->group(group);
    command->add_option("--wait-for-lock", wait_for_lock, "wait so long while another run works")
        ->group(group);
    command->add_flag("--join", join, "report another run's result while it works")->group(group);
    command
        ->add_flag("--allow-environment-override", allow_environment_override,
                   "take another environment's catalog if the server or its ENC decides so")
        ->group(group);
    command->add_flag("--kill-on-timeout", kill_on_timeout, "end Puppet when the timeout passes")
        ->group(group);
  }
};

int RunAction(Session& session, const JobRequestFlags& flags, const std::string& name,
              const std::vector<std::string>& words) {
  absl::StatusOr<orch::v1::Action> action = api::Parse(name, words);
  if (!action.ok()) return Fail(session, action.status());
  absl::StatusOr<orch::v1::JobSpec> spec = BuildSpec(session, flags, *std::move(action));
  if (!spec.ok()) return Fail(session, spec.status());
  const auto connection = Connect(session);
  if (!connection.ok()) return Fail(session, connection.status());
  return RunAndFollow(session, **connection, *std::move(spec), flags.detach);
}

}  // namespace

void AddPuppetCommands(CLI::App& app, Session& session) {
  CLI::App* puppet = app.add_subcommand("puppet", "run Puppet, look at it, forbid and allow it");
  puppet->require_subcommand(1);

  auto run_flags = std::make_shared<RunFlags>();
  CLI::App* run = puppet->add_subcommand("run", "run Puppet once on the matching nodes");
  run_flags->AddTo(run);
  session.sort_keys[run] = NodeSortKeys();
  run->callback([&session, run_flags] {
    session.run = [&session, run_flags] {
      return RunAction(session, run_flags->job, "puppet.run",
                       run_flags->Words(session.options.timeout));
    };
  });

  struct Simple {
    const char* verb;
    const char* summary;
    bool mutating;
  };
  for (const Simple& simple : {Simple{"status", "what Puppet is doing on the nodes", false},
                               Simple{"enable", "allow Puppet runs again", true}}) {
    auto flags = std::make_shared<JobRequestFlags>();
    CLI::App* command = puppet->add_subcommand(simple.verb, simple.summary);
    flags->AddTo(command, simple.mutating);
    flags->target.AddNodes(command);
    session.sort_keys[command] = NodeSortKeys();
    const std::string name = absl::StrCat("puppet.", simple.verb);
    command->callback([&session, flags, name] {
      session.run = [&session, flags, name] { return RunAction(session, *flags, name, {}); };
    });
  }

  struct DisableFlags {
    JobRequestFlags job;
    std::string message;
    bool force = false;
  };
  auto disable_flags = std::make_shared<DisableFlags>();
  CLI::App* disable = puppet->add_subcommand("disable", "forbid Puppet runs");
  disable->add_option("-m,--message", disable_flags->message, "why");
  disable->add_flag("--force", disable_flags->force, "replace the message of a disabled node");
  disable_flags->job.AddTo(disable, true);
  disable_flags->job.target.AddNodes(disable);
  session.sort_keys[disable] = NodeSortKeys();
  disable->callback([&session, disable_flags] {
    session.run = [&session, disable_flags] {
      std::vector<std::string> words;
      if (!disable_flags->message.empty()) words.push_back("message=" + disable_flags->message);
      if (disable_flags->force) words.push_back("force=true");
      return RunAction(session, disable_flags->job, "puppet.disable", words);
    };
  });
}

}  // namespace orch::cli
