// SPDX-License-Identifier: Apache-2.0
#include "controller/job/job_filter.h"

#include <google/protobuf/util/time_util.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "api/catalog.h"
#include "api/errors.h"
#include "base/status.h"
#include "target/target.h"

namespace orch::controller {
namespace {

using google::protobuf::util::TimeUtil;

bool IsWord(absl::string_view word) {
  return !word.empty() && absl::ascii_islower(word[0]) &&
         std::all_of(word.begin(), word.end(), [](unsigned char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_';
         });
}

bool LabelsMatch(const orch::v1::JobFilter& filter, const orch::v1::JobSpec& spec) {
  return std::all_of(filter.labels().begin(), filter.labels().end(), [&spec](const auto& wanted) {
    const auto label = spec.labels().find(wanted.first);
    return label != spec.labels().end() && label->second == wanted.second;
  });
}

}  // namespace

bool NamesAction(const google::protobuf::RepeatedPtrField<std::string>& names,
                 absl::string_view name) {
  return names.empty() || std::any_of(names.begin(), names.end(), [name](absl::string_view asked) {
           if (!absl::ConsumeSuffix(&asked, "*")) return asked == name;
           return absl::StartsWith(name, asked);
         });
}

absl::Status ValidateActionNames(absl::string_view field,
                                 const google::protobuf::RepeatedPtrField<std::string>& names) {
  if (names.size() > kFilterListMax) {
    return api::BadField(field, absl::StrCat("more than ", kFilterListMax, " names"));
  }
  for (int i = 0; i < names.size(); ++i) {
    const absl::string_view name = names[i];
    const size_t dot = name.find('.');
    if (dot != absl::string_view::npos && IsWord(name.substr(0, dot)) &&
        (name.substr(dot + 1) == "*" || IsWord(name.substr(dot + 1)))) {
      continue;
    }
    return api::BadField(absl::StrCat(field, "[", i, "]"),
                         "is neither an action, `puppet.run`, nor a group, `puppet.*`");
  }
  return absl::OkStatus();
}

absl::Status ValidateJobFilter(absl::string_view field, const orch::v1::JobFilter& filter) {
  ORCH_RETURN_IF_ERROR(ValidateActionNames(absl::StrCat(field, ".actions"), filter.actions()));
  if (filter.labels_size() > kFilterListMax) {
    return api::BadField(absl::StrCat(field, ".labels"),
                         absl::StrCat("more than ", kFilterListMax));
  }
  if (filter.target().size() > kFilterTextMax) {
    return api::BadField(absl::StrCat(field, ".target"),
                         absl::StrCat("longer than ", kFilterTextMax, " bytes"));
  }
  if (filter.has_create_time_min() && filter.has_create_time_max() &&
      filter.create_time_max() <= filter.create_time_min()) {
    return api::BadField(absl::StrCat(field, ".create_time_max"),
                         "is not after create_time_min: no job can match");
  }
  return absl::OkStatus();
}

bool Matches(const orch::v1::JobFilter& filter, const orch::v1::Job& job) {
  const orch::v1::Action& action = job.spec().action();
  if (!NamesAction(filter.actions(), api::NameOf(action))) return false;
  if (filter.has_mutating() && filter.mutating() != job.mutating()) return false;
  if (filter.has_noop() &&
      (!action.has_puppet_run() || filter.noop() != action.puppet_run().noop())) {
    return false;
  }
  if (filter.has_create_time_min() && job.create_time() < filter.create_time_min()) return false;
  if (filter.has_create_time_max() && job.create_time() >= filter.create_time_max()) return false;
  if (!LabelsMatch(filter, job.spec())) return false;
  return filter.target().empty() || ContainsText(PrintedTarget(job.spec()), filter.target());
}

std::string PrintedTarget(const orch::v1::JobSpec& spec) {
  const auto target = target::Target::Compile(spec.target());
  std::string text = target.ok() ? target->Print() : "";
  if (spec.nodes_size() > 0) absl::StrAppend(&text, " nodes ", absl::StrJoin(spec.nodes(), ", "));
  if (!spec.pql().empty()) absl::StrAppend(&text, " pql ", spec.pql());
  return text;
}

bool ContainsText(absl::string_view text, absl::string_view part) {
  return absl::StrContains(absl::AsciiStrToLower(text), absl::AsciiStrToLower(part));
}

}  // namespace orch::controller
