// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <optional>
#include <ostream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "api/names.h"
#include "base/config.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/gather.h"
#include "cli/node_text.h"
#include "cli/render.h"
#include "cli/report.h"

namespace orch::cli {
namespace {

// More nodes are shown by what they say themselves alone.
constexpr size_t kMeasuredNodesMax = 20;

struct InventoryFlags {
  JobRequestFlags job;
  std::vector<std::string> nodes;
  std::string format, columns;
};

// What the controller has measured of a node; nothing where it says no.
std::optional<orch::v1::Node> Measured(Connection& connection, const std::string& identity) {
  orch::v1::GetNodeRequest request;
  request.set_name(api::NodeName(identity));
  auto response = connection.Call(request);
  if (!response.ok()) return std::nullopt;
  return std::move(*response->mutable_node());
}

void ShowInventories(Session& session, const Tally& tally) {
  const bool wide = OutputOf(session.options) == Output::kWide;
  const auto connection = Connect(session);
  bool first = true;
  for (const auto& [name, node] : tally.nodes()) {
    if (!node.result().has_node_inventory()) continue;
    std::optional<orch::v1::Node> known;
    if (connection.ok() && tally.nodes().size() <= kMeasuredNodesMax)
      known = Measured(**connection, name);
    session.terminal.out << (first ? "" : "\n")
                         << InventoryText(node, known.has_value() ? &*known : nullptr,
                                          session.terminal, absl::Now(), wide);
    first = false;
  }
  session.terminal.out.flush();
}

absl::StatusOr<Report> ReportOf(const InventoryFlags& flags) {
  std::string format = flags.format;
  if (absl::StartsWith(format, "@")) {
    absl::StatusOr<std::string> file = base::ReadFile(format.substr(1));
    if (!file.ok()) return base::Annotate(file.status(), absl::StrCat("--format ", format));
    format = *std::move(file);
    if (absl::EndsWith(format, "\n")) format.pop_back();
  }
  return Report::Parse(format, flags.columns);
}

int RunReport(Session& session, const InventoryFlags& flags) {
  absl::StatusOr<Report> report = ReportOf(flags);
  if (!report.ok()) return Fail(session, report.status());
  const std::string& sort_by = session.options.sort_by;
  if (const absl::Status sortable = report->CheckSortBy(sort_by); !sortable.ok())
    return Fail(session, sortable);
  const auto show = [&](const Tally&) {
    session.terminal.out << report->Print(session.terminal, sort_by,
                                          OutputOf(session.options) == Output::kWide,
                                          !session.options.no_headers);
  };
  // A fleet's inventories are large: of each only the columns are kept.
  const auto take = [&](orch::v1::JobNode* node) {
    report->Add(*node);
    node->clear_result();
  };
  return ReadOnlyJob(session, flags.job, report->Question(), show, take);
}

int RunInventory(Session& session, InventoryFlags& flags) {
  for (const std::string& node : flags.nodes) flags.job.target.identities.push_back(node);
  if (!flags.format.empty() || !flags.columns.empty()) return RunReport(session, flags);
  if (!session.options.sort_by.empty()) {
    return Fail(session,
                absl::InvalidArgumentError("--sort-by: sorts the rows of --columns and --format"));
  }
  if (flags.job.target.empty() && flags.job.naming.empty()) {
    return Fail(session, absl::InvalidArgumentError(
                             "inventory: name a node, or say which with target flags"));
  }
  orch::v1::Action action;
  action.mutable_node_inventory();
  return ReadOnlyJob(session, flags.job, std::move(action),
                     [&](const Tally& tally) { ShowInventories(session, tally); });
}

}  // namespace

void AddInventoryCommand(CLI::App& app, Session& session) {
  auto flags = std::make_shared<InventoryFlags>();
  CLI::App* inventory = app.add_subcommand(
      "inventory", "everything that nodes know of themselves, or a report of parts of it");
  inventory->add_option("node", flags->nodes, "identities");
  const std::string group = "Report";
  inventory
      ->add_option("--columns", flags->columns,
                   "one row a node, for example identity,facts.os.family,classes")
      ->group(group)
      ->type_name("A,B,C");
  inventory
      ->add_option("--format", flags->format,
                   "table or csv, with :A,B,C or --columns; a template such as "
                   "'{{ identity }} {{ facts.os.family }}'; or @FILE with one")
      ->group(group)
      ->type_name("FORMAT");
  flags->job.AddTo(inventory, false);
  session.sort_keys[inventory] = {};
  inventory->callback([&session, flags] {
    session.run = [&session, flags] { return RunInventory(session, *flags); };
  });
}

}  // namespace orch::cli
