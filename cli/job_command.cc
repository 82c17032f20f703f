// SPDX-License-Identifier: Apache-2.0

// Each command is a function of session and job name, and the table at the end ties names to them,
// so that help, completion and the manual page, which are made from the command tree, know of a new
// command without being told. Commands serve all output formats: tables are for people and may
// change, the others are the API's own messages and may not.

#include <memory>
#include <ostream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "api/action_words.h"
#include "api/catalog.h"
#include "api/names.h"
#include "api/quantity.h"
#include "base/proto_time.h"
#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/follow.h"
#include "cli/grid.h"
#include "cli/job_ids.h"
#include "cli/render.h"
#include "target/target.h"

namespace orch::cli {
namespace {

using orch::v1::Job;

std::string StateWord(const Job& job) {
  return std::string(absl::StripPrefix(orch::v1::JobState_Name(job.state()), "JOB_STATE_"));
}

std::string CountWords(const Job& job) {
  std::string out;
  for (const auto& count : job.counts()) {
    if (count.count() == 0) continue;
    absl::StrAppend(&out, out.empty() ? "" : ", ", count.count(), " ",
                    absl::StripPrefix(orch::v1::NodeState_Name(count.state()), "NODE_STATE_"));
  }
  std::string verdicts;
  for (const auto& count : job.puppet_verdicts()) {
    if (count.count() == 0) continue;
    absl::StrAppend(
        &verdicts, verdicts.empty() ? " (" : ", ", count.count(), " ",
        absl::StripPrefix(orch::v1::PuppetRunVerdict_Name(count.verdict()), "PUPPET_RUN_VERDICT_"));
  }
  if (!verdicts.empty()) absl::StrAppend(&out, verdicts, ")");
  return out.empty() ? "no nodes" : out;
}

std::string TargetWords(const Job& job) {
  std::string words;
  if (job.spec().nodes_size() > 0) words = absl::StrCat(job.spec().nodes_size(), " named nodes");
  const auto target = target::Target::Compile(job.spec().target());
  if (target.ok() && !target->empty())
    absl::StrAppend(&words, words.empty() ? "" : ", ", target->Print());
  return words.empty() ? "everybody" : words;
}

Grid JobGrid(const google::protobuf::RepeatedPtrField<Job>& jobs) {
  Grid grid({"JOB", "TIME", "CALLER", "ACTION", "STATE", "NODES"});
  for (const Job& job : jobs) {
    grid.Add({std::string(api::JobIdOf(job.name())), When(job.create_time()), Safe(job.caller()),
              Safe(api::ActionWords(job.spec().action())), StateWord(job),
              Cell(CountWords(job), job.targets())});
  }
  return grid;
}

int ListJobs(Session& session, int most, const std::string& caller) {
  const auto connection = Connect(session);
  if (!connection.ok()) return Fail(session, connection.status());
  orch::v1::ListJobsRequest request;
  request.set_page_size(most);
  request.set_caller(caller);
  auto response = (*connection)->Call(request);
  if (!response.ok()) return Fail(session, response.status());
  Grid grid = JobGrid(response->jobs());
  const absl::Status sorted = grid.SortBy(session.options.sort_by);
  if (!sorted.ok()) return Fail(session, sorted);
  grid.Arrange(response->mutable_jobs());
  Terminal& terminal = session.terminal;
  const Output output = OutputOf(session.options);
  if (output == Output::kName) {
    for (const Job& job : response->jobs()) terminal.out << job.name() << "\n";
  } else if (output == Output::kJsonl) {
    for (const Job& job : response->jobs()) terminal.out << Serialized(job, output);
  } else if (output == Output::kJson || output == Output::kYaml) {
    terminal.out << Serialized(*response, output);
  } else {
    terminal.out << grid.Print(!session.options.no_headers, grid.headers().size());
  }
  terminal.out.flush();
  return response->jobs_size() == 0 ? kExitNothing : kExitOk;
}

// How a job was told to go about its nodes; empty: nothing was said.
std::string RolloutWords(const orch::v1::Rollout& rollout) {
  std::vector<std::string> words;
  const auto add = [&words](absl::string_view name, const std::string& value) {
    if (!value.empty()) words.push_back(absl::StrCat(name, " ", value));
  };
  const auto time = [](const google::protobuf::Duration& duration) {
    return Age(ToDuration(duration));
  };
  add("limit", api::QuantityText(rollout.limit()));
  add("canary", api::QuantityText(rollout.canary()));
  if (rollout.has_canary_wait()) add("then wait", time(rollout.canary_wait()));
  if (rollout.concurrency() > 0) add("at once", absl::StrCat(rollout.concurrency()));
  if (rollout.unlimited()) words.push_back("unlimited");
  add("batch", api::QuantityText(rollout.batch_size()));
  if (rollout.has_batch_sleep()) add("sleep", time(rollout.batch_sleep()));
  add("max failures", api::QuantityText(rollout.max_failures()));
  return absl::StrJoin(words, ", ");
}

int ShowJob(Session& session, const std::string& given) {
  const auto connection = Connect(session);
  if (!connection.ok()) return Fail(session, connection.status());
  const absl::StatusOr<std::string> name = ResolveJob(**connection, given);
  if (!name.ok()) return Fail(session, name.status());
  orch::v1::GetJobRequest request;
  request.set_name(*name);
  const auto response = (*connection)->Call(request);
  if (!response.ok()) return Fail(session, response.status());
  orch::v1::JobReport report;
  *report.mutable_job() = response->job();
  orch::v1::ListJobNodesRequest nodes_request;
  nodes_request.set_parent(request.name());
  nodes_request.set_page_size(1000);
  do {
    const auto nodes = (*connection)->Call(nodes_request);
    if (!nodes.ok()) return Fail(session, nodes.status());
    report.mutable_nodes()->MergeFrom(nodes->nodes());
    nodes_request.set_page_token(nodes->next_page_token());
  } while (!nodes_request.page_token().empty());
  SortNodes(session.options.sort_by, report.mutable_nodes());
  Terminal& terminal = session.terminal;
  const Output output = OutputOf(session.options);
  if (output == Output::kName) {
    for (const auto& node : report.nodes()) terminal.out << node.node() << "\n";
    terminal.out.flush();
    return kExitOk;
  }
  if (output != Output::kTable && output != Output::kWide) {
    terminal.out << Serialized(report, output) << std::flush;
    return kExitOk;
  }
  const Job& job = report.job();
  terminal.out << Paint(terminal, Color::kBold, job.name()) << "  " << StateWord(job)
               << (job.message().empty() ? "" : absl::StrCat(" (", Safe(job.message()), ")"))
               << "\n  action  " << Safe(api::ActionWords(job.spec().action())) << "\n  caller  "
               << job.caller() << "\n  target  " << TargetWords(job) << "\n  began   "
               << When(job.create_time());
  if (job.has_end_time()) {
    terminal.out << ", took " << Age(ToTime(job.end_time()) - ToTime(job.create_time()));
  }
  const std::string rollout = RolloutWords(job.spec().rollout());
  if (!rollout.empty()) terminal.out << "\n  rollout " << rollout;
  if (!job.spec().reason().empty()) terminal.out << "\n  reason  " << Safe(job.spec().reason());
  terminal.out << "\n  nodes   " << CountWords(job) << "\n";
  for (const auto& node : report.nodes()) {
    terminal.out << NodeLine(terminal, node) << "\n";
    for (const std::string& line : NodeDetails(node, output == Output::kWide))
      terminal.out << line << "\n";
    if (!node.late_evidence().empty())
      terminal.out << "    later heard: " << Safe(node.late_evidence()) << "\n";
  }
  terminal.out.flush();
  return kExitOk;
}

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
    session.terminal.out << response->job().name() << "  " << StateWord(response->job()) << "  "
                         << CountWords(response->job()) << std::endl;
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
  return RunAndFollow(session, **connection, *std::move(spec));
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
  struct ListFlags {
    int most = 20;
    std::string caller;
  };
  auto list_flags = std::make_shared<ListFlags>();
  CLI::App* list = job->add_subcommand("list", "the newest jobs");
  list->add_option("-n,--most", list_flags->most, "how many")->check(CLI::Range(1, 1000));
  list->add_option("--caller", list_flags->caller, "only of this caller");
  session.sort_keys[list] = {"job", "time", "caller", "action", "state", "nodes"};
  list->callback([&session, list_flags] {
    session.run = [&session, list_flags] {
      return ListJobs(session, list_flags->most, list_flags->caller);
    };
  });

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
  for (const Command& command : {Command{"show", "one job with its nodes", ShowJob},
                                 Command{"watch", "follow a job from its start", watch},
                                 Command{"cancel", "start no further node, end the job",
                                         ChangeJob<orch::v1::CancelJobRequest>},
                                 Command{"pause", "start no further node until resumed",
                                         ChangeJob<orch::v1::PauseJobRequest>},
                                 Command{"resume", "go on", ChangeJob<orch::v1::ResumeJobRequest>},
                                 Command{"rerun", "the same again, as a new job", RerunJob}}) {
    auto name = std::make_shared<std::string>("last");
    CLI::App* sub = job->add_subcommand(command.name, command.summary);
    const absl::string_view verb_name = command.name;
    const bool only_looks = verb_name == "show" || verb_name == "watch";
    sub->add_option("job", *name,
                    absl::StrCat("its id, 4 or more characters that only it begins with, or last",
                                 only_looks ? " (the default): my newest" : ": my newest"))
        ->required(!only_looks);
    if (only_looks || verb_name == "rerun") session.sort_keys[sub] = NodeSortKeys();
    const Verb verb = command.verb;
    sub->callback([&session, name, verb] {
      session.run = [&session, name, verb] { return verb(session, *name); };
    });
  }
}

}  // namespace orch::cli
