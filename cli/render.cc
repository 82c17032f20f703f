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
#include "cli/groups.h"
#include "cli/text.h"

namespace orch::cli {
namespace {

using orch::v1::JobNode;

// Nodes named in the line that says who was not asked; -o json has them all.
constexpr size_t kNotAskedShown = 5;
// A last run that is older than twice Puppet's default runinterval.
constexpr absl::Duration kOldRun = absl::Hours(1);

std::string EnumWord(const std::string& name, absl::string_view prefix) {
  return std::string(absl::StripPrefix(name, prefix));
}

// `2 changed, 1 failed of 11 resources`
std::string CountsText(const orch::v1::ResourceCounts& r, bool noop) {
  std::vector<std::string> parts;
  const auto add = [&parts](uint64_t count, const char* word) {
    if (count > 0) parts.push_back(absl::StrCat(count, " ", word));
  };
  if (noop) add(r.noop_pending(), "would change");
  add(r.changed(), "changed");
  add(r.corrective_change(), "corrective");
  add(r.failed(), "failed");
  add(r.skipped(), "skipped");
  const std::string total = absl::StrCat(r.total(), r.total() == 1 ? " resource" : " resources");
  return parts.empty() ? total : absl::StrCat(absl::StrJoin(parts, ", "), " of ", total);
}

std::string PuppetDetail(const orch::v1::PuppetRunResult& run) {
  return absl::StrCat(CountsText(run.resources(), run.noop()), ", ",
                      Age(ToTime(run.end_time()) - ToTime(run.start_time())));
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
    case orch::v1::ActionResult::kPuppetStatus: {
      const std::string last = LastRunText(result.puppet_status(), ToTime(node.update_time()));
      return absl::StrCat(PuppetWord(result.puppet_status()),
                          last.empty() ? "; no completed run is known" : "; last run ", last);
    }
    case orch::v1::ActionResult::kPuppetEnable:
      return result.puppet_enable().changed() ? "enabled" : "already enabled";
    case orch::v1::ActionResult::kPuppetDisable:
      return absl::StrCat(result.puppet_disable().changed() ? "disabled: " : "already disabled: ",
                          result.puppet_disable().message());
    case orch::v1::ActionResult::kExternal:
      return api::FromStruct(result.external().output()).dump();
    case orch::v1::ActionResult::KIND_NOT_SET:
      break;
  }
  return "";
}

// What ends a colour that may have lost its end where the line was cut.
std::string Reset(const Terminal& terminal, absl::string_view line) {
  return terminal.color && absl::StrContains(line, '\x1b') ? "\x1b[0m" : "";
}

// `disabled: restoring a backup`: the reason in words, then what the node says of it.
std::string Why(const JobNode& node) {
  const std::string reason = absl::StrReplaceAll(node.reason(), {{"_", " "}});
  if (node.message().empty()) return reason;
  if (reason.empty() || absl::StrContains(absl::AsciiStrToLower(node.message()), reason))
    return node.message();
  return absl::StrCat(reason, ": ", node.message());
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
  return absl::FormatTime("%Y-%m-%d %H:%M:%S %Ez", ToTime(time), absl::LocalTimeZone());
}

std::string PuppetWord(const orch::v1::PuppetStatusResult& puppet) {
  if (puppet.status().empty()) return "";
  if (puppet.applying()) return "applying a catalog";
  if (!puppet.enabled()) {
    return puppet.disable_message().empty() ? "disabled"
                                            : absl::StrCat("disabled: ", puppet.disable_message());
  }
  return puppet.daemon_present() ? "idle" : "idle, no daemon";
}

namespace {

std::string VerdictWord(orch::v1::PuppetRunVerdict verdict) {
  return EnumWord(orch::v1::PuppetRunVerdict_Name(verdict), "PUPPET_RUN_VERDICT_");
}

}  // namespace

std::string LastRunWord(const orch::v1::PuppetStatusResult& puppet, absl::Time now) {
  const orch::v1::PuppetRunDigest& last = puppet.last_run_digest();
  if (!puppet.has_last_run() && !last.has_end_time()) return "";
  const google::protobuf::Timestamp& end =
      last.has_end_time() ? last.end_time() : puppet.last_run();
  return absl::StrCat(last.verdict() == 0 ? "" : absl::StrCat(VerdictWord(last.verdict()), " "),
                      Age(now - ToTime(end)), " ago");
}

std::string LastRunText(const orch::v1::PuppetStatusResult& puppet, absl::Time now) {
  std::string text = LastRunWord(puppet, now);
  const orch::v1::PuppetRunDigest& last = puppet.last_run_digest();
  if (text.empty() || !puppet.has_last_run_digest()) return text;
  std::vector<std::string> parts;
  if (last.has_resources()) parts.push_back(CountsText(last.resources(), last.noop()));
  if (last.noop()) parts.push_back("noop");
  if (!last.environment().empty()) parts.push_back(last.environment());
  if (!last.job().empty()) {
    parts.push_back(absl::StrCat(last.job(), last.caller().empty() ? "" : " of ", last.caller()));
  }
  return absl::StrCat(text, parts.empty() ? "" : ": ", absl::StrJoin(parts, ", "));
}

Color VerdictColor(orch::v1::PuppetRunVerdict verdict) {
  switch (verdict) {
    case orch::v1::PUPPET_RUN_VERDICT_FAILED:
    case orch::v1::PUPPET_RUN_VERDICT_COMPILE_FAILED:
      return Color::kRed;
    case orch::v1::PUPPET_RUN_VERDICT_CHANGED:
      return Color::kBold;
    case orch::v1::PUPPET_RUN_VERDICT_UNCHANGED:
      return Color::kGreen;
    default:
      return Color::kNone;
  }
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
  if (node.result().has_puppet_status()) {
    // The question was answered; how Puppet does is what is looked for.
    const orch::v1::PuppetRunVerdict last =
        node.result().puppet_status().last_run_digest().verdict();
    return VerdictColor(last) == Color::kRed ? Color::kYellow : Color::kGreen;
  }
  return node.result().puppet_run().verdict() == orch::v1::PUPPET_RUN_VERDICT_CHANGED
             ? Color::kBold
             : Color::kGreen;
}

std::string NodeLine(const Terminal& terminal, const JobNode& node) {
  std::string detail = ResultDetail(node);
  if (detail.empty() || node.state() != orch::v1::NODE_STATE_SUCCEEDED) {
    // Errors have lines of their own.
    const bool told = !node.result().puppet_run().errors().empty();
    const std::string why = told ? absl::StrReplaceAll(node.reason(), {{"_", " "}}) : Why(node);
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

std::vector<std::string> NodeDetails(const Terminal& terminal, const ChangeLook& look,
                                     const JobNode& node) {
  std::vector<std::string> lines;
  if (!node.result().has_puppet_run()) return lines;
  const orch::v1::PuppetRunResult& run = node.result().puppet_run();
  if (node.state() == orch::v1::NODE_STATE_FAILED) {
    for (const orch::v1::PuppetRunError& error : run.errors()) {
      for (std::string& line : ErrorLines(terminal, look, error, look.verbose)) {
        lines.push_back(std::move(line));
      }
    }
  }
  for (std::string& line : ChangesLines(terminal, look, run.changes(), run.changes_omitted())) {
    lines.push_back(std::move(line));
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

namespace {

// Of puppet.status: `last runs: 280 UNCHANGED, 3 FAILED; 12 disabled; 40 older than 1 h`; empty: no
// status is there.
std::string PuppetSummary(const Tally& tally) {
  std::map<std::string, uint32_t> verdicts;
  uint32_t statuses = 0, disabled = 0, old = 0, applying = 0;
  for (const auto& [name, node] : tally.nodes()) {
    if (!node.result().has_puppet_status()) continue;
    const orch::v1::PuppetStatusResult& puppet = node.result().puppet_status();
    ++statuses;
    disabled += puppet.enabled() ? 0 : 1;
    applying += puppet.applying() ? 1 : 0;
    old +=
        puppet.has_last_run() && ToTime(node.update_time()) - ToTime(puppet.last_run()) > kOldRun;
    ++verdicts[puppet.last_run_digest().verdict() == 0
                   ? "unknown"
                   : VerdictWord(puppet.last_run_digest().verdict())];
  }
  if (statuses == 0) return "";
  std::vector<std::string> runs;
  for (const auto& [word, count] : verdicts) runs.push_back(absl::StrCat(count, " ", word));
  std::string text = absl::StrCat("last runs: ", absl::StrJoin(runs, ", "));
  if (disabled > 0) absl::StrAppend(&text, "; ", disabled, " disabled");
  if (applying > 0) absl::StrAppend(&text, "; ", applying, " applying");
  if (old > 0) absl::StrAppend(&text, "; ", old, " older than ", Age(kOldRun));
  return text;
}

}  // namespace

std::vector<std::string> Summary(const Terminal& terminal, const Tally& tally,
                                 absl::Duration elapsed) {
  std::map<std::string, uint32_t> words;
  for (const auto& [name, node] : tally.nodes()) ++words[OutcomeWord(node)];
  std::vector<std::string> lines;
  const std::string puppet = PuppetSummary(tally);
  if (!puppet.empty()) lines.push_back(puppet);
  std::vector<std::string> parts;
  for (const auto& [word, count] : words) parts.push_back(absl::StrCat(count, " ", word));
  std::string line =
      tally.nodes().empty()
          ? "no node matched"
          : absl::StrCat(tally.nodes().size(), tally.nodes().size() == 1 ? " node: " : " nodes: ",
                         absl::StrJoin(parts, ", "));
  absl::StrAppend(&line, " in ", Age(elapsed));
  if (tally.job().mutating() && !tally.job().name().empty()) {
    const std::string job = absl::StrCat("(", tally.job().name(), ")");
    const bool fits = Columns(line) + 2 + job.size() <= static_cast<size_t>(terminal.width);
    absl::StrAppend(&line, terminal.err_is_tty && !fits ? "\n" : "  ", job);
  }
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

std::string FitLine(const Terminal& terminal, size_t width, absl::string_view line) {
  if (width == 0 || Columns(line) <= width) return std::string(line);
  return Cut(line, width, terminal.unicode ? "…" : "...") + Reset(terminal, line);
}

void PrintCut(Session& session, absl::string_view lines) {
  Terminal& terminal = session.terminal;
  const bool cut = terminal.out_is_tty && OutputOf(session.options) != Output::kWide;
  const size_t width = cut ? static_cast<size_t>(std::max(terminal.width, 20)) : 0;
  while (!lines.empty()) {
    const size_t end = std::min(lines.find('\n'), lines.size() - 1);
    terminal.out << FitLine(terminal, width, absl::StripSuffix(lines.substr(0, end + 1), "\n"))
                 << "\n";
    lines.remove_prefix(end + 1);
  }
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
