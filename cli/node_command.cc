// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <memory>
#include <ostream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "api/json.h"
#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/follow.h"
#include "cli/render.h"

namespace orch::cli {
namespace {

using orch::v1::Node;

absl::Time ToTime(const google::protobuf::Timestamp& t) {
  return absl::FromUnixSeconds(t.seconds()) + absl::Nanoseconds(t.nanos());
}

std::string RosterWord(const Node& node) {
  return std::string(absl::StripPrefix(orch::v1::RosterState_Name(node.state()), "ROSTER_STATE_"));
}

int ListNodes(Session& session, const TargetFlags& flags) {
  const absl::StatusOr<orch::v1::Target> target = flags.Build();
  if (!target.ok()) return Fail(session, target.status());
  const auto connection = Connect(session);
  if (!connection.ok()) return Fail(session, connection.status());
  orch::v1::ListNodesRequest request;
  *request.mutable_target() = *target;
  request.set_page_size(1000);
  orch::v1::ListNodesResponse all;
  do {
    const auto response = (*connection)->Call(request);
    if (!response.ok()) return Fail(session, response.status());
    all.mutable_nodes()->MergeFrom(response->nodes());
    request.set_page_token(response->next_page_token());
  } while (!request.page_token().empty());
  Terminal& terminal = session.terminal;
  const Output output = OutputOf(session.options);
  if (output == Output::kName) {
    for (const Node& node : all.nodes()) terminal.out << node.identity() << "\n";
  } else if (output == Output::kJsonl) {
    for (const Node& node : all.nodes()) terminal.out << Serialized(node, output);
  } else if (output == Output::kJson || output == Output::kYaml) {
    terminal.out << Serialized(all, output);
  } else {
    std::vector<std::vector<std::string>> rows = {
        {"NODE", "STATE", "LAST SEEN", "VERSION", "PUPPET"}};
    if (output == Output::kWide)
      rows[0].insert(rows[0].end(), {"SKEW", "CERTIFICATE ENDS", "COLLECTIVES"});
    for (const Node& node : all.nodes()) {
      rows.push_back({node.identity(), RosterWord(node),
                      Age(absl::Now() - ToTime(node.last_seen())) + " ago", node.version(),
                      node.puppet().status().empty() ? "-" : node.puppet().status()});
      if (output == Output::kWide) {
        rows.back().insert(rows.back().end(), {absl::StrCat(node.clock_skew().seconds(), " s"),
                                               When(node.certificate_end_time()),
                                               absl::StrJoin(node.collectives(), ",")});
      }
    }
    terminal.out << Table(rows, !session.options.no_headers);
  }
  terminal.out.flush();
  return all.nodes_size() == 0 ? kExitNothing : kExitOk;
}

int ShowNode(Session& session, const std::string& identity) {
  const auto connection = Connect(session);
  if (!connection.ok()) return Fail(session, connection.status());
  orch::v1::GetNodeRequest request;
  request.set_name(absl::StartsWith(identity, "nodes/") ? identity
                                                        : absl::StrCat("nodes/", identity));
  const auto response = (*connection)->Call(request);
  if (!response.ok()) return Fail(session, response.status());
  const Output output = OutputOf(session.options);
  if (output == Output::kTable || output == Output::kWide) {
    const Node& node = response->node();
    session.terminal.out << Paint(session.terminal, Color::kBold, node.identity()) << "  "
                         << RosterWord(node) << "\n  last seen         " << When(node.last_seen())
                         << "\n  version           " << node.version() << "\n  collectives       "
                         << absl::StrJoin(node.collectives(), ", ") << "\n  clock skew        "
                         << node.clock_skew().seconds() << " s\n  certificate ends  "
                         << When(node.certificate_end_time()) << "\n  puppet            "
                         << Safe(node.puppet().message()) << "\n  classes           "
                         << absl::StrJoin(node.classes(), ", ") << "\n";
    for (const auto& error : node.fact_errors()) {
      session.terminal.out << "  source " << Safe(error.source()) << " fails since "
                           << When(error.since()) << ": " << Safe(error.message()) << "\n";
    }
    std::map<std::string, std::string> facts;
    for (const auto& [path, value] : node.facts().fields())
      facts[path] = api::FromValue(value).dump();
    for (const auto& [path, value] : facts)
      session.terminal.out << "    " << path << " = " << Safe(value) << "\n";
    session.terminal.out.flush();
  } else {
    session.terminal.out << Serialized(response->node(), output) << std::flush;
  }
  return kExitOk;
}

}  // namespace

void AddNodeCommands(CLI::App& app, Session& session) {
  CLI::App* node = app.add_subcommand("node", "what the controller knows of the nodes");
  node->require_subcommand(1);
  auto list_flags = std::make_shared<TargetFlags>();
  CLI::App* list = node->add_subcommand("list", "the roster");
  list_flags->AddTo(list);
  list->callback([&session, list_flags] {
    session.run = [&session, list_flags] { return ListNodes(session, *list_flags); };
  });
  auto show_name = std::make_shared<std::string>();
  CLI::App* show = node->add_subcommand("show", "one node with its facts");
  show->add_option("node", *show_name, "its identity")->required();
  show->callback([&session, show_name] {
    session.run = [&session, show_name] { return ShowNode(session, *show_name); };
  });
}

}  // namespace orch::cli
