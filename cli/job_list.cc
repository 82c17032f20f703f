// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/follow.h"
#include "cli/job_states.h"
#include "cli/job_words.h"
#include "cli/render.h"
#include "cli/text.h"
#include "cli/times.h"

namespace orch::cli {
namespace {

using orch::v1::Job;

struct JobListFlags {
  int most = 20;
  std::string caller, since, until, target;
  std::vector<std::string> states, actions, labels;
  bool noop = false, no_noop = false, all = false, oldest_first = false;
};

absl::StatusOr<orch::v1::ListJobsRequest> JobsRequestOf(const JobListFlags& flags) {
  orch::v1::ListJobsRequest request;
  request.set_page_size(flags.most);
  request.set_caller(flags.caller);
  request.set_oldest_first(flags.oldest_first);
  for (const std::string& word : flags.states) {
    ORCH_ASSIGN_OR_RETURN(const orch::v1::JobState state, ParseJobState("--state", word));
    request.add_states(state);
  }
  orch::v1::JobFilter* filter = request.mutable_filter();
  for (const std::string& action : flags.actions) filter->add_actions(action);
  // What only looks fills the list of those who want to know what was done.
  if (!flags.all && flags.actions.empty()) filter->set_mutating(true);
  if (flags.noop || flags.no_noop) filter->set_noop(flags.noop);
  const absl::Time now = absl::Now();
  if (!flags.since.empty()) {
    ORCH_ASSIGN_OR_RETURN(const absl::Time time,
                          ParseTime("--since", flags.since, now, absl::LocalTimeZone()));
    *filter->mutable_create_time_min() = ToTimestamp(time);
  }
  if (!flags.until.empty()) {
    ORCH_ASSIGN_OR_RETURN(const absl::Time time,
                          ParseTime("--until", flags.until, now, absl::LocalTimeZone()));
    *filter->mutable_create_time_max() = ToTimestamp(time);
  }
  filter->set_target(flags.target);
  for (const std::string& label : flags.labels) {
    ORCH_RETURN_IF_ERROR(AddLabel(label, filter->mutable_labels()));
  }
  return request;
}

// Jobs of several pages: a page may have fewer than were asked for.
absl::StatusOr<orch::v1::ListJobsResponse> FetchJobs(Connection& connection,
                                                     orch::v1::ListJobsRequest request, int most) {
  orch::v1::ListJobsResponse all;
  do {
    request.set_page_size(most - all.jobs_size());
    ORCH_ASSIGN_OR_RETURN(orch::v1::ListJobsResponse page, connection.Call(request));
    for (Job& job : *page.mutable_jobs()) *all.add_jobs() = std::move(job);
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty() && all.jobs_size() < most);
  all.set_next_page_token(request.page_token());
  return all;
}

// CALLER and REASON are for wide.
void PrintJobs(Session& session, const orch::v1::ListJobsResponse& response, const Grid& grid) {
  const bool wide = OutputOf(session.options) == Output::kWide;
  PrintCut(session,
           grid.Print(!session.options.no_headers, grid.headers().size() - (wide ? 0 : 2)));
  if (!response.next_page_token().empty() && !session.options.quiet) {
    session.terminal.err
        << "there are more: -n, or --since, --state, --action, --caller, --target, --label"
        << std::endl;
  }
}

int ListJobs(Session& session, const JobListFlags& flags) {
  const absl::StatusOr<orch::v1::ListJobsRequest> request = JobsRequestOf(flags);
  if (!request.ok()) return Fail(session, request.status());
  const auto connection = Connect(session);
  if (!connection.ok()) return Fail(session, connection.status());
  auto response = FetchJobs(**connection, *request, flags.most);
  if (!response.ok()) return Fail(session, response.status());
  Terminal& terminal = session.terminal;
  const Output output = OutputOf(session.options);
  const bool table = output == Output::kTable || output == Output::kWide;
  Grid grid = JobGrid(terminal, response->jobs(), terminal.out_is_tty && output == Output::kTable,
                      base::SystemClock().Read().wall);
  const absl::Status sorted = grid.SortBy(session.options.sort_by);
  if (!sorted.ok()) return Fail(session, sorted);
  grid.Arrange(response->mutable_jobs());
  if (output == Output::kName) {
    for (const Job& job : response->jobs()) terminal.out << job.name() << "\n";
  } else if (output == Output::kJsonl) {
    for (const Job& job : response->jobs()) terminal.out << Serialized(job, output);
  } else if (!table) {
    terminal.out << Serialized(*response, output);
  } else if (response->jobs().empty()) {
    terminal.err << "no such job" << (flags.all ? "" : "; --all has those that only look, too")
                 << std::endl;
  } else {
    PrintJobs(session, *response, grid);
  }
  terminal.out.flush();
  return response->jobs_size() == 0 ? kExitNothing : kExitOk;
}

}  // namespace

void AddJobList(CLI::App* job, Session& session) {
  auto flags = std::make_shared<JobListFlags>();
  CLI::App* list =
      job->add_subcommand("list", "the newest jobs that change nodes; --all: all jobs");
  list->add_option("-n,--most", flags->most, "how many, at most 1000; default 20")
      ->check(CLI::Range(1, 1000));
  list->add_flag("--all", flags->all, "also those that only look at nodes");
  list->add_option("--state", flags->states,
                   "only in one of these states, for example failed,stopped")
      ->delimiter(',');
  list->add_option("--action", flags->actions,
                   "only these actions: puppet.run, or a group: puppet.*")
      ->delimiter(',');
  list->add_option("--caller", flags->caller, "only of this caller");
  list->add_option("--since", flags->since, "only since then: 2h, 2026-03-01, RFC 3339");
  list->add_option("--until", flags->until, "only before then, likewise");
  list->add_option("--target", flags->target, "only whose target has this text in it");
  list->add_option("--label", flags->labels, "only with this label, KEY=VALUE");
  auto* noop = list->add_flag("--noop", flags->noop, "only Puppet runs with --noop");
  list->add_flag("--no-noop", flags->no_noop, "only Puppet runs without")->excludes(noop);
  list->add_flag("--oldest-first", flags->oldest_first, "the oldest first");
  session.sort_keys[list] = {"job",   "age",    "took",   "state",  "action",
                             "nodes", "result", "target", "caller", "reason"};
  list->callback(
      [&session, flags] { session.run = [&session, flags] { return ListJobs(session, *flags); }; });
}

}  // namespace orch::cli
