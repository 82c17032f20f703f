// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <memory>
#include <ostream>
#include <set>

#include "absl/strings/str_cat.h"
#include "api/job_groups.h"
#include "api/names.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/ids.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/fold.h"
#include "cli/follow.h"
#include "cli/groups.h"
#include "cli/interrupt.h"
#include "cli/job_ids.h"
#include "cli/job_states.h"
#include "cli/job_words.h"
#include "cli/output.pb.h"
#include "cli/rejoin.h"
#include "cli/render.h"
#include "cli/text.h"

namespace orch::cli {
namespace {

using orch::v1::Job;
using orch::v1::JobNode;
using orch::v1::NodeState;

constexpr NodeState kFailedStates[] = {
    orch::v1::NODE_STATE_FAILED,      orch::v1::NODE_STATE_TIMED_OUT, orch::v1::NODE_STATE_LOST,
    orch::v1::NODE_STATE_NO_RESPONSE, orch::v1::NODE_STATE_REFUSED,   orch::v1::NODE_STATE_DENIED,
    orch::v1::NODE_STATE_CANCELLED};

absl::StatusOr<Job> GetJob(Connection& connection, const std::string& given) {
  ORCH_ASSIGN_OR_RETURN(const std::string name, ResolveJob(connection, given));
  orch::v1::GetJobRequest request;
  request.set_name(name);
  ORCH_ASSIGN_OR_RETURN(orch::v1::GetJobResponse response, connection.Call(request));
  return std::move(*response.mutable_job());
}

// All nodes that `request` means; several pages.
absl::StatusOr<std::vector<JobNode>> FetchNodes(Connection& connection,
                                                orch::v1::ListJobNodesRequest request) {
  std::vector<JobNode> nodes;
  request.set_page_size(1000);
  do {
    ORCH_ASSIGN_OR_RETURN(orch::v1::ListJobNodesResponse page, connection.Call(request));
    for (JobNode& node : *page.mutable_nodes()) nodes.push_back(std::move(node));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return nodes;
}

struct JobShowFlags {
  std::string job = "last";
  bool failed = false;
  std::vector<std::string> states, nodes;
};

absl::StatusOr<orch::v1::ListJobNodesRequest> NodesRequest(const JobShowFlags& flags,
                                                           const Job& job) {
  orch::v1::ListJobNodesRequest request;
  request.set_parent(job.name());
  if (flags.failed) {
    for (const NodeState state : kFailedStates) request.add_states(state);
  }
  for (const std::string& word : flags.states) {
    if (const auto verdict = ParseVerdict(word); verdict.has_value() && word != "failed") {
      request.add_verdicts(*verdict);
      continue;
    }
    ORCH_ASSIGN_OR_RETURN(const NodeState state, ParseNodeState("--state", word));
    request.add_states(state);
  }
  if (request.verdicts_size() > 0 && request.states_size() > 0) {
    return absl::InvalidArgumentError(
        "--state: states of nodes (failed, refused, …) and verdicts of Puppet (changed, unchanged, "
        "…) can't be asked for together");
  }
  return request;
}

absl::StatusOr<std::vector<JobNode>> NodesOf(Connection& connection, const JobShowFlags& flags,
                                             const Job& job) {
  if (flags.nodes.empty()) {
    ORCH_ASSIGN_OR_RETURN(auto request, NodesRequest(flags, job));
    return FetchNodes(connection, std::move(request));
  }
  std::vector<JobNode> nodes;
  for (const std::string& name : flags.nodes) {
    orch::v1::GetJobNodeRequest request;
    request.set_name(api::JobNodeName(std::string(api::JobIdOf(job.name())), name));
    ORCH_ASSIGN_OR_RETURN(orch::v1::GetJobNodeResponse response, connection.Call(request));
    nodes.push_back(std::move(*response.mutable_node()));
  }
  return nodes;
}

void PrintNodes(Session& session, const Job& job, const orch::v1::JobReport& report) {
  Terminal& terminal = session.terminal;
  const Output output = OutputOf(session.options);
  const ChangeLook look = LookFor(terminal, output, session.options.verbose);
  if (!NodeByNode(session.options, job, static_cast<size_t>(report.nodes_size()))) {
    for (const std::string& line :
         GroupsLines(terminal, look, report.nodes(), session.options.quiet)) {
      terminal.out << line << "\n";
    }
    return;
  }
  for (const JobNode& node : report.nodes()) {
    if (session.options.quiet && node.state() == orch::v1::NODE_STATE_SUCCEEDED) continue;
    terminal.out << FitLine(terminal, look.width, NodeLine(terminal, node)) << "\n";
    for (const std::string& line : NodeDetails(terminal, look, node)) terminal.out << line << "\n";
    if (!node.late_evidence().empty()) {
      terminal.out << "    later heard: " << Safe(node.late_evidence()) << "\n";
    }
  }
}

int ShowJob(Session& session, const JobShowFlags& flags) {
  const auto connection = Connect(session);
  if (!connection.ok()) return Fail(session, connection.status());
  auto job = GetJob(**connection, flags.job);
  if (!job.ok()) return Fail(session, job.status());
  auto nodes = NodesOf(**connection, flags, *job);
  if (!nodes.ok()) return Fail(session, nodes.status());
  orch::v1::JobReport report;
  *report.mutable_job() = *job;
  for (JobNode& node : *nodes) *report.add_nodes() = std::move(node);
  SortNodes(session.options.sort_by, report.mutable_nodes());
  Terminal& terminal = session.terminal;
  switch (const Output output = OutputOf(session.options); output) {
    case Output::kName:
      for (const JobNode& node : report.nodes()) terminal.out << node.node() << "\n";
      break;
    case Output::kTable:
    case Output::kWide:
      PrintCut(session, JobHead(terminal, *job, base::SystemClock().Read().wall));
      PrintNodes(session, *job, report);
      break;
    default:
      terminal.out << Serialized(report, output);
  }
  terminal.out.flush();
  return kExitOk;
}

struct LogFlags {
  std::string node;
  std::string job = "last";
  bool follow = false;
};

// A line of a node's log: `14:02:11.250 notice /Stage[main]/…: content changed …`
std::string LogLine(const Terminal& terminal, const orch::v1::JobEvent& event) {
  const orch::v1::PuppetRunProgress& line = event.progress().progress().puppet_run();
  const std::string time =
      absl::FormatTime("%H:%M:%E3S", ToTime(event.time()), absl::LocalTimeZone());
  const bool wrong = line.level() != "notice" && line.level() != "info" && line.level() != "debug";
  return absl::StrCat(
      time, " ", Paint(terminal, wrong ? Color::kRed : Color::kDim, Padded(Safe(line.level()), 7)),
      " ",
      line.source().empty() || line.source() == "Puppet" ? ""
                                                         : absl::StrCat(Safe(line.source()), ": "),
      Safe(line.message()));
}

int ShowLogs(Session& session, const LogFlags& flags) {
  if (!base::IsIdentity(flags.node)) {
    return Fail(session, absl::InvalidArgumentError(
                             absl::StrCat("`", Safe(flags.node), "` is no node's identity")));
  }
  const auto connection = Connect(session);
  if (!connection.ok()) return Fail(session, connection.status());
  const auto job = GetJob(**connection, flags.job);
  if (!job.ok()) return Fail(session, job.status());
  orch::v1::GetJobNodeRequest is_there;
  is_there.set_name(api::JobNodeName(std::string(api::JobIdOf(job->name())), flags.node));
  if (const auto node = (*connection)->Call(is_there); !node.ok()) {
    return Fail(session, node.status());
  }
  const InterruptCounter interrupts;
  Rejoin rejoin(session, **connection);
  orch::v1::WatchJobRequest request;
  request.set_name(job->name());
  Terminal& terminal = session.terminal;
  const bool json = OutputOf(session.options) == Output::kJsonl;
  bool any = false;
  for (auto stream = (*connection)->Watch(request);;) {
    orch::v1::WatchJobResponse batch;
    const JobStream::Got got = stream->Next(absl::Milliseconds(200), &batch);
    if (interrupts.count() > 0) return kExitInterrupted;
    if (got == JobStream::Got::kEnd) {
      if (stream->status().ok()) break;
      if (!rejoin.May(stream->status(), true, kRejoinFor, "the log goes on, joining again")) {
        return Fail(session, stream->status());
      }
      rejoin.Await();
      stream = (*connection)->Watch(request);
      continue;
    }
    if (got == JobStream::Got::kMessage) rejoin.OnMessage();
    bool over = false;
    for (const orch::v1::JobEvent& event : batch.events()) {
      request.set_after_sequence(event.sequence());
      over = over || (!flags.follow && event.sequence() >= job->last_sequence());
      if (event.has_node() && event.node().node() == flags.node) {
        over = over || IsTerminal(event.node().state());
      }
      if (!event.has_progress() || event.progress().node() != flags.node) continue;
      any = true;
      terminal.out << (json ? Serialized(event, Output::kJsonl)
                            : absl::StrCat(LogLine(terminal, event), "\n"));
    }
    terminal.out.flush();
    if (over) break;
  }
  if (!any && !session.options.quiet) {
    terminal.err << flags.node << " sent no log in " << job->name() << std::endl;
  }
  return kExitOk;
}

struct WaitFlags {
  std::string job = "last";
  std::string until = "ended";
};

// `ended`, or a job's state.
absl::StatusOr<std::optional<orch::v1::JobState>> StateToAwait(const std::string& word) {
  if (word == "ended") return std::optional<orch::v1::JobState>();
  ORCH_ASSIGN_OR_RETURN(const orch::v1::JobState state, ParseJobState("--for", word));
  return std::optional<orch::v1::JobState>(state);
}

int WaitForJob(Session& session, const WaitFlags& flags) {
  const auto awaited = StateToAwait(flags.until);
  if (!awaited.ok()) return Fail(session, awaited.status());
  const absl::StatusOr<Tolerance> tolerance = Tolerance::Parse(session.options.tolerate);
  if (!tolerance.ok()) return Fail(session, tolerance.status());
  absl::Duration most = absl::InfiniteDuration();
  if (!session.options.timeout.empty()) {
    const auto timeout = base::ParseDuration(session.options.timeout);
    if (!timeout.ok()) return Fail(session, timeout.status());
    most = *timeout;
  }
  const auto connection = Connect(session);
  if (!connection.ok()) return Fail(session, connection.status());
  const auto job = GetJob(**connection, flags.job);
  if (!job.ok()) return Fail(session, job.status());
  const InterruptCounter interrupts;
  Rejoin rejoin(session, **connection);
  Tally tally;
  const absl::Duration begin = base::SystemClock().Read().steady;
  orch::v1::WatchJobRequest request;
  request.set_name(job->name());
  const auto reached = [&] {
    return tally.finished() || (awaited->has_value() && tally.job().state() == **awaited);
  };
  for (auto stream = (*connection)->Watch(request); !reached();) {
    orch::v1::WatchJobResponse batch;
    const JobStream::Got got = stream->Next(absl::Milliseconds(200), &batch);
    if (interrupts.count() > 0) return kExitInterrupted;
    if (base::SystemClock().Read().steady - begin >= most) {
      session.terminal.err << job->name() << " is " << JobStateWord(tally.job()) << " after "
                           << session.options.timeout << ": no longer waiting" << std::endl;
      return kExitStopped;
    }
    if (got == JobStream::Got::kMessage) {
      rejoin.OnMessage();
      tally.Apply(batch);
    } else if (got == JobStream::Got::kEnd && !reached()) {
      if (!rejoin.May(stream->status(), true, kRejoinFor, "the job goes on, joining again")) {
        return Fail(session, stream->status());
      }
      rejoin.Await();
      request.set_after_sequence(tally.last_sequence());
      stream = (*connection)->Watch(request);
    }
  }
  const Output output = OutputOf(session.options);
  if (output == Output::kJson || output == Output::kYaml || output == Output::kJsonl) {
    session.terminal.out << Serialized(tally.job(), output) << std::flush;
  } else if (!session.options.quiet) {
    session.terminal.out << tally.job().name() << "  " << JobStateWord(tally.job()) << "  "
                         << JobCountWords(tally.job()) << std::endl;
  }
  if (!tally.finished()) return kExitOk;
  // It ended before it was ever in the state that was waited for.
  if (awaited->has_value() && tally.job().state() != **awaited) return kExitNothing;
  return tally.Exit(*tolerance);
}

// What a node came to in one job, as far as two jobs can be told apart by it.
std::string FateOf(const JobNode& node) {
  api::JobGroups groups;
  groups.Add(node);
  const orch::v1::JobGroup group = groups.Take().front();
  return absl::StrCat(OutcomeWord(node), "\n", group.reason(), "\n", group.change_set().digest(),
                      "\n", api::CauseShape(group.cause(), node.node()));
}

absl::StatusOr<std::map<std::string, JobNode>> NodesByName(Connection& connection, const Job& job) {
  orch::v1::ListJobNodesRequest request;
  request.set_parent(job.name());
  ORCH_ASSIGN_OR_RETURN(std::vector<JobNode> nodes, FetchNodes(connection, std::move(request)));
  std::map<std::string, JobNode> by_name;
  for (JobNode& node : nodes) by_name.emplace(node.node(), std::move(node));
  return by_name;
}

JobDiff Compare(const std::map<std::string, JobNode>& before,
                const std::map<std::string, JobNode>& after) {
  JobDiff diff;
  std::map<std::pair<std::string, std::string>, JobDiffGroup> groups;
  std::set<std::string> names;
  for (const auto& [name, node] : before) names.insert(name);
  for (const auto& [name, node] : after) names.insert(name);
  for (const std::string& name : names) {
    const auto a = before.find(name), b = after.find(name);
    if (a != before.end() && b != after.end() && FateOf(a->second) == FateOf(b->second)) {
      diff.set_same(diff.same() + 1);
      continue;
    }
    const std::string was = a == before.end() ? "" : OutcomeWord(a->second);
    const std::string is = b == after.end() ? "" : OutcomeWord(b->second);
    JobDiffGroup& group = groups[{was, is}];
    group.set_before(was);
    group.set_after(is);
    group.add_nodes(name);
  }
  for (auto& [key, group] : groups) *diff.add_groups() = std::move(group);
  std::stable_sort(diff.mutable_groups()->begin(), diff.mutable_groups()->end(),
                   [](const auto& a, const auto& b) { return a.nodes_size() > b.nodes_size(); });
  return diff;
}

int DiffJobs(Session& session, const std::string& first, const std::string& second) {
  const auto connection = Connect(session);
  if (!connection.ok()) return Fail(session, connection.status());
  std::map<std::string, JobNode> nodes[2];
  Job jobs[2];
  for (int i = 0; i < 2; ++i) {
    auto job = GetJob(**connection, i == 0 ? first : second);
    if (!job.ok()) return Fail(session, job.status());
    auto found = NodesByName(**connection, *job);
    if (!found.ok()) return Fail(session, found.status());
    jobs[i] = *std::move(job);
    nodes[i] = *std::move(found);
  }
  JobDiff diff = Compare(nodes[0], nodes[1]);
  diff.set_first(jobs[0].name());
  diff.set_second(jobs[1].name());
  Terminal& terminal = session.terminal;
  const Output output = OutputOf(session.options);
  if (output == Output::kName) {
    for (const auto& group : diff.groups()) {
      for (const std::string& node : group.nodes()) terminal.out << node << "\n";
    }
  } else if (output != Output::kTable && output != Output::kWide) {
    terminal.out << Serialized(diff, output);
  } else {
    const std::string arrow = terminal.unicode ? " → " : " -> ";
    const size_t width =
        terminal.out_is_tty ? static_cast<size_t>(std::max(terminal.width, 20)) : 200;
    for (const auto& group : diff.groups()) {
      const std::string what =
          group.before().empty()            ? absl::StrCat("only in ", api::JobIdOf(diff.second()))
          : group.after().empty()           ? absl::StrCat("only in ", api::JobIdOf(diff.first()))
          : group.before() == group.after() ? absl::StrCat(group.after(), ", otherwise than before")
                                            : absl::StrCat(group.before(), arrow, group.after());
      const std::string head = absl::StrCat(what, "  ", group.nodes_size(),
                                            group.nodes_size() == 1 ? " node  " : " nodes  ");
      const size_t room = width > Columns(head) + 16 ? width - Columns(head) : 16;
      terminal.out << head
                   << FoldedNames({group.nodes().begin(), group.nodes().end()}, room,
                                  terminal.unicode ? "…" : "...")
                   << "\n";
    }
    terminal.out << "the same on " << diff.same() << (diff.same() == 1 ? " node" : " nodes")
                 << "\n";
  }
  terminal.out.flush();
  return diff.groups().empty() ? kExitOk : kExitNothing;
}

}  // namespace

void AddJobShow(CLI::App* job, Session& session) {
  auto show_flags = std::make_shared<JobShowFlags>();
  CLI::App* show = job->add_subcommand("show", "one job and what became of its nodes");
  show->add_option("job", show_flags->job, kJobHelp);
  show->add_flag("--failed", show_flags->failed, "only nodes that did not succeed");
  show->add_option(
          "--state", show_flags->states,
          "only nodes in these states or with these verdicts, for example refused, changed")
      ->delimiter(',');
  show->add_option("--node", show_flags->nodes, "only these nodes")->delimiter(',');
  session.sort_keys[show] = NodeSortKeys();
  show->callback([&session, show_flags] {
    session.run = [&session, show_flags] { return ShowJob(session, *show_flags); };
  });

  auto log_flags = std::make_shared<LogFlags>();
  CLI::App* logs = job->add_subcommand("logs", "what a node's Puppet wrote in a job");
  logs->add_option("node", log_flags->node, "the node")->required();
  logs->add_option("job", log_flags->job, kJobHelp);
  logs->add_flag("-f,--follow", log_flags->follow, "until the node has ended");
  logs->callback([&session, log_flags] {
    session.run = [&session, log_flags] { return ShowLogs(session, *log_flags); };
  });

  auto wait_flags = std::make_shared<WaitFlags>();
  CLI::App* wait =
      job->add_subcommand("wait", "wait for a job; exits as the command would that made the job");
  wait->add_option("job", wait_flags->job, kJobHelp);
  wait->add_option("--for", wait_flags->until,
                   "ended (the default), or a state: paused, running, succeeded");
  wait->callback([&session, wait_flags] {
    session.run = [&session, wait_flags] { return WaitForJob(session, *wait_flags); };
  });

  auto names = std::make_shared<std::pair<std::string, std::string>>();
  CLI::App* diff = job->add_subcommand("diff", "which nodes fared otherwise in the second job");
  diff->add_option("first", names->first, kJobHelp)->required();
  diff->add_option("second", names->second, kJobHelp)->required();
  diff->callback([&session, names] {
    session.run = [&session, names] { return DiffJobs(session, names->first, names->second); };
  });
}

}  // namespace orch::cli
