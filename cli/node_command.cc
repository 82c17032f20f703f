// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <memory>
#include <ostream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "api/catalog.h"
#include "api/json.h"
#include "base/config.h"
#include "base/ids.h"
#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/follow.h"
#include "cli/render.h"
#include "cli/tally.h"

namespace orch::cli {
namespace {

using orch::v1::Node;

absl::Time ToTime(const google::protobuf::Timestamp& t) {
  return absl::FromUnixSeconds(t.seconds()) + absl::Nanoseconds(t.nanos());
}

int Ping(Session& session, const JobRequestFlags& flags) {
  absl::StatusOr<orch::v1::Action> action = api::Parse("node.ping", {});
  absl::StatusOr<orch::v1::JobSpec> spec = BuildSpec(session, flags, *std::move(action));
  if (!spec.ok()) return Fail(session, spec.status());
  const auto connection = Connect(session);
  if (!connection.ok()) return Fail(session, connection.status());
  return RunAndFollow(session, **connection, *std::move(spec));
}

// Runs a read-only job to its end without printing its nodes, for commands that show the whole
// differently.
absl::StatusOr<Tally> Gather(Session& session, Connection& connection, orch::v1::JobSpec spec) {
  orch::v1::RunJobRequest request;
  *request.mutable_spec() = std::move(spec);
  const std::unique_ptr<JobStream> stream = connection.Run(request);
  Tally tally;
  for (;;) {
    orch::v1::WatchJobResponse batch;
    switch (stream->Next(absl::Seconds(1), &batch)) {
      case JobStream::Got::kMessage:
        tally.Apply(batch);
        break;
      case JobStream::Got::kNothingYet:
        break;
      case JobStream::Got::kEnd:
        if (!tally.finished() && !stream->status().ok()) return stream->status();
        return tally;
    }
  }
}

int Find(Session& session, const JobRequestFlags& flags) {
  const absl::StatusOr<orch::v1::Target> target = flags.target.Build();
  if (!target.ok()) return Fail(session, target.status());
  const absl::StatusOr<std::vector<std::string>> only = flags.target.Nodes();
  if (!only.ok()) return Fail(session, only.status());
  const auto connection = Connect(session);
  if (!connection.ok()) return Fail(session, connection.status());
  orch::v1::DiscoverNodesRequest request;
  *request.mutable_target() = *target;
  if (!session.options.timeout.empty()) {
    const absl::StatusOr<absl::Duration> timeout = base::ParseDuration(session.options.timeout);
    if (!timeout.ok()) return Fail(session, timeout.status());
    request.mutable_timeout()->set_nanos(
        static_cast<int32_t>(absl::ToInt64Nanoseconds(*timeout % absl::Seconds(1))));
    request.mutable_timeout()->set_seconds(absl::ToInt64Seconds(*timeout));
  }
  const std::unique_ptr<NodeStream> stream = (*connection)->Discover(request);
  orch::v1::DiscoverNodesResponse all;
  for (;;) {
    orch::v1::DiscoverNodesResponse batch;
    const NodeStream::Got got = stream->Next(absl::Seconds(1), &batch);
    if (got == NodeStream::Got::kEnd) break;
    if (got == NodeStream::Got::kMessage) all.MergeFrom(batch);
  }
  if (!stream->status().ok()) return Fail(session, stream->status());
  const auto by_name = [](const Node& a, const Node& b) { return a.identity() < b.identity(); };
  std::sort(all.mutable_nodes()->begin(), all.mutable_nodes()->end(), by_name);
  std::sort(all.mutable_silent()->begin(), all.mutable_silent()->end(), by_name);
  if (!only->empty()) {
    const auto unwanted = [&only](const Node& n) {
      return !std::binary_search(only->begin(), only->end(), n.identity());
    };
    all.mutable_nodes()->erase(
        std::remove_if(all.mutable_nodes()->begin(), all.mutable_nodes()->end(), unwanted),
        all.mutable_nodes()->end());
    all.mutable_silent()->erase(
        std::remove_if(all.mutable_silent()->begin(), all.mutable_silent()->end(), unwanted),
        all.mutable_silent()->end());
  }
  Terminal& terminal = session.terminal;
  const Output output = OutputOf(session.options);
  if (output == Output::kJsonl) {
    for (const Node& node : all.nodes()) terminal.out << Serialized(node, output);
  } else if (output == Output::kJson || output == Output::kYaml) {
    terminal.out << Serialized(all, output);
  } else {
    for (const Node& node : all.nodes()) terminal.out << node.identity() << "\n";
  }
  terminal.out.flush();
  if (!session.options.quiet) {
    for (const Node& node : all.silent()) {
      terminal.err << node.identity() << ": no answer, last seen " << When(node.last_seen())
                   << "\n";
    }
    terminal.err << all.nodes_size() << (all.nodes_size() == 1 ? " node" : " nodes") << std::endl;
  }
  if (all.silent_size() > 0) return kExitNoAnswer;
  return all.nodes_size() == 0 ? kExitNothing : kExitOk;
}

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

int ReadOnlyJob(Session& session, const JobRequestFlags& flags, const std::string& action_name,
                const std::vector<std::string>& words,
                const std::function<void(const Tally&)>& show) {
  absl::StatusOr<orch::v1::Action> action = api::Parse(action_name, words);
  if (!action.ok()) return Fail(session, action.status());
  absl::StatusOr<orch::v1::JobSpec> spec = BuildSpec(session, flags, *std::move(action));
  if (!spec.ok()) return Fail(session, spec.status());
  const absl::StatusOr<Tolerance> tolerance = Tolerance::Parse(session.options.tolerate);
  if (!tolerance.ok()) return Fail(session, tolerance.status());
  const auto connection = Connect(session);
  if (!connection.ok()) return Fail(session, connection.status());
  absl::StatusOr<Tally> tally = Gather(session, **connection, *std::move(spec));
  if (!tally.ok()) return Fail(session, tally.status());
  const Output output = OutputOf(session.options);
  if (output == Output::kJson || output == Output::kYaml || output == Output::kJsonl) {
    session.terminal.out << Serialized(tally->Report(), output) << std::flush;
  } else {
    show(*tally);
    for (const auto& [name, node] : tally->nodes()) {
      if (node.state() != orch::v1::NODE_STATE_SUCCEEDED)
        session.terminal.err << NodeLine(session.terminal, node) << "\n";
    }
    if (tally->nodes().empty()) session.terminal.err << "no node matched" << std::endl;
  }
  return tally->Exit(*tolerance);
}

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
  auto ping_flags = std::make_shared<JobRequestFlags>();
  CLI::App* ping = app.add_subcommand("ping", "ask who is there");
  ping_flags->AddTo(ping, false);
  ping->callback([&session, ping_flags] {
    session.run = [&session, ping_flags] { return Ping(session, *ping_flags); };
  });

  auto find_flags = std::make_shared<JobRequestFlags>();
  CLI::App* find = app.add_subcommand("find", "the names of the nodes that match");
  find_flags->AddTo(find, false);
  find->callback([&session, find_flags] {
    session.run = [&session, find_flags] { return Find(session, *find_flags); };
  });

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
