// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <memory>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/commands.h"
#include "cli/distribution.h"
#include "cli/gather.h"
#include "cli/render.h"

namespace orch::cli {
namespace {

// Parts of a map that are named as better questions.
constexpr size_t kPartsShownMax = 6;

// What the picture alone does not say.
void ShowHints(const Session& session, const Distribution& distribution) {
  const bool nobody = std::all_of(distribution.shares.begin(), distribution.shares.end(),
                                  [](const Share& share) { return share.value.is_null(); });
  if (nobody && distribution.answered > 0) {
    session.terminal.err << "no node has the fact " << Safe(distribution.fact) << "\n";
  }
  if (distribution.parts.empty()) return;
  std::vector<std::string> parts;
  for (const std::string& part : distribution.parts) {
    if (parts.size() == kPartsShownMax) break;
    parts.push_back(Cut(Safe(part), 60, "..."));
  }
  const size_t more = distribution.parts.size() - parts.size();
  session.terminal.err << Safe(distribution.fact)
                       << " is a map; ask for a part of it: " << absl::StrJoin(parts, ", ")
                       << (more > 0 ? absl::StrCat(" and ", more, " more") : "") << "\n";
}

// Leaves the first `top` values; says how many there are behind them.
void KeepTop(Session& session, size_t top, Distribution* distribution) {
  std::vector<Share>& shares = distribution->shares;
  if (top == 0 || shares.size() <= top) return;
  size_t nodes = 0;
  for (size_t i = top; i < shares.size(); ++i) nodes += shares[i].nodes.size();
  session.terminal.err << Safe(distribution->fact) << ": " << shares.size() - top
                       << " more values on " << nodes << (nodes == 1 ? " node" : " nodes")
                       << " are not shown\n";
  shares.resize(top);
}

void Show(Session& session, const std::vector<std::string>& facts, size_t top, const Tally& tally) {
  const bool headers = !session.options.no_headers;
  bool first = true;
  for (const std::string& fact : facts) {
    Distribution distribution = Distribute(fact, tally.nodes());
    if (distribution.answered == 0) continue;
    // Checked before anything was sent.
    const absl::Status sorted = SortShares(session.options.sort_by, &distribution);
    if (!sorted.ok()) return;
    KeepTop(session, top, &distribution);
    session.terminal.out << (first || !headers ? "" : "\n")
                         << Drawn(distribution, session.terminal,
                                  OutputOf(session.options) == Output::kWide, headers)
                         << std::flush;
    first = false;
    if (!session.options.quiet) ShowHints(session, distribution);
  }
}

int Facts(Session& session, const JobRequestFlags& flags, const std::vector<std::string>& facts,
          size_t top) {
  orch::v1::Action action;
  for (const std::string& fact : facts) action.mutable_node_facts()->add_facts(fact);
  return ReadOnlyJob(session, flags, std::move(action),
                     [&](const Tally& tally) { Show(session, facts, top, tally); });
}

}  // namespace

void AddFactsCommand(CLI::App& app, Session& session) {
  auto flags = std::make_shared<JobRequestFlags>();
  auto names = std::make_shared<std::vector<std::string>>();
  CLI::App* facts = app.add_subcommand("facts", "how the values of facts are distributed");
  facts->add_option("fact", *names, "dotted paths, for example os.family")->required();
  auto top = std::make_shared<size_t>(0);
  facts->add_option("--top", *top, "only so many values of each fact, the first by --sort-by")
      ->check(CLI::Range(1, 1000000));
  flags->AddTo(facts, false);
  session.sort_keys[facts] = ShareSortKeys();
  facts->callback([&session, flags, names, top] {
    session.run = [&session, flags, names, top] { return Facts(session, *flags, *names, *top); };
  });
}

}  // namespace orch::cli
