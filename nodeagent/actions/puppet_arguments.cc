// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/actions/puppet_arguments.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "api/catalog.h"
#include "base/proto_time.h"
#include "base/status.h"

namespace orch::nodeagent {
namespace {

// No value may be read as an option, whatever the patterns of the catalog let through.
absl::Status CheckValue(absl::string_view name, absl::string_view value) {
  if (!absl::StartsWith(value, "-")) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(name, " `", value, "` begins with `-`"));
}

void AddSwitch(std::vector<std::string>* argv, absl::string_view name, bool on) {
  argv->push_back(absl::StrCat(on ? "--" : "--no-", name));
}

void AddValue(std::vector<std::string>* argv, absl::string_view name, absl::string_view value) {
  argv->push_back(absl::StrCat("--", name));
  argv->emplace_back(value);
}

}  // namespace

absl::Status CheckPuppetRun(const orch::v1::PuppetRun& run, const PuppetConfig& config) {
  orch::v1::Action action;
  *action.mutable_puppet_run() = run;
  ORCH_RETURN_IF_ERROR(api::Validate(action, "puppet_run"));
  ORCH_RETURN_IF_ERROR(CheckValue("environment", run.environment()));
  ORCH_RETURN_IF_ERROR(CheckValue("server", run.server()));
  for (const std::string& tag : run.tags()) ORCH_RETURN_IF_ERROR(CheckValue("tag", tag));
  for (const std::string& tag : run.skip_tags()) ORCH_RETURN_IF_ERROR(CheckValue("tag", tag));
  // Whoever names the server names the catalog: CVE-2015-7331.
  if (!run.server().empty() && std::find(config.servers().begin(), config.servers().end(),
                                         run.server()) == config.servers().end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("server ", run.server(), " is not one that this node's configuration lists"));
  }
  for (const auto& [name, duration] : {std::pair{"splay_limit", ToDuration(run.splay_limit())},
                                       std::pair{"wait_for_lock", ToDuration(run.wait_for_lock())},
                                       std::pair{"timeout", ToDuration(run.timeout())}}) {
    if (duration < absl::ZeroDuration()) {
      return absl::InvalidArgumentError(absl::StrCat(name, " is negative"));
    }
  }
  if (ToDuration(run.splay_limit()) > kSplayLimitMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("splay_limit is longer than ", absl::FormatDuration(kSplayLimitMax)));
  }
  if (config.mode() != PUPPET_MODE_APPLY) return absl::OkStatus();
  if (config.manifest().empty() || config.manifest()[0] != '/') {
    return absl::InvalidArgumentError(
        "mode apply needs `manifest`, an absolute path, in this node's configuration");
  }
  if (!run.server().empty() || run.use_cached_catalog()) {
    return absl::InvalidArgumentError(
        "this node applies a manifest: server and use_cached_catalog mean nothing to it");
  }
  return absl::OkStatus();
}

std::vector<std::string> PuppetArguments(const orch::v1::PuppetRun& run, const PuppetConfig& config,
                                         const PuppetPaths& paths, const std::string& log) {
  const bool apply = config.mode() == PUPPET_MODE_APPLY;
  std::vector<std::string> argv = {paths.program, apply ? "apply" : "agent"};
  argv.insert(argv.end(), paths.flags.begin(), paths.flags.end());
  if (apply) {
    // So that classes.txt and resources.txt are as after an agent's run.
    argv.push_back("--write-catalog-summary");
  } else {
    // The splay is ours (see puppet_run.h), so Puppet has none.
    argv.insert(argv.end(),
                {"--onetime", "--no-daemonize", "--no-usecacheonfailure", "--no-splay"});
  }
  argv.insert(argv.end(), {"--detailed-exitcodes", "--color=false"});
  AddValue(&argv, "logdest", log);
  AddSwitch(&argv, "show_diff", run.show_diff());
  if (run.has_noop()) AddSwitch(&argv, "noop", run.noop());
  if (!run.tags().empty()) AddValue(&argv, "tags", absl::StrJoin(run.tags(), ","));
  if (!run.skip_tags().empty()) AddValue(&argv, "skip_tags", absl::StrJoin(run.skip_tags(), ","));
  if (!run.environment().empty()) AddValue(&argv, "environment", run.environment());
  // Else a server that lacks it, or its ENC, answers with another one's catalog and Puppet applies
  // that.
  if (!apply && !EnvironmentAsked(run).empty()) argv.push_back("--strict_environment_mode");
  if (!run.server().empty()) {
    const std::pair<std::string, std::string> server =
        absl::StrSplit(run.server(), absl::MaxSplits(':', 1));
    AddValue(&argv, "server", server.first);
    if (!server.second.empty()) AddValue(&argv, "serverport", server.second);
  }
  if (!apply && run.has_use_cached_catalog()) {
    AddSwitch(&argv, "use_cached_catalog", run.use_cached_catalog());
  }
  if (run.ignore_schedules()) argv.push_back("--ignoreschedules");
  // How a resource is evaluated is told at level info, which --verbose lets through.
  if (run.evaltrace()) argv.insert(argv.end(), {"--evaltrace", "--verbose"});
  if (run.debug()) argv.push_back("--debug");
  if (apply) argv.push_back(config.manifest());
  return argv;
}

std::string EnvironmentAsked(const orch::v1::PuppetRun& run) {
  return run.allow_environment_override() ? "" : run.environment();
}

absl::Duration RunTimeout(const orch::v1::PuppetRun& run, absl::Duration allowed,
                          const PuppetConfig& config, const PuppetPaths& paths) {
  const absl::Duration asked = ToDuration(run.timeout());
  if (asked > absl::ZeroDuration()) return asked;
  const bool limited =
      config.mode() != PUPPET_MODE_APPLY && paths.runtimeout > absl::ZeroDuration();
  const absl::Duration own = limited ? paths.runtimeout + kRunTimeoutSlack : kRunTimeoutDefault;
  return allowed > absl::ZeroDuration() ? std::min(allowed, own) : own;
}

}  // namespace orch::nodeagent
