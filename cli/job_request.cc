// SPDX-License-Identifier: Apache-2.0
// What the flags of a command make of a job.
#include <iostream>

#include "absl/strings/str_cat.h"
#include "api/action_words.h"
#include "api/catalog.h"
#include "base/config.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "cli/confirm.h"
#include "cli/follow.h"
#include "cli/job_states.h"
#include "cli/text.h"

namespace orch::cli {

void JobRequestFlags::AddTo(CLI::App* command, bool mutating) {
  target.AddTo(command);
  naming.AddTo(command, !mutating);
  const std::string group = "Who", job_group = "The job";
  if (mutating) {
    rollout.AddTo(command);
    command
        ->add_flag("--all", all,
                   "every node of the collective: needed where nothing else says which")
        ->group(group);
    command->add_flag("--detach", detach, "print the job's name and don't follow it")
        ->group(job_group);
  }
  command
      ->add_flag(
          "--require-all", require_all,
          "ask nodes that match but are gone or stale, too; without an answer they fail the job")
      ->group(group);
  command->add_option("--label", labels, "KEY=VALUE, kept with the job for those who look for it")
      ->group(job_group);
  command
      ->add_option("--on-behalf-of", on_behalf_of,
                   "for whom this is done, for the audit; needs a right")
      ->group(job_group);
}

namespace {

// Nobody changes a whole fleet because a variable of a script was empty, or a flag forgotten.
absl::Status CheckSaysWhom(const Session& session, const JobRequestFlags& flags,
                           const orch::v1::JobSpec& spec) {
  const bool says = !flags.target.empty() || !flags.naming.empty();
  if (says && flags.all) {
    return absl::InvalidArgumentError("--all: there are other flags that say which nodes");
  }
  if (says || flags.all || session.options.dry_run || !api::Mutates(spec.action())) {
    return absl::OkStatus();
  }
  const std::string action = Safe(api::ActionWords(spec.action()));
  if (MayAsk(session) && ConfirmAll(session.terminal, std::cin, action)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      action,
      ": no node is named; name them (web1 web2, -F role=web, --nodes FILE), or add --all"));
}

}  // namespace

absl::StatusOr<orch::v1::JobSpec> BuildSpec(const Session& session, const JobRequestFlags& flags,
                                            orch::v1::Action action) {
  orch::v1::JobSpec spec;
  ORCH_ASSIGN_OR_RETURN(*spec.mutable_target(), flags.target.Build());
  ORCH_ASSIGN_OR_RETURN(*spec.mutable_rollout(), flags.rollout.Build());
  ORCH_RETURN_IF_ERROR(flags.naming.FillIn(session, flags.target, &spec));
  ORCH_RETURN_IF_ERROR(api::Validate(action, "action"));
  *spec.mutable_action() = std::move(action);
  for (const std::string& label : flags.labels) {
    ORCH_RETURN_IF_ERROR(AddLabel(label, spec.mutable_labels()));
  }
  spec.set_on_behalf_of(flags.on_behalf_of);
  spec.set_require_all(flags.require_all);
  ORCH_RETURN_IF_ERROR(CheckSaysWhom(session, flags, spec));
  const GlobalOptions& options = session.options;
  if (!options.timeout.empty()) {
    absl::StatusOr<absl::Duration> timeout = base::ParseDuration(options.timeout);
    if (!timeout.ok())
      return base::Annotate(timeout.status(), absl::StrCat("--timeout ", options.timeout));
    *spec.mutable_timeout() = ToProtoDuration(*timeout);
  }
  spec.set_expect_nodes(options.expect_nodes);
  spec.set_at_most_nodes(options.at_most);
  spec.set_reason(options.reason);
  return spec;
}

}  // namespace orch::cli
