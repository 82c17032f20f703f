// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <optional>
#include <ostream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "api/names.h"
#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/follow.h"
#include "cli/grid.h"
#include "cli/render.h"
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
    absl::StrAppend(&out, out.empty() ? "" : ", ", record.resolved(), " nodes");
  if (record.validate_only()) absl::StrAppend(&out, " (dry run)");
  return out;
}

Grid AuditGrid(const google::protobuf::RepeatedPtrField<AuditRecord>& records) {
  Grid grid({"SEQ", "TIME", "KIND", "CALLER", "ACTION", "RESULT", "WHY", "JOB"});
  for (const AuditRecord& r : records) {
    grid.Add({absl::StrCat(r.sequence()), When(r.time()), r.kind(), Safe(r.caller()),
              Safe(r.action()), Safe(Result(r)),
              Safe(r.reason().empty() ? r.rule() : absl::StrCat(r.rule(), " ", r.reason())),
              r.job()});
  }
  return grid;
}

int ListAudit(Session& session, int most, const std::string& caller, const std::string& job) {
  const auto connection = Connect(session);
  if (!connection.ok()) return Fail(session, connection.status());
  orch::v1::ListAuditRequest request;
  request.set_page_size(most);
  request.set_caller(caller);
  if (!job.empty()) request.set_job(api::JobName(api::JobIdOf(job)));
  auto response = (*connection)->Call(request);
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
    terminal.out << grid.Print(!session.options.no_headers, grid.headers().size());
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
  struct ListFlags {
    int most = 20;
    std::string caller, job;
  };
  auto flags = std::make_shared<ListFlags>();
  CLI::App* list = audit->add_subcommand("list", "the newest records");
  list->add_option("-n,--most", flags->most, "how many")->check(CLI::Range(1, 1000));
  list->add_option("--caller", flags->caller, "only of this caller");
  list->add_option("--job", flags->job, "only of this job");
  session.sort_keys[list] = {"seq", "time", "kind", "caller", "action", "result", "why", "job"};
  list->callback([&session, flags] {
    session.run = [&session, flags] {
      return ListAudit(session, flags->most, flags->caller, flags->job);
    };
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
