// SPDX-License-Identifier: Apache-2.0

// Three thousand nodes do at most a handful of different things, so a screen has a block for each
// thing that happened rather than for each node: how many, which (folded), then what. The order is
// an operator's: what is wrong first. Lines are cut to the terminal; where there is none they are
// whole, but for names, of which a thousand in a row are read by nobody.

#include "cli/groups.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "api/catalog.h"
#include "api/change.h"
#include "api/job_groups.h"
#include "api/names.h"
#include "api/puppet_error.h"
#include "cli/fold.h"
#include "cli/render.h"
#include "cli/text.h"

namespace orch::cli {
namespace {

using orch::v1::JobGroup;
using orch::v1::ResourceChange;

// Columns for names where lines are not cut.
constexpr size_t kNamesColumnsMax = 200;
// Lines of one difference.
constexpr int kDiffLinesMax = 12;
// Changes of one run or group, unless all are asked for.
constexpr size_t kChangesShownMax = 8;
constexpr size_t kDigestShown = 8;
constexpr size_t kDigestMin = 32;

std::string Ellipsis(bool unicode) { return unicode ? "…" : "..."; }

std::string Fitted(const ChangeLook& look, const std::string& text) {
  return look.width == 0 ? text : Cut(text, look.width, Ellipsis(look.unicode));
}

std::string WordOf(const JobGroup& group) {
  orch::v1::JobNode node;
  node.set_state(group.state());
  node.mutable_result()->mutable_puppet_run()->set_verdict(group.verdict());
  return OutcomeWord(node);
}

Color ColorOf(const JobGroup& group) {
  orch::v1::JobNode node;
  node.set_state(group.state());
  node.mutable_result()->mutable_puppet_run()->set_verdict(group.verdict());
  return OutcomeColor(node);
}

bool IsGood(const JobGroup& group) { return group.state() == orch::v1::NODE_STATE_SUCCEEDED; }

std::string ReasonWords(const JobGroup& group) {
  return absl::StrReplaceAll(Safe(group.reason()), {{"_", " "}});
}

// `CHANGED    287 nodes  web[01-40].example.net and 247 more`
std::string Header(const Terminal& terminal, const ChangeLook& look, const JobGroup& group) {
  constexpr size_t kWordColumns = 13;
  const std::string word = Padded(WordOf(group), kWordColumns);
  std::string middle =
      absl::StrCat("  ", group.count(), group.count() == 1 ? " node  " : " nodes  ");
  std::string reason = IsGood(group) ? "" : ReasonWords(group);
  if (!reason.empty()) absl::StrAppend(&middle, reason, ": ");
  const size_t taken = Columns(word) + Columns(middle);
  const size_t room = look.width == 0
                          ? kNamesColumnsMax
                          : std::max<size_t>(look.width > taken ? look.width - taken : 0, 16);
  std::vector<std::string> names(group.nodes().begin(), group.nodes().end());
  for (std::string& name : names) name = Safe(name);
  return Fitted(look, absl::StrCat(word, middle, FoldedNames(names, room, Ellipsis(look.unicode))))
      .replace(0, word.size(), Paint(terminal, ColorOf(group), word));
}

orch::v1::PuppetRunError ErrorOf(const JobGroup& group) {
  orch::v1::PuppetRunError error;
  error.set_message(group.cause());
  error.set_file(group.file());
  error.set_line(group.line());
  error.set_resource(group.resource());
  return error;
}

// What stands before a cause in Puppet's messages and says nothing of it.
constexpr absl::string_view kBeforeCause[] = {
    "Could not retrieve catalog from remote server: ",
    "Error 500 on SERVER: ",
    "Server Error: ",
    "Evaluation Error: ",
    "Could not run Puppet configuration client: ",
    "Failed to apply catalog: ",
    "Could not evaluate: ",
};

// The cause alone: without those, and without the place and the node behind it.
std::string CauseOf(const orch::v1::PuppetRunError& error) {
  absl::string_view text = error.message();
  for (bool more = true; more;) {
    more = false;
    for (const absl::string_view before : kBeforeCause)
      more = absl::ConsumePrefix(&text, before) || more;
  }
  const size_t place = error.file().empty() ? absl::string_view::npos
                                            : text.rfind(absl::StrCat("(file: ", error.file()));
  if (place != absl::string_view::npos && place > 0) text = text.substr(0, place);
  text = absl::StripAsciiWhitespace(text);
  return Safe(text.empty() ? absl::string_view(error.message()) : text);
}

// `text` in lines of at most `width` columns (0: one), `lines_max` of them, each but the first
// behind `indent`.
std::vector<std::string> Wrapped(const std::string& text, const ChangeLook& look,
                                 const std::string& first, const std::string& indent,
                                 size_t lines_max) {
  if (look.width == 0) return {first + text};
  std::vector<std::string> lines;
  std::string line = first;
  bool begun = false;
  for (const absl::string_view word : absl::StrSplit(text, ' ')) {
    const std::string longer = absl::StrCat(line, begun ? " " : "", word);
    if (begun && Columns(longer) > look.width && lines.size() + 1 < lines_max) {
      lines.push_back(line);
      line = absl::StrCat(indent, word);
    } else {
      line = longer;
    }
    begun = true;
  }
  lines.push_back(line);
  for (std::string& one : lines) one = Fitted(look, one);
  return lines;
}

Color ColorOfDiff(absl::string_view line) {
  if (absl::StartsWith(line, "+++") || absl::StartsWith(line, "---")) return Color::kBold;
  if (absl::StartsWith(line, "+")) return Color::kGreen;
  if (absl::StartsWith(line, "-")) return Color::kRed;
  return Color::kDim;
}

void AddDiff(const Terminal& terminal, const ChangeLook& look, const ResourceChange& change,
             std::vector<std::string>* lines) {
  std::vector<std::string> diff = absl::StrSplit(change.diff(), '\n');
  while (!diff.empty() && absl::StripAsciiWhitespace(diff.back()).empty()) diff.pop_back();
  const size_t most = look.verbose ? diff.size() : kDiffLinesMax;
  for (size_t i = 0; i < std::min(diff.size(), most); ++i) {
    if (i == 0 && absl::StripAsciiWhitespace(diff[i]).empty()) continue;
    const std::string line = Fitted(look, absl::StrCat("        ", Safe(diff[i])));
    lines->push_back(Paint(terminal, ColorOfDiff(diff[i]), line));
  }
  if (diff.size() > most) {
    lines->push_back(absl::StrCat("        ", Ellipsis(look.unicode), " ", diff.size() - most,
                                  " more lines: -v shows them"));
  }
  if (change.diff_omitted() == "not_permitted") {
    lines->push_back("        (the difference is only for who has the right job.diff)");
  } else if (change.diff_omitted() == "expired") {
    lines->push_back("        (the difference has expired)");
  } else if (change.diff_omitted() == "too_long") {
    lines->push_back("        (the difference is longer than what is kept of it)");
  }
}

}  // namespace

bool NodeByNode(const GlobalOptions& options, const orch::v1::Job& job, size_t nodes) {
  return !job.mutating() || nodes <= kBlocksNodesMax || options.output == "wide" ||
         options.verbose || !options.sort_by.empty();
}

ChangeLook LookFor(const Terminal& terminal, Output output, bool verbose) {
  ChangeLook look;
  const bool wide = output == Output::kWide;
  look.width = terminal.out_is_tty && !wide ? static_cast<size_t>(std::max(terminal.width, 20)) : 0;
  look.digests = wide;
  look.verbose = verbose;
  look.unicode = terminal.unicode;
  look.all = wide || verbose;
  return look;
}

std::string ShortDigests(const std::string& text, bool unicode) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    size_t end = i;
    while (end < text.size() && absl::ascii_isalnum(static_cast<unsigned char>(text[end]))) ++end;
    if (end == i) {
      out += text[i++];
      continue;
    }
    const absl::string_view word(text.data() + i, end - i);
    const bool digest =
        word.size() >= kDigestMin && std::all_of(word.begin(), word.end(), [](unsigned char c) {
          return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f');
        });
    absl::StrAppend(&out, digest ? word.substr(0, kDigestShown) : word,
                    digest ? Ellipsis(unicode) : "");
    i = end;
  }
  return out;
}

std::vector<std::string> ChangeLines(const Terminal& terminal, const ChangeLook& look,
                                     const ResourceChange& change) {
  std::string text = absl::StrCat(Safe(change.resource()), change.property().empty() ? "" : "/",
                                  Safe(change.property()), ": ", Safe(change.message()),
                                  change.corrective() ? " (corrective)" : "");
  if (!look.digests) text = ShortDigests(text, look.unicode);
  std::vector<std::string> lines = {Fitted(look, absl::StrCat("    ", text))};
  AddDiff(terminal, look, change, &lines);
  return lines;
}

std::vector<std::string> ChangesLines(
    const Terminal& terminal, const ChangeLook& look,
    const google::protobuf::RepeatedPtrField<ResourceChange>& changes, uint32_t omitted) {
  std::vector<std::string> lines;
  size_t shown = 0, left = omitted, refreshes = 0;
  for (const ResourceChange& change : changes) {
    if (change.status() == orch::v1::RESOURCE_CHANGE_STATUS_SKIPPED && !look.all) continue;
    if (api::IsRefresh(change) && !look.verbose) {
      ++refreshes;
      continue;
    }
    if (++shown > kChangesShownMax && !look.all) {
      ++left;
      continue;
    }
    for (std::string& line : ChangeLines(terminal, look, change)) lines.push_back(std::move(line));
  }
  if (left > 0) {
    lines.push_back(absl::StrCat("    ", Ellipsis(look.unicode), " and ", left, " more"));
  }
  if (refreshes > 0) {
    lines.push_back(absl::StrCat("    and ", refreshes, refreshes == 1 ? " refresh" : " refreshes",
                                 ": -v shows them"));
  }
  return lines;
}

std::vector<std::string> GroupsLines(const Terminal& terminal, const ChangeLook& look,
                                     const std::vector<JobGroup>& groups, bool only_failed) {
  std::vector<std::string> lines;
  size_t shown = 0, left_groups = 0;
  uint32_t left_nodes = 0;
  for (const JobGroup& group : groups) {
    if (only_failed && IsGood(group)) continue;
    if (shown == kGroupsShownMax) {
      ++left_groups;
      left_nodes += group.count();
      continue;
    }
    ++shown;
    lines.push_back(Header(terminal, look, group));
    if (!group.cause().empty()) {
      for (std::string& line : ErrorLines(terminal, look, ErrorOf(group), look.verbose)) {
        lines.push_back(std::move(line));
      }
    }
    for (std::string& line :
         ChangesLines(terminal, look, group.changes(), group.changes_omitted())) {
      lines.push_back(std::move(line));
    }
    if (IsGood(group) && group.change_set().incomparable()) {
      lines.push_back("    (values are hidden: equal sets may differ in them)");
    }
    if (IsGood(group) && group.change_set().refreshes() > 0 && group.changes_size() > 0) {
      lines.push_back(
          absl::StrCat("    and ", group.change_set().refreshes(),
                       group.change_set().refreshes() == 1 ? " refresh" : " refreshes"));
    }
  }
  if (left_groups > 0) {
    lines.push_back(absl::StrCat(Ellipsis(look.unicode), " and ", left_groups,
                                 left_groups == 1 ? " more group with " : " more groups with ",
                                 left_nodes, left_nodes == 1 ? " node" : " nodes",
                                 ": -o json has all"));
  }
  return lines;
}

std::vector<std::string> GroupsLines(
    const Terminal& terminal, const ChangeLook& look,
    const google::protobuf::RepeatedPtrField<orch::v1::JobNode>& nodes, bool only_failed) {
  api::JobGroups groups;
  for (const orch::v1::JobNode& node : nodes) groups.Add(node);
  return GroupsLines(terminal, look, groups.Take(), only_failed);
}

std::vector<std::string> ErrorLines(const Terminal& terminal, const ChangeLook& look,
                                    const orch::v1::PuppetRunError& error, bool whole) {
  if (whole) return {absl::StrCat("    ! ", Safe(api::ErrorLine(error)))};
  std::vector<std::string> lines = Wrapped(CauseOf(error), look, "    ! ", "      ", 3);
  std::string place;
  if (!error.file().empty()) {
    place = absl::StrCat("at ", Safe(error.file()), error.line() == 0 ? "" : ":",
                         error.line() == 0 ? "" : absl::StrCat(error.line()));
  }
  if (!error.resource().empty()) {
    absl::StrAppend(&place, place.empty() ? "in " : ", ", Safe(error.resource()));
  }
  if (!place.empty()) {
    lines.push_back(Paint(terminal, Color::kDim, Fitted(look, absl::StrCat("      ", place))));
  }
  return lines;
}

std::string NextCommand(const Tally& tally) {
  const orch::v1::Job& job = tally.job();
  const uint32_t failed = tally.ended() - tally.count(orch::v1::NODE_STATE_SUCCEEDED);
  if (!tally.finished() || !job.mutating() || failed == 0) return "";
  const std::string id(api::JobIdOf(job.name()));
  const orch::v1::Action& action = job.spec().action();
  if (!action.has_puppet_run()) {
    return absl::StrCat("orchctl job show ", id, " --failed");
  }
  const orch::v1::PuppetRun& run = action.puppet_run();
  std::string flags;
  if (run.has_noop()) absl::StrAppend(&flags, run.noop() ? " --noop" : " --no-noop");
  if (!run.environment().empty())
    absl::StrAppend(&flags, " --environment ", Safe(run.environment()));
  if (run.tags_size() > 0)
    absl::StrAppend(&flags, " --tags ", Safe(absl::StrJoin(run.tags(), ",")));
  return absl::StrCat("orchctl puppet run --last-failed ", id, flags);
}

}  // namespace orch::cli
