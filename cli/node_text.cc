// SPDX-License-Identifier: Apache-2.0

// A node's words (classes, facts, messages) are printed on an operator's terminal and come from a
// machine that may be hostile; so everything that is not our own passes Safe() on its way into the
// page, and widths are counted in columns of a terminal and not in bytes. What would be sorted
// wrongly as text has a key beside it: `4.2 s ago` sorts by time, not by its letters.

#include "cli/node_text.h"

#include <algorithm>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "api/json.h"
#include "base/proto_time.h"
#include "cli/distribution.h"
#include "cli/render.h"

namespace orch::cli {
namespace {

using nlohmann::json;
using orch::v1::Node;

constexpr size_t kLabelColumns = 18;

absl::Duration SkewOf(const Node& node) { return ToDuration(node.clock_skew()); }

Color StateColor(const Node& node) {
  switch (node.state()) {
    case orch::v1::ROSTER_STATE_STALE:
      return Color::kYellow;
    case orch::v1::ROSTER_STATE_GONE:
      return Color::kDim;
    default:
      return Color::kNone;
  }
}

std::string Ago(const google::protobuf::Timestamp& time, absl::Time now) {
  return time.seconds() == 0 ? "-" : absl::StrCat(Age(now - ToTime(time)), " ago");
}

std::string CertificateText(const Node& node, const Terminal& terminal, absl::Time now) {
  if (!node.has_certificate_end_time()) return "-";
  const absl::Duration left = ToTime(node.certificate_end_time()) - now;
  const std::string end = When(node.certificate_end_time());
  if (left <= absl::ZeroDuration())
    return Paint(terminal, Color::kRed, absl::StrCat(end, " (has ended)"));
  const std::string text = absl::StrCat(end, " (in ", Age(left), ")");
  return left < kCertificateEndsSoon ? Paint(terminal, Color::kYellow, text + " renew it") : text;
}

void Flatten(const std::string& path, const json& value,
             std::vector<std::pair<std::string, std::string>>* out) {
  const bool plain_list =
      value.is_array() && std::none_of(value.begin(), value.end(),
                                       [](const json& element) { return element.is_structured(); });
  if (!value.is_structured() || value.empty() || plain_list) {
    out->emplace_back(path, FactText(value));
  } else if (value.is_array()) {
    for (size_t i = 0; i < value.size(); ++i) Flatten(absl::StrCat(path, ".", i), value[i], out);
  } else {
    for (const auto& [key, inner] : value.items())
      Flatten(path.empty() ? key : absl::StrCat(path, ".", key), inner, out);
  }
}

std::string OrDash(const std::string& text) { return text.empty() ? "-" : text; }

// Sorted by its time.
Cell LastRunCell(const Node& node, const Terminal& terminal, absl::Time now) {
  const std::string text = Safe(LastRunWord(node.puppet(), now));
  if (text.empty()) return Cell("-", 0);
  const Color color = VerdictColor(node.puppet().last_run_digest().verdict());
  return Cell(Paint(terminal, color, text),
              absl::ToDoubleSeconds(ToTime(node.puppet().last_run()) - absl::UnixEpoch()));
}

// Lines of `  label  value`, and lists that are broken where the terminal ends.
class Page {
 public:
  Page(const Terminal& terminal, bool wide) : terminal_(terminal), wide_(wide) {}

  void Title(const std::string& name, const std::string& word, Color color) {
    absl::StrAppend(&text_, Paint(terminal_, Color::kBold, name),
                    word.empty() ? "" : "  " + Paint(terminal_, color, word), "\n");
  }
  void Line(const std::string& label, const std::string& value) {
    absl::StrAppend(&text_, "  ", Padded(label, kLabelColumns), value.empty() ? "-" : value, "\n");
  }
  template <typename Names>
  void List(const std::string& label, const Names& names) {
    const size_t room = terminal_.out_is_tty ? std::max(terminal_.width, 40) : 100;
    std::string line;
    std::string heading = absl::StrCat(label, " (", names.size(), ")");
    for (const std::string& name : names) {
      const std::string word = Safe(name);
      if (!line.empty() && 2 + kLabelColumns + Columns(line) + 2 + Columns(word) > room) {
        Line(heading, line + ",");
        heading.clear();
        line.clear();
      }
      absl::StrAppend(&line, line.empty() ? "" : ", ", word);
    }
    Line(heading, line);
  }
  void Warning(const std::string& text) {
    absl::StrAppend(&text_, "  ", Paint(terminal_, Color::kYellow, "! " + text), "\n");
  }
  void Facts(const google::protobuf::Struct& facts, const google::protobuf::Timestamp& time) {
    const auto flat = Flattened(api::FromStruct(facts));
    absl::StrAppend(&text_, "  facts (", flat.size(), ", read ", When(time), ")\n");
    const size_t room = std::max(terminal_.width, 40);
    for (const auto& [path, value] : flat) {
      std::string line = absl::StrCat("    ", Safe(path), " = ", Safe(value));
      if (terminal_.out_is_tty && !wide_) line = Cut(line, room, terminal_.unicode ? "…" : "...");
      absl::StrAppend(&text_, line, "\n");
    }
  }
  // What the controller has measured of a node.
  void Measured(const Node& node, absl::Time now) {
    Line("last seen", absl::StrCat(Ago(node.last_seen(), now), " (", When(node.last_seen()), ")"));
    Line("clock skew", SkewText(node));
    Line("certificate ends", CertificateText(node, terminal_, now));
    if (node.has_deaf_time()) {
      Warning(absl::StrCat("heard no controller and reconnected, ", Ago(node.deaf_time(), now),
                           " (", When(node.deaf_time()), ")"));
    }
    Refusals(node, now);
    for (const auto& error : node.fact_errors()) {
      Warning(absl::StrCat("fact source ", Safe(error.source()), " fails since ",
                           When(error.since()), ": ", Safe(error.message())));
    }
  }
  void Puppet(const orch::v1::PuppetStatusResult& puppet, absl::Time now) {
    Line("puppet", Safe(PuppetWord(puppet)));
    const std::string last = Safe(LastRunText(puppet, now));
    if (!last.empty()) {
      Line("last run", Paint(terminal_, VerdictColor(puppet.last_run_digest().verdict()), last));
    }
  }
  // Controllers that it refuses to obey.
  void Refusals(const Node& node, absl::Time now) {
    for (const auto& refusal : node.controller_refusals()) {
      Warning(absl::StrCat("refuses controller ", Safe(refusal.controller()), ", ",
                           Ago(refusal.time(), now), ": ", Safe(refusal.reason())));
    }
  }
  const std::string& text() const { return text_; }

 private:
  const Terminal& terminal_;
  const bool wide_;
  std::string text_;
};

}  // namespace

std::string RosterWord(const Node& node) {
  return std::string(absl::StripPrefix(orch::v1::RosterState_Name(node.state()), "ROSTER_STATE_"));
}

std::string SkewText(const Node& node) {
  if (!node.has_clock_skew()) return "-";
  const absl::Duration skew = SkewOf(node);
  if (absl::AbsDuration(skew) < absl::Seconds(1))
    return absl::StrFormat("%+d ms", absl::ToInt64Milliseconds(skew));
  return absl::StrFormat("%+.3f s", absl::ToDoubleSeconds(skew));
}

std::vector<std::pair<std::string, std::string>> Flattened(const json& facts) {
  std::vector<std::pair<std::string, std::string>> out;
  if (facts.is_object() && !facts.empty()) Flatten("", facts, &out);
  std::sort(out.begin(), out.end(),
            [](const auto& a, const auto& b) { return NaturalLess(a.first, b.first); });
  return out;
}

Grid NodeGrid(const google::protobuf::RepeatedPtrField<Node>& nodes, const Terminal& terminal,
              absl::Time now) {
  Grid grid({"NODE", "STATE", "LAST SEEN", "VERSION", "PUPPET", "LAST RUN", "SKEW",
             "CERTIFICATE ENDS", "COLLECTIVES", "DEAF", "FACT ERRORS"});
  const auto seconds = [](const google::protobuf::Timestamp& time) {
    return absl::ToDoubleSeconds(ToTime(time) - absl::UnixEpoch());
  };
  for (const Node& node : nodes) {
    std::vector<std::string> sources;
    for (const auto& error : node.fact_errors()) sources.push_back(Safe(error.source()));
    // The age counts from now: the longer ago, the larger.
    grid.Add({node.identity(),
              Cell(Paint(terminal, StateColor(node), RosterWord(node)), node.state()),
              Cell(Ago(node.last_seen(), now), -seconds(node.last_seen())), Safe(node.version()),
              OrDash(Safe(PuppetWord(node.puppet()))), LastRunCell(node, terminal, now),
              Cell(SkewText(node), absl::ToDoubleSeconds(SkewOf(node))),
              Cell(CertificateText(node, terminal, now), seconds(node.certificate_end_time())),
              Safe(absl::StrJoin(node.collectives(), ",")),
              Cell(Ago(node.deaf_time(), now), -seconds(node.deaf_time())),
              sources.empty() ? "-" : absl::StrJoin(sources, ",")});
  }
  return grid;
}

std::string NodeCounts(const google::protobuf::RepeatedPtrField<Node>& nodes) {
  std::map<int, std::pair<std::string, int>> states;
  for (const Node& node : nodes) {
    states[node.state()].first = absl::AsciiStrToLower(RosterWord(node));
    ++states[node.state()].second;
  }
  std::vector<std::string> parts;
  for (const auto& [state, word] : states)
    parts.push_back(absl::StrCat(word.second, " ", word.first));
  return absl::StrCat(nodes.size(), nodes.size() == 1 ? " node" : " nodes",
                      parts.empty() ? "" : ": ", absl::StrJoin(parts, ", "));
}

std::string NodeText(const Node& node, const Terminal& terminal, absl::Time now, bool wide) {
  Page page(terminal, wide);
  page.Title(node.identity(), RosterWord(node), StateColor(node));
  page.Measured(node, now);
  page.Line("version", absl::StrCat(Safe(node.version()), ", protocol ", node.protocol_min(), "-",
                                    node.protocol_max()));
  page.List("collectives", node.collectives());
  page.Puppet(node.puppet(), now);
  std::vector<std::string> actions;
  for (const auto& action : node.actions()) actions.push_back(action.name());
  std::sort(actions.begin(), actions.end());
  page.List("actions", actions);
  page.List("classes", node.classes());
  page.Facts(node.facts(), node.facts_time());
  return page.text();
}

std::string InventoryText(const orch::v1::JobNode& node, const Node* known,
                          const Terminal& terminal, absl::Time now, bool wide) {
  const orch::v1::NodeInventoryResult& inventory = node.result().node_inventory();
  Page page(terminal, wide);
  page.Title(node.node(), known == nullptr ? "" : RosterWord(*known),
             known == nullptr ? Color::kNone : StateColor(*known));
  if (known != nullptr) page.Measured(*known, now);
  page.Line("version", Safe(inventory.version()));
  page.List("collectives", inventory.collectives());
  page.Puppet(inventory.puppet(), now);
  page.List("actions", inventory.actions());
  page.List("classes", inventory.classes());
  page.Facts(inventory.facts(), inventory.facts_time());
  return page.text();
}

}  // namespace orch::cli
