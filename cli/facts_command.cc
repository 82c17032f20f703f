// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <memory>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "api/json.h"
#include "cli/commands.h"
#include "cli/gather.h"
#include "cli/render.h"

namespace orch::cli {
namespace {

// The fact's values with how many nodes have each, most first, as bars.
void ShowDistribution(Terminal& terminal, const GlobalOptions& options, const std::string& path,
                      const Tally& tally) {
  std::map<std::string, std::vector<std::string>> values;
  size_t answered = 0;
  for (const auto& [name, node] : tally.nodes()) {
    if (!node.result().has_node_facts()) continue;
    ++answered;
    const auto& facts = node.result().node_facts().facts();
    const auto it = facts.find(path);
    if (it == facts.end()) {
      values["(none)"].push_back(name);
      continue;
    }
    const nlohmann::json json = api::FromValue(it->second);
    values[Safe(json.is_string() ? json.get<std::string>() : json.dump())].push_back(name);
  }
  std::vector<std::pair<std::string, std::vector<std::string>>> sorted(values.begin(),
                                                                       values.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second.size() > b.second.size(); });
  size_t widest = 0;
  for (const auto& [value, nodes] : sorted)
    widest = std::max(widest, std::min<size_t>(value.size(), 40));
  for (const auto& [value, nodes] : sorted) {
    const int bar = static_cast<int>(nodes.size() * 30 / answered);
    terminal.out << absl::StrFormat("%-*s %6d  %s\n", static_cast<int>(widest), value, nodes.size(),
                                    std::string(std::max(bar, 1), '#'));
    if (OutputOf(options) == Output::kWide) {
      for (const std::string& node : nodes) terminal.out << "    " << node << "\n";
    }
  }
  terminal.out.flush();
}

}  // namespace

void AddFactsCommand(CLI::App& app, Session& session) {
  auto facts_flags = std::make_shared<JobRequestFlags>();
  auto fact = std::make_shared<std::string>();
  CLI::App* facts = app.add_subcommand("facts", "how a fact's values are distributed");
  facts->add_option("fact", *fact, "its dotted path, for example os.family")->required();
  facts_flags->AddTo(facts, false);
  facts->callback([&session, facts_flags, fact] {
    session.run = [&session, facts_flags, fact] {
      return ReadOnlyJob(session, *facts_flags, "node.facts", {absl::StrCat("facts=", *fact)},
                         [&](const Tally& tally) {
                           ShowDistribution(session.terminal, session.options, *fact, tally);
                         });
    };
  });
}

}  // namespace orch::cli
