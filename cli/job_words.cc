// SPDX-License-Identifier: Apache-2.0
#include "cli/job_words.h"

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "api/action_words.h"
#include "api/names.h"
#include "api/quantity.h"
#include "base/proto_time.h"
#include "cli/render.h"
#include "cli/text.h"
#include "target/target.h"

namespace orch::cli {
namespace {

using orch::v1::Job;

// What `orchctl job show` takes is at least so long; the first ten characters are its time.
constexpr size_t kShortIdMin = 10;

// How long ids must be so that each of them is unique among them.
size_t UniqueLength(const google::protobuf::RepeatedPtrField<Job>& jobs) {
  std::set<std::string> ids;
  for (const Job& job : jobs) ids.insert(std::string(api::JobIdOf(job.name())));
  size_t length = kShortIdMin;
  for (auto id = ids.begin(); id != ids.end(); ++id) {
    const auto next = std::next(id);
    if (next == ids.end()) break;
    size_t same = 0;
    while (same < id->size() && same < next->size() && (*id)[same] == (*next)[same]) ++same;
    length = std::max(length, same + 1);
  }
  return length;
}

std::string PausedWhy(const Job& job) {
  if (job.state() != orch::v1::JOB_STATE_PAUSED) return "";
  return job.pause_reason() == orch::v1::PAUSE_REASON_CALLER ? " (by a caller)" : "";
}

// `10 CHANGED, 2 FAILED`; empty: no nodes.
std::string OutcomesOf(const Job& job) {
  std::map<int, uint32_t> states;
  for (const auto& count : job.counts()) states[count.state()] += count.count();
  std::vector<std::string> parts;
  const auto add = [&parts](uint32_t count, absl::string_view word) {
    if (count > 0) parts.push_back(absl::StrCat(count, " ", word));
  };
  for (const auto& count : job.puppet_verdicts()) {
    const bool failed = count.verdict() == orch::v1::PUPPET_RUN_VERDICT_FAILED ||
                        count.verdict() == orch::v1::PUPPET_RUN_VERDICT_COMPILE_FAILED;
    uint32_t& state = states[failed ? orch::v1::NODE_STATE_FAILED : orch::v1::NODE_STATE_SUCCEEDED];
    state -= std::min(state, count.count());
    add(count.count(),
        absl::StripPrefix(orch::v1::PuppetRunVerdict_Name(count.verdict()), "PUPPET_RUN_VERDICT_"));
  }
  for (const auto& [state, count] : states) {
    add(count, absl::StripPrefix(orch::v1::NodeState_Name(static_cast<orch::v1::NodeState>(state)),
                                 "NODE_STATE_"));
  }
  if (parts.empty()) return "no nodes";
  return absl::StrCat(job.targets(),
                      job.targets() == 1 ? " node: " : " nodes: ", absl::StrJoin(parts, ", "));
}

}  // namespace

std::string JobStateWord(const Job& job) {
  return std::string(absl::StripPrefix(orch::v1::JobState_Name(job.state()), "JOB_STATE_"));
}

Color JobStateColor(const Job& job) {
  switch (job.state()) {
    case orch::v1::JOB_STATE_SUCCEEDED:
      return Color::kGreen;
    case orch::v1::JOB_STATE_FAILED:
      return Color::kRed;
    case orch::v1::JOB_STATE_PAUSED:
    case orch::v1::JOB_STATE_STOPPING:
    case orch::v1::JOB_STATE_STOPPED:
    case orch::v1::JOB_STATE_CANCELLED:
      return Color::kYellow;
    default:
      return Color::kNone;
  }
}

std::string JobCountWords(const Job& job) {
  const std::string outcomes = OutcomesOf(job);
  if (outcomes.empty()) return "no nodes";
  return absl::StrCat(job.targets(), job.targets() == 1 ? " node: " : " nodes: ", outcomes);
}

std::string JobTargetWords(const Job& job) {
  std::string words;
  if (job.spec().nodes_size() == 1) {
    words = job.spec().nodes(0);
  } else if (job.spec().nodes_size() > 1) {
    words = absl::StrCat(job.spec().nodes_size(), " named nodes");
  }
  const auto target = target::Target::Compile(job.spec().target());
  if (target.ok() && !target->empty()) {
    absl::StrAppend(&words, words.empty() ? "" : ", ", target->Print());
  }
  if (!job.spec().pql().empty()) {
    absl::StrAppend(&words, words.empty() ? "" : ", ", "pql ", job.spec().pql());
  }
  return words.empty() ? "all nodes" : Safe(words);
}

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

std::string JobLength(const Job& job, absl::Time now) {
  return Age((job.has_end_time() ? ToTime(job.end_time()) : now) - ToTime(job.create_time()));
}

Grid JobGrid(const Terminal& terminal, const google::protobuf::RepeatedPtrField<Job>& jobs,
             bool short_ids, absl::Time now) {
  const size_t length = short_ids ? UniqueLength(jobs) : std::string::npos;
  Grid grid(
      {"JOB", "AGE", "TOOK", "STATE", "ACTION", "NODES", "RESULT", "TARGET", "CALLER", "REASON"});
  for (const Job& job : jobs) {
    const absl::Time begin = ToTime(job.create_time());
    const absl::Duration took = (job.has_end_time() ? ToTime(job.end_time()) : now) - begin;
    grid.Add({std::string(api::JobIdOf(job.name()).substr(0, length)),
              Cell(Age(now - begin), absl::ToDoubleSeconds(now - begin)),
              Cell(Age(took), absl::ToDoubleSeconds(took)),
              Cell(Paint(terminal, JobStateColor(job), JobStateWord(job)), job.state()),
              Safe(api::ActionWords(job.spec().action())),
              Cell(absl::StrCat(job.targets()), job.targets()), OutcomesOf(job),
              JobTargetWords(job), Safe(job.caller()), Safe(job.spec().reason())});
  }
  return grid;
}

std::string JobHead(const Terminal& terminal, const Job& job, absl::Time now) {
  std::string head =
      absl::StrCat(Paint(terminal, Color::kBold, job.name()), "  ",
                   Paint(terminal, JobStateColor(job), JobStateWord(job)), PausedWhy(job),
                   job.message().empty() ? "" : absl::StrCat(" (", Safe(job.message()), ")"));
  const auto line = [&head](const char* name, const std::string& text) {
    if (!text.empty()) absl::StrAppend(&head, "\n  ", Padded(name, 9), text);
  };
  line("action", Safe(api::ActionWords(job.spec().action())));
  line("caller",
       absl::StrCat(Safe(job.caller()),
                    job.spec().on_behalf_of().empty()
                        ? ""
                        : absl::StrCat(", on behalf of ", Safe(job.spec().on_behalf_of()))));
  line("target", JobTargetWords(job));
  line("began", absl::StrCat(When(job.create_time()), job.has_end_time() ? ", took " : ", for ",
                             JobLength(job, now)));
  line("rollout", RolloutWords(job.spec().rollout()));
  line("reason", Safe(job.spec().reason()));
  std::vector<std::string> labels;
  for (const auto& [key, value] : job.spec().labels())
    labels.push_back(Safe(absl::StrCat(key, "=", value)));
  std::sort(labels.begin(), labels.end());
  line("labels", absl::StrJoin(labels, " "));
  line("nodes", JobCountWords(job));
  return absl::StrCat(head, "\n");
}

}  // namespace orch::cli
