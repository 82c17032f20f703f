// SPDX-License-Identifier: Apache-2.0

// Each command is a function of session and job name, and the table at the end ties names to them,
// so that help, completion and the manual page, which are made from the command tree, know of a new
// command without being told. Commands serve all output formats: tables are for people and may
// change, the others are the API's own messages and may not.

#include <memory>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "api/catalog.h"
#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/follow.h"
#include "cli/job_ids.h"
#include "cli/job_words.h"
#include "cli/render.h"

namespace orch::cli {
namespace {

template <typename Request>
int ChangeJob(Session& session, const std::string& given) {
  const auto connection = Connect(session);
  if (!connection.ok()) return Fail(session, connection.status());
  const absl::StatusOr<std::string> name = ResolveJob(**connection, given);
  if (!name.ok()) return Fail(session, name.status());
  Request request;
  request.set_name(*name);
  request.set_reason(session.options.reason);
  const auto response = (*connection)->Call(request);
  if (!response.ok()) return Fail(session, response.status());
  const Output output = OutputOf(session.options);
  if (output == Output::kTable || output == Output::kWide || output == Output::kName) {
    session.terminal.out << response->job().name() << "  " << JobStateWord(response->job()) << "  "
                         << JobCountWords(response->job()) << std::endl;
  } else {
    session.terminal.out << Serialized(response->job(), output) << std::flush;
  }
  return kExitOk;
}

int RerunJob(Session& session, const std::string& given) {
  const auto connection = Connect(session);
  if (!connection.ok()) return Fail(session, connection.status());
  const absl::StatusOr<std::string> name = ResolveJob(**connection, given);
  if (!name.ok()) return Fail(session, name.status());
  orch::v1::GetJobRequest request;
  request.set_name(*name);
  const auto response = (*connection)->Call(request);
  if (!response.ok()) return Fail(session, response.status());
  orch::v1::JobSpec spec = response->job().spec();
  if (session.options.expect_nodes != 0) spec.set_expect_nodes(session.options.expect_nodes);
  if (session.options.at_most != 0) spec.set_at_most_nodes(session.options.at_most);
  if (!session.options.reason.empty()) spec.set_reason(session.options.reason);
  return RunAndFollow(session, **connection, std::move(spec));
}

int RunAny(Session& session, const JobRequestFlags& flags, const std::string& name,
           const std::vector<std::string>& words) {
  absl::StatusOr<orch::v1::Action> action = api::Parse(name, words);
  if (!action.ok()) return Fail(session, action.status());
  absl::StatusOr<orch::v1::JobSpec> spec = BuildSpec(session, flags, *std::move(action));
  if (!spec.ok()) return Fail(session, spec.status());
  const auto connection = Connect(session);
  if (!connection.ok()) return Fail(session, connection.status());
  return RunAndFollow(session, **connection, *std::move(spec), flags.detach);
}

std::string ActionsHelp() {
  std::string out = "Actions:\n";
  for (const api::ActionInfo& info : api::Actions()) {
    absl::StrAppend(&out, "  ", info.name, info.mutates ? "  (may change nodes)" : "", "  ",
                    info.summary, "\n");
    for (const api::ArgumentInfo& argument : info.arguments) {
      absl::StrAppend(&out, "      ", argument.name, "=<", argument.type, ">\n");
    }
  }
  return out;
}

}  // namespace

void AddJobCommands(CLI::App& app, Session& session) {
  struct RunAnyFlags {
    JobRequestFlags job;
    std::string action;
    std::vector<std::string> words;
  };
  auto any = std::make_shared<RunAnyFlags>();
  CLI::App* run = app.add_subcommand("run", "run any action with key=value arguments");
  run->add_option("action", any->action, "for example puppet.status")->required();
  run->add_option("arguments", any->words, "key=value")->take_all();
  run->footer(ActionsHelp);
  any->job.AddTo(run, true);
  session.sort_keys[run] = NodeSortKeys();
  run->callback([&session, any] {
    session.run = [&session, any] { return RunAny(session, any->job, any->action, any->words); };
  });

  CLI::App* job = app.add_subcommand("job", "look at jobs, join them, end them");
  job->require_subcommand(1);
  AddJobList(job, session);
  AddJobShow(job, session);

  using Verb = int (*)(Session&, const std::string&);
  struct Command {
    const char* name;
    const char* summary;
    Verb verb;
  };
  const Verb watch = [](Session& s, const std::string& name) {
    const auto connection = Connect(s);
    if (!connection.ok()) return Fail(s, connection.status());
    const absl::StatusOr<std::string> job = ResolveJob(**connection, name);
    return job.ok() ? WatchAndFollow(s, **connection, *job) : Fail(s, job.status());
  };
  for (const Command& command :
       {Command{"watch", "follow a job from its start", watch},
        Command{"cancel", "end a job: no further node starts, nodes that run finish",
                ChangeJob<orch::v1::CancelJobRequest>},
        Command{"pause", "hold a job: no further node starts until it is resumed",
                ChangeJob<orch::v1::PauseJobRequest>},
        Command{"resume", "let a paused job start nodes again",
                ChangeJob<orch::v1::ResumeJobRequest>},
        Command{"rerun", "run the same again, as a new job", RerunJob}}) {
    auto name = std::make_shared<std::string>("last");
    CLI::App* sub = job->add_subcommand(command.name, command.summary);
    const absl::string_view verb_name = command.name;
    const bool only_looks = verb_name == "watch";
    sub->add_option("job", *name, kJobHelp)->required(!only_looks);
    if (only_looks || verb_name == "rerun") session.sort_keys[sub] = NodeSortKeys();
    const Verb verb = command.verb;
    sub->callback([&session, name, verb] {
      session.run = [&session, name, verb] { return verb(session, *name); };
    });
  }
}

}  // namespace orch::cli
