// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <optional>
#include <ostream>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/follow.h"
#include "cli/grid.h"
#include "cli/job_ids.h"
#include "cli/render.h"
#include "cli/times.h"
#include "trust/audit/audit_log.h"

namespace orch::cli {
namespace {

using orch::v1::AuditRecord;

std::string Result(const AuditRecord& record) {
  std::string out = record.decision();
  for (const auto& [outcome, count] : record.outcomes()) {
    absl::StrAppend(&out, out.empty() ? "" : ", ", count, " ", outcome);
  }
  if (record.kind() == "frozen")
    absl::StrAppend(&out, out.empty() ? "" : ", ", record.resolved(),
                    record.resolved() == 1 ? " node" : " nodes");
  if (record.validate_only()) absl::StrAppend(&out, " (dry run)");
  return out;
}

Grid AuditGrid(const google::protobuf::RepeatedPtrField<AuditRecord>& records) {
  Grid grid({"SEQ", "TIME", "KIND", "CALLER", "ACTION", "TARGET", "RESULT", "WHY", "JOB"});
  for (const AuditRecord& r : records) {
    grid.Add(
        {absl::StrCat(r.sequence()), When(r.time()), r.kind(), Safe(r.caller()),
         Safe(r.arguments().empty() ? r.action() : absl::StrCat(r.action(), " ", r.arguments())),
         Safe(r.target().empty() ? "-" : r.target()), Safe(Result(r)),
         Safe(r.reason().empty() ? r.rule() : absl::StrCat(r.rule(), " ", r.reason())), r.job()});
  }
  return grid;
}

struct AuditListFlags {
  int most = 20;
  std::string caller, job, since, until, decision, target;
  std::vector<std::string> kinds, actions;
};

absl::StatusOr<orch::v1::ListAuditRequest> AuditRequestOf(Connection& connection,
                                                          const AuditListFlags& flags) {
  orch::v1::ListAuditRequest request;
  request.set_page_size(flags.most);
  request.set_caller(flags.caller);
  if (!flags.job.empty()) {
    ORCH_ASSIGN_OR_RETURN(*request.mutable_job(), ResolveJob(connection, flags.job));
  }
  request.mutable_kinds()->Assign(flags.kinds.begin(), flags.kinds.end());
  request.mutable_actions()->Assign(flags.actions.begin(), flags.actions.end());
  request.set_decision(flags.decision);
  request.set_target(flags.target);
  if (!flags.since.empty()) {
    ORCH_ASSIGN_OR_RETURN(const absl::Time time,
                          ParseTime("--since", flags.since, absl::Now(), absl::LocalTimeZone()));
    *request.mutable_time_min() = ToTimestamp(time);
  }
  if (!flags.until.empty()) {
    ORCH_ASSIGN_OR_RETURN(const absl::Time time,
                          ParseTime("--until", flags.until, absl::Now(), absl::LocalTimeZone()));
    *request.mutable_time_max() = ToTimestamp(time);
  }
  return request;
}

int ListAudit(Session& session, const AuditListFlags& flags) {
  const auto connection = Connect(session);
  if (!connection.ok()) return Fail(session, connection.status());
  const auto request = AuditRequestOf(**connection, flags);
  if (!request.ok()) return Fail(session, request.status());
  auto response = (*connection)->Call(*request);
  if (!response.ok()) return Fail(session, response.status());
  Grid grid = AuditGrid(response->records());
  const absl::Status sorted = grid.SortBy(session.options.sort_by);
  if (!sorted.ok()) return Fail(session, sorted);
  grid.Arrange(response->mutable_records());
  Terminal& terminal = session.terminal;
  const Output output = OutputOf(session.options);
  if (output == Output::kJsonl) {
    for (const AuditRecord& record : response->records())
      terminal.out << Serialized(record, output);
  } else if (output == Output::kJson || output == Output::kYaml) {
    terminal.out << Serialized(*response, output);
  } else {
    PrintCut(session, grid.Print(!session.options.no_headers, grid.headers().size()));
  }
  terminal.out.flush();
  return response->records_size() == 0 ? kExitNothing : kExitOk;
}

int VerifyAudit(Session& session, const std::string& file, const std::string& against) {
  std::optional<trust::AuditAnchor> anchor;
  if (!against.empty()) {
    absl::StatusOr<trust::AuditAnchor> read = trust::AnchorFrom(against);
    if (!read.ok()) return Fail(session, read.status());
    anchor = *std::move(read);
  }
  const absl::StatusOr<trust::AuditVerdict> verdict = trust::VerifyAuditFile(file, anchor);
  if (!verdict.ok()) return Fail(session, verdict.status());
  if (!verdict->intact) {
    session.terminal.out << file << ":" << verdict->bad_line << ": " << Safe(verdict->why) << "\n"
                         << verdict->records << " records before it are intact" << std::endl;
    return kExitNothing;
  }
  session.terminal.out << file << ": " << verdict->records << " records, intact";
  if (verdict->first > 1) {
    session.terminal.out << ", from record " << verdict->first << " on (it continues another file)";
  }
  session.terminal.out << "; last hash " << verdict->last_hash << std::endl;
  return kExitOk;
}

}  // namespace

void AddAuditCommands(CLI::App& app, Session& session) {
  CLI::App* audit = app.add_subcommand("audit", "who asked what, and what was decided");
  audit->require_subcommand(1);
  auto flags = std::make_shared<AuditListFlags>();
  CLI::App* list = audit->add_subcommand("list", "the newest records");
  list->add_option("-n,--most", flags->most, "how many, at most 1000; default 20")
      ->check(CLI::Range(1, 1000));
  list->add_option("--caller", flags->caller, "only of this caller");
  list->add_option("--job", flags->job, "only of this job");
  list->add_option("--kind", flags->kinds,
                   "only of these kinds: decision, frozen, job_end, policy, …")
      ->delimiter(',');
  list->add_option("--action", flags->actions,
                   "only of these actions or API verbs: puppet.run, or a group: puppet.*")
      ->delimiter(',');
  list->add_option("--since", flags->since, "only since then: 2h, 2026-03-01, RFC 3339");
  list->add_option("--until", flags->until, "only before then, likewise");
  list->add_option("--decision", flags->decision, "only what was allowed, or denied")
      ->check(CLI::IsMember({"allow", "deny"}));
  list->add_option("--target", flags->target,
                   "only whose target has this text in it, for example a node");
  session.sort_keys[list] = {"seq",    "time",   "kind", "caller", "action",
                             "target", "result", "why",  "job"};
  list->callback([&session, flags] {
    session.run = [&session, flags] { return ListAudit(session, *flags); };
  });
  auto file = std::make_shared<std::string>();
  CLI::App* verify = audit->add_subcommand("verify", "check the hash chain of an audit file");
  verify->add_option("file", *file, "the controller's audit.jsonl, or a copy")->required();
  auto against = std::make_shared<std::string>();
  verify->add_option("--against", *against,
                     "what shows whether its end is missing: its `.last`, or "
                     "the file that continues it");
  verify->callback([&session, file, against] {
    session.run = [&session, file, against] { return VerifyAudit(session, *file, *against); };
  });
}

}  // namespace orch::cli
