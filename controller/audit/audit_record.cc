// SPDX-License-Identifier: Apache-2.0
#include <google/protobuf/util/time_util.h>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "api/action_words.h"
#include "api/catalog.h"
#include "controller/audit/audit_store.h"
#include "target/target.h"

namespace orch::controller {

std::string TargetText(const orch::v1::JobSpec& spec, absl::string_view printed) {
  const std::string& collective = spec.target().collective();
  std::string out(printed);
  if (!collective.empty() && collective != "main") {
    out = absl::StrCat("-T ", collective, out.empty() ? "" : " ", out);
  }
  if (!spec.nodes().empty()) {
    const int shown = std::min(spec.nodes_size(), kNamesShownMax);
    absl::StrAppend(&out, out.empty() ? "" : " ", "nodes ",
                    absl::StrJoin(spec.nodes().begin(), spec.nodes().begin() + shown, ","));
    if (shown < spec.nodes_size()) absl::StrAppend(&out, ",… (", spec.nodes_size(), ")");
  }
  if (!spec.pql().empty()) {
    absl::StrAppend(&out, out.empty() ? "" : " ", "pql \"", absl::Utf8SafeCEscape(spec.pql()),
                    "\"");
  }
  return out;
}

// What follows the action's name in its words.
std::string ArgumentsIn(const orch::v1::Action& action) {
  const std::string words = api::ActionWords(action);
  const size_t space = words.find(' ');
  return space == std::string::npos ? "" : words.substr(space + 1);
}

orch::v1::AuditRecord RecordOf(const orch::v1::Job& job, absl::string_view kind) {
  orch::v1::AuditRecord record;
  *record.mutable_time() = google::protobuf::util::TimeUtil::GetCurrentTime();
  record.set_kind(std::string(kind));
  record.set_caller(job.caller());
  orch::v1::Action action = job.spec().action();
  api::RedactSensitive(&action);
  record.set_action(api::NameOf(action));
  record.set_argument_digest(api::ArgumentDigest(action));
  record.set_arguments(ArgumentsIn(action));
  const absl::StatusOr<target::Target> target = target::Target::Compile(job.spec().target());
  record.set_target(TargetText(job.spec(), target.ok() ? target->Print() : ""));
  record.set_resolved(job.targets());
  record.set_job(job.name());
  record.set_reason(job.spec().reason());
  record.set_on_behalf_of(job.spec().on_behalf_of());
  for (const orch::v1::NodeStateCount& count : job.counts()) {
    if (count.count() == 0) continue;
    const std::string name = orch::v1::NodeState_Name(count.state());
    constexpr size_t kPrefix = sizeof("NODE_STATE_") - 1;
    (*record
          .mutable_outcomes())[absl::AsciiStrToLower(name.substr(std::min(kPrefix, name.size())))] =
        count.count();
  }
  return record;
}

}  // namespace orch::controller
