// SPDX-License-Identifier: Apache-2.0

// How things look is decided by functions from messages to text, so that each look is tested
// without a terminal and nothing is printed half. A node's own words pass Safe(). Machine formats
// are made in one place (Serialized): what can't be printed, such as a time out of range that a
// node sent, throws there, because leaving it out would be a wrong answer in a format that programs
// trust.

#include "cli/render.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "api/json.h"
#include "api/puppet_error.h"
#include "base/proto_time.h"
#include "cli/grid.h"
#include "cli/text.h"

namespace orch::cli {
namespace {

using orch::v1::JobNode;

// Nodes named in the line that says who was not asked; -o json has them all.
constexpr size_t kNotAskedShown = 5;

std::string EnumWord(const std::string& name, absl::string_view prefix) {
  return std::string(absl::StripPrefix(name, prefix));
}

std::string PuppetDetail(const orch::v1::PuppetRunResult& run) {
  const orch::v1::ResourceCounts& r = run.resources();
  std::vector<std::string> parts;
  if (run.noop() && r.noop_pending() > 0)
    parts.push_back(absl::StrCat(r.noop_pending(), " would change"));
  if (r.changed() > 0) parts.push_back(absl::StrCat(r.changed(), " changed"));
  if (r.corrective_change() > 0)
    parts.push_back(absl::StrCat(r.corrective_change(), " corrective"));
  if (r.failed() > 0) parts.push_back(absl::StrCat(r.failed(), " failed"));
  if (r.skipped() > 0) parts.push_back(absl::StrCat(r.skipped(), " skipped"));
  parts.push_back(absl::StrCat("of ", r.total(), r.total() == 1 ? " resource" : " resources"));
  parts.push_back(Age(ToTime(run.end_time()) - ToTime(run.start_time())));
  return absl::StrJoin(parts, ", ");
}

std::string ResultDetail(const JobNode& node) {
  const orch::v1::ActionResult& result = node.result();
  switch (result.kind_case()) {
    case orch::v1::ActionResult::kNodePing:
      if (!node.has_send_time() || !node.has_update_time()) return "";
      return absl::StrFormat("%.1f ms", absl::ToDoubleMilliseconds(ToTime(node.update_time()) -
                                                                   ToTime(node.send_time())));
    case orch::v1::ActionResult::kNodeFacts: {
      std::vector<std::string> parts;
      for (const auto& [path, value] : result.node_facts().facts()) {
        const nlohmann::json json = api::FromValue(value);
        parts.push_back(
            absl::StrCat(path, "=", json.is_string() ? json.get<std::string>() : json.dump()));
      }
      std::sort(parts.begin(), parts.end());
      return absl::StrJoin(parts, " ");
    }
    case orch::v1::ActionResult::kNodeInventory:
      return absl::StrCat("orch ", result.node_inventory().version(), ", ",
                          result.node_inventory().facts().fields_size(), " facts, ",
                          result.node_inventory().classes_size(), " classes");
    case orch::v1::ActionResult::kPuppetRun:
      return PuppetDetail(result.puppet_run());
    case orch::v1::ActionResult::kPuppetStatus:
      return absl::StrCat(result.puppet_status().message(),
                          result.puppet_status().disable_message().empty()
                              ? ""
                              : "; " + result.puppet_status().disable_message());
    case orch::v1::ActionResult::kPuppetEnable:
      return result.puppet_enable().changed() ? "enabled" : "was enabled already";
    case orch::v1::ActionResult::kPuppetDisable:
      return absl::StrCat(
          result.puppet_disable().changed() ? "disabled: " : "was disabled already: ",
          result.puppet_disable().message());
    case orch::v1::ActionResult::kExternal:
      return api::FromStruct(result.external().output()).dump();
    case orch::v1::ActionResult::KIND_NOT_SET:
      break;
  }
  return "";
}

// `disabled: restoring a backup`: the reason in words, then what the node says of it.
std::string Why(const JobNode& node) {
  const std::string reason = absl::StrReplaceAll(node.reason(), {{"_", " "}});
  if (node.message().empty()) return reason;
  if (reason.empty() || absl::StrContains(absl::AsciiStrToLower(node.message()), reason))
    return node.message();
  return absl::StrCat(reason, ": ", node.message());
}

absl::Duration Median(std::vector<absl::Duration> times) {
  if (times.empty()) return absl::ZeroDuration();
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return times[times.size() / 2];
}

void Yaml(const nlohmann::ordered_json& json, int indent, std::string* out) {
  const std::string pad(indent, ' ');
  const auto scalar = [](const nlohmann::ordered_json& v) {
    return v.dump();
  };  // JSON scalars are YAML
  const auto nested = [](const nlohmann::ordered_json& v) {
    return v.is_structured() && !v.empty();
  };
  if (json.is_object()) {
    for (const auto& [key, value] : json.items()) {
      absl::StrAppend(out, pad, nlohmann::ordered_json(key).dump(), ":");
      if (nested(value)) {
        absl::StrAppend(out, "\n");
        Yaml(value, indent + 2, out);
      } else {
        absl::StrAppend(out, " ", scalar(value), "\n");
      }
    }
  } else if (json.is_array()) {
    for (const auto& value : json) {
      if (nested(value)) {
        absl::StrAppend(out, pad, "-\n");
        Yaml(value, indent + 2, out);
      } else {
        absl::StrAppend(out, pad, "- ", scalar(value), "\n");
      }
    }
  } else {
    absl::StrAppend(out, pad, scalar(json), "\n");
  }
}

}  // namespace

Output OutputOf(const GlobalOptions& options) {
  if (options.output == "wide") return Output::kWide;
  if (options.output == "json") return Output::kJson;
  if (options.output == "jsonl") return Output::kJsonl;
  if (options.output == "yaml") return Output::kYaml;
  if (options.output == "name") return Output::kName;
  return Output::kTable;
}

std::string Paint(const Terminal& terminal, Color color, const std::string& text) {
  if (!terminal.color || color == Color::kNone) return text;
  const char* code = "0";
  switch (color) {
    case Color::kGreen:
      code = "32";
      break;
    case Color::kYellow:
      code = "33";
      break;
    case Color::kRed:
      code = "31";
      break;
    case Color::kDim:
      code = "2";
      break;
    case Color::kBold:
      code = "1";
      break;
    case Color::kNone:
      break;
  }
  return absl::StrCat("\x1b[", code, "m", text, "\x1b[0m");
}

std::string Age(absl::Duration d) {
  if (d < absl::ZeroDuration()) d = absl::ZeroDuration();
  if (d < absl::Seconds(1)) return absl::StrFormat("%d ms", absl::ToInt64Milliseconds(d));
  if (d < absl::Seconds(60)) return absl::StrFormat("%.1f s", absl::ToDoubleSeconds(d));
  if (d < absl::Hours(1))
    return absl::StrFormat("%dm%02ds", absl::ToInt64Minutes(d), absl::ToInt64Seconds(d) % 60);
  if (d < absl::Hours(48))
    return absl::StrFormat("%dh%02dm", absl::ToInt64Hours(d), absl::ToInt64Minutes(d) % 60);
  return absl::StrFormat("%d d", absl::ToInt64Hours(d) / 24);
}

std::string When(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0) return "-";
  return absl::FormatTime("%Y-%m-%d %H:%M:%SZ", ToTime(time), absl::UTCTimeZone());
}

std::string OutcomeWord(const JobNode& node) {
  if (node.result().has_puppet_run() && node.result().puppet_run().verdict() != 0) {
    return EnumWord(orch::v1::PuppetRunVerdict_Name(node.result().puppet_run().verdict()),
                    "PUPPET_RUN_VERDICT_");
  }
  return EnumWord(orch::v1::NodeState_Name(node.state()), "NODE_STATE_");
}

Color OutcomeColor(const JobNode& node) {
  if (node.state() != orch::v1::NODE_STATE_SUCCEEDED) {
    return node.state() == orch::v1::NODE_STATE_NO_RESPONSE ||
                   node.state() == orch::v1::NODE_STATE_REFUSED
               ? Color::kYellow
               : Color::kRed;
  }
  return node.result().puppet_run().verdict() == orch::v1::PUPPET_RUN_VERDICT_CHANGED
             ? Color::kBold
             : Color::kGreen;
}

std::string NodeLine(const Terminal& terminal, const JobNode& node) {
  std::string detail = ResultDetail(node);
  if (detail.empty() || node.state() != orch::v1::NODE_STATE_SUCCEEDED) {
    const std::string why = Why(node);
    if (!why.empty()) detail = detail.empty() ? why : absl::StrCat(why, " (", detail, ")");
  }
  if (node.state() == orch::v1::NODE_STATE_NO_RESPONSE && node.has_last_seen()) {
    absl::StrAppend(&detail, detail.empty() ? "" : "; ", "last seen ", When(node.last_seen()));
  }
  std::string line = absl::StrCat(
      Padded(node.node(), 30), "  ",
      Paint(terminal, OutcomeColor(node), Padded(OutcomeWord(node), 14)), "  ", Safe(detail));
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

std::vector<std::string> NodeDetails(const JobNode& node, bool wide) {
  std::vector<std::string> lines;
  if (!node.result().has_puppet_run()) return lines;
  const orch::v1::PuppetRunResult& run = node.result().puppet_run();
  const int shown_max = wide ? 500 : 8;
  int shown = 0;
  for (const orch::v1::ResourceChange& change : run.changes()) {
    if (change.status() == orch::v1::RESOURCE_CHANGE_STATUS_SKIPPED && !wide) continue;
    if (++shown > shown_max) continue;
    lines.push_back(absl::StrCat("    ", Safe(change.resource()),
                                 change.property().empty() ? "" : "/", Safe(change.property()),
                                 ": ", Safe(change.message()),
                                 change.corrective() ? " (corrective)" : ""));
  }
  const int left = shown - shown_max + static_cast<int>(run.changes_omitted());
  if (left > 0) lines.push_back(absl::StrCat("    … and ", left, " more"));
  if (node.state() == orch::v1::NODE_STATE_FAILED) {
    for (const orch::v1::PuppetRunError& error : run.errors())
      lines.push_back(absl::StrCat("    ! ", Safe(api::ErrorLine(error))));
  }
  return lines;
}

const std::vector<std::string>& NodeSortKeys() {
  static const auto* const keys = new std::vector<std::string>{"node", "state", "time"};
  return *keys;
}

void SortNodes(const std::string& sort_by, google::protobuf::RepeatedPtrField<JobNode>* nodes) {
  Grid grid({"NODE", "STATE", "TIME"});
  for (const JobNode& node : *nodes) {
    const absl::Duration took = node.has_send_time() && node.has_update_time()
                                    ? ToTime(node.update_time()) - ToTime(node.send_time())
                                    : absl::ZeroDuration();
    grid.Add({node.node(), OutcomeWord(node), Cell("", absl::ToDoubleSeconds(took))});
  }
  if (grid.SortBy(sort_by).ok()) grid.Arrange(nodes);
}

std::string ProgressLine(const Tally& tally, absl::Duration elapsed, int width) {
  const uint32_t all = tally.nodes().size();
  const uint32_t ended = tally.ended();
  const uint32_t ok = tally.count(orch::v1::NODE_STATE_SUCCEEDED);
  const uint32_t bad = ended - ok;
  constexpr int kBar = 20;
  const int filled = all == 0 ? 0 : static_cast<int>(uint64_t{ended} * kBar / all);
  std::string line = absl::StrCat("[", std::string(filled, '#'), std::string(kBar - filled, '-'),
                                  "] ", ended, "/", all, " ok ", ok);
  if (tally.changed() > 0) absl::StrAppend(&line, " changed ", tally.changed());
  if (bad > 0) absl::StrAppend(&line, " failed ", bad);
  const absl::Duration median = Median(tally.times());
  if (median > absl::ZeroDuration()) absl::StrAppend(&line, " · p50 ", Age(median));
  if (ended > 0 && ended < all) {
    absl::StrAppend(&line, " · ETA ", Age(elapsed / ended * (all - ended)));
  } else {
    absl::StrAppend(&line, " · ", Age(elapsed));
  }
  if (tally.job().state() == orch::v1::JOB_STATE_STOPPING) absl::StrAppend(&line, " · stopping");
  if (tally.job().state() == orch::v1::JOB_STATE_PAUSED) absl::StrAppend(&line, " · paused");
  return Cut(line, width - 1, "");
}

std::vector<std::string> Summary(const Terminal& terminal, const Tally& tally,
                                 absl::Duration elapsed) {
  std::map<std::string, uint32_t> words;
  std::map<std::string, std::vector<std::string>> failures;
  for (const auto& [name, node] : tally.nodes()) {
    ++words[OutcomeWord(node)];
    if (node.state() == orch::v1::NODE_STATE_SUCCEEDED) continue;
    const auto& errors = node.result().puppet_run().errors();
    std::string why = !errors.empty()           ? api::ErrorLine(errors[0])
                      : !node.message().empty() ? node.message()
                                                : node.reason();
    failures[absl::StrCat(OutcomeWord(node), why.empty() ? "" : ": ", Safe(why))].push_back(name);
  }
  std::vector<std::string> lines;
  for (const auto& [why, names] : failures) {
    if (names.size() > 1) {
      lines.push_back(
          Paint(terminal, Color::kYellow,
                absl::StrCat(names.size(), " nodes: ", why, "  (for example ", names[0], ")")));
    }
  }
  std::vector<std::string> parts;
  for (const auto& [word, count] : words) parts.push_back(absl::StrCat(count, " ", word));
  std::string line =
      tally.nodes().empty()
          ? "no node matched"
          : absl::StrCat(tally.nodes().size(), tally.nodes().size() == 1 ? " node: " : " nodes: ",
                         absl::StrJoin(parts, ", "));
  absl::StrAppend(&line, " in ", Age(elapsed));
  if (tally.job().mutating() && !tally.job().name().empty())
    absl::StrAppend(&line, "  (", tally.job().name(), ")");
  if (tally.job().not_asked_count() > 0) {
    const uint32_t left_out = tally.job().not_asked_count();
    std::vector<std::string> names;
    for (const orch::v1::NotAskedNode& node : tally.job().not_asked()) {
      if (names.size() == kNotAskedShown) break;
      names.push_back(absl::StrCat(Safe(node.node()), " ", Safe(node.reason())));
    }
    lines.push_back(
        Paint(terminal, Color::kYellow,
              absl::StrCat(left_out, left_out == 1 ? " node matches" : " nodes match",
                           left_out == 1 ? " and was not asked: " : " and were not asked: ",
                           absl::StrJoin(names, ", "),
                           left_out > names.size()
                               ? absl::StrCat(" and ", left_out - names.size(), " more")
                               : "")));
  }
  if (!tally.job().message().empty() && tally.job().state() != orch::v1::JOB_STATE_SUCCEEDED &&
      !tally.nodes().empty()) {
    absl::StrAppend(&line, "\n", Safe(tally.job().message()));
  }
  lines.push_back(line);
  return lines;
}

std::string Table(const std::vector<std::vector<std::string>>& rows, bool headers) {
  std::vector<size_t> widths;
  for (size_t r = headers ? 0 : 1; r < rows.size(); ++r) {
    for (size_t c = 0; c < rows[r].size(); ++c) {
      if (widths.size() <= c) widths.push_back(0);
      widths[c] = std::max(widths[c], Columns(rows[r][c]));
    }
  }
  std::string out;
  for (size_t r = headers ? 0 : 1; r < rows.size(); ++r) {
    std::string line;
    for (size_t c = 0; c < rows[r].size(); ++c) {
      absl::StrAppend(&line, c == 0 ? "" : "  ", Padded(rows[r][c], widths[c]));
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    absl::StrAppend(&out, line, "\n");
  }
  return out;
}

std::string Serialized(const google::protobuf::Message& message, Output output) {
  const bool pretty = output != Output::kJsonl && output != Output::kYaml;
  const absl::StatusOr<std::string> json = api::PrintJson(message, pretty);
  if (!json.ok()) throw Unprintable(std::string(json.status().message()));
  if (output != Output::kYaml) {
    return absl::StrCat(absl::StripTrailingAsciiWhitespace(*json), "\n");
  }
  std::string out;
  Yaml(nlohmann::ordered_json::parse(*json, nullptr, false), 0, &out);
  return out;
}

}  // namespace orch::cli
