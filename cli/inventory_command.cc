// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <memory>
#include <ostream>

#include "absl/strings/str_join.h"
#include "api/json.h"
#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/gather.h"
#include "cli/render.h"

namespace orch::cli {
namespace {

void ShowInventory(Terminal& terminal, const Tally& tally) {
  for (const auto& [name, node] : tally.nodes()) {
    if (!node.result().has_node_inventory()) continue;
    const auto& inventory = node.result().node_inventory();
    terminal.out << Paint(terminal, Color::kBold, name) << "\n  version      "
                 << inventory.version() << "\n  collectives  "
                 << absl::StrJoin(inventory.collectives(), ", ") << "\n  puppet       "
                 << Safe(inventory.puppet().message()) << "\n  actions      "
                 << absl::StrJoin(inventory.actions(), ", ") << "\n  classes      "
                 << absl::StrJoin(inventory.classes(), ", ") << "\n  facts (read "
                 << When(inventory.facts_time()) << ")\n";
    std::map<std::string, std::string> facts;
    for (const auto& [path, value] : inventory.facts().fields())
      facts[path] = api::FromValue(value).dump();
    for (const auto& [path, value] : facts)
      terminal.out << "    " << path << " = " << Safe(value) << "\n";
  }
  terminal.out.flush();
}

}  // namespace

void AddInventoryCommand(CLI::App& app, Session& session) {
  auto inventory_flags = std::make_shared<JobRequestFlags>();
  auto inventory_nodes = std::make_shared<std::vector<std::string>>();
  CLI::App* inventory = app.add_subcommand("inventory", "everything that nodes know of themselves");
  inventory->add_option("node", *inventory_nodes, "identities");
  inventory_flags->AddTo(inventory, false);
  inventory->callback([&session, inventory_flags, inventory_nodes] {
    session.run = [&session, inventory_flags, inventory_nodes] {
      for (const std::string& node : *inventory_nodes)
        inventory_flags->target.identities.push_back(node);
      if (inventory_flags->target.empty()) {
        return Fail(session, absl::InvalidArgumentError(
                                 "inventory: name a node, or say which with target flags"));
      }
      return ReadOnlyJob(session, *inventory_flags, "node.inventory", {},
                         [&](const Tally& tally) { ShowInventory(session.terminal, tally); });
    };
  });
}

}  // namespace orch::cli
