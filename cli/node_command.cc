// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <memory>
#include <ostream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "api/names.h"
#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/follow.h"
#include "cli/node_text.h"
#include "cli/rejoin.h"
#include "cli/render.h"

namespace orch::cli {
namespace {

using orch::v1::Node;
using Nodes = google::protobuf::RepeatedPtrField<Node>;

struct NodeListFlags {
  TargetFlags target;
  bool stale = false, gone = false, watch = false;
};

// What is asked for: the target, and of that the nodes of --nodes; without it all.
struct Asked {
  orch::v1::Target target;
  std::vector<std::string> names;  // sorted
};

// Leaves the nodes that --nodes, --stale and --gone ask for.
void KeepAsked(const NodeListFlags& flags, const Asked& asked, Nodes* nodes) {
  const std::vector<std::string>& names = asked.names;
  nodes->erase(
      std::remove_if(nodes->begin(), nodes->end(),
                     [&](const Node& node) {
                       if (!names.empty() &&
                           !std::binary_search(names.begin(), names.end(), node.identity())) {
                         return true;
                       }
                       if (!flags.stale && !flags.gone) return false;
                       const bool stale = node.state() == orch::v1::ROSTER_STATE_STALE;
                       const bool gone = node.state() == orch::v1::ROSTER_STATE_GONE;
                       return !(stale && flags.stale) && !(gone && flags.gone);
                     }),
      nodes->end());
}

// The nodes' part of a list's output; the JSON of the whole is the caller's.
void PrintNodes(Session& session, const Grid& grid, const Nodes& nodes, bool headers) {
  Terminal& terminal = session.terminal;
  const Output output = OutputOf(session.options);
  if (output == Output::kName) {
    for (const Node& node : nodes) terminal.out << node.identity() << "\n";
  } else if (output == Output::kJsonl) {
    for (const Node& node : nodes) terminal.out << Serialized(node, output);
  } else if (nodes.size() > 0) {
    const size_t columns = output == Output::kWide ? grid.headers().size() : kNodeColumns;
    PrintCut(session, grid.Print(headers, columns));
  }
  terminal.out.flush();
}

// The nodes and then each change, until ^C, or the controller is gone for good; after a loss all of
// them again.
int WatchNodes(Session& session, Connection& connection, const NodeListFlags& flags,
               const Asked& asked) {
  const Output output = OutputOf(session.options);
  if (output == Output::kJson || output == Output::kYaml || !session.options.sort_by.empty()) {
    return Fail(session, absl::InvalidArgumentError(
                             "--watch: changes come one after the other, so -o json, -o yaml and "
                             "--sort-by are not for it; -o jsonl is"));
  }
  orch::v1::WatchNodesRequest request;
  *request.mutable_target() = asked.target;
  std::unique_ptr<NodeChanges> stream = connection.WatchNodes(request);
  Rejoin rejoin(session, connection);
  bool known = false;
  bool headers = !session.options.no_headers;
  while (session.terminal.out) {
    orch::v1::WatchNodesResponse batch;
    const NodeChanges::Got got = stream->Next(absl::Seconds(1), &batch);
    if (got == NodeChanges::Got::kEnd) {
      if (!rejoin.May(stream->status(), known, kRejoinFor, "joining again")) {
        return Fail(session, stream->status().ok()
                                 ? absl::UnavailableError("the controller ended the watch")
                                 : stream->status());
      }
      rejoin.Await();
      stream = connection.WatchNodes(request);
      continue;
    }
    if (got == NodeChanges::Got::kNothingYet) continue;
    known = true;
    rejoin.OnMessage();
    KeepAsked(flags, asked, batch.mutable_nodes());
    if (batch.nodes_size() == 0) continue;
    const Grid grid = NodeGrid(batch.nodes(), session.terminal, absl::Now());
    PrintNodes(session, grid, batch.nodes(), headers);
    headers = false;
  }
  return kExitInternal;  // nobody takes what is printed
}

int ListNodes(Session& session, const NodeListFlags& flags) {
  absl::StatusOr<orch::v1::Target> target = flags.target.Build();
  if (!target.ok()) return Fail(session, target.status());
  absl::StatusOr<std::vector<std::string>> names = flags.target.Nodes();
  if (!names.ok()) return Fail(session, names.status());
  const Asked asked{*std::move(target), *std::move(names)};
  const auto connection = Connect(session);
  if (!connection.ok()) return Fail(session, connection.status());
  if (flags.watch) return WatchNodes(session, **connection, flags, asked);
  orch::v1::ListNodesRequest request;
  *request.mutable_target() = asked.target;
  request.set_page_size(1000);
  orch::v1::ListNodesResponse all;
  do {
    const auto response = (*connection)->Call(request);
    if (!response.ok()) return Fail(session, response.status());
    all.mutable_nodes()->MergeFrom(response->nodes());
    request.set_page_token(response->next_page_token());
  } while (!request.page_token().empty());
  KeepAsked(flags, asked, all.mutable_nodes());
  Grid grid = NodeGrid(all.nodes(), session.terminal, absl::Now());
  const absl::Status sorted = grid.SortBy(session.options.sort_by);
  if (!sorted.ok()) return Fail(session, sorted);
  grid.Arrange(all.mutable_nodes());
  const Output output = OutputOf(session.options);
  if (output == Output::kJson || output == Output::kYaml) {
    session.terminal.out << Serialized(all, output) << std::flush;
  } else {
    PrintNodes(session, grid, all.nodes(), !session.options.no_headers);
  }
  if (!session.options.quiet) session.terminal.err << NodeCounts(all.nodes()) << std::endl;
  return all.nodes_size() == 0 ? kExitNothing : kExitOk;
}

int ShowNode(Session& session, const std::string& identity) {
  const auto connection = Connect(session);
  if (!connection.ok()) return Fail(session, connection.status());
  orch::v1::GetNodeRequest request;
  request.set_name(api::NodeName(api::IdentityOf(identity)));
  const auto response = (*connection)->Call(request);
  if (!response.ok()) return Fail(session, response.status());
  const Node& node = response->node();
  const Output output = OutputOf(session.options);
  if (output == Output::kTable || output == Output::kWide) {
    session.terminal.out << NodeText(node, session.terminal, absl::Now(), output == Output::kWide);
  } else if (output == Output::kName) {
    session.terminal.out << node.identity() << "\n";
  } else {
    session.terminal.out << Serialized(node, output);
  }
  session.terminal.out.flush();
  return kExitOk;
}

}  // namespace

void AddNodeCommands(CLI::App& app, Session& session) {
  CLI::App* node = app.add_subcommand("node", "what the controller knows of the nodes");
  node->require_subcommand(1);
  auto list_flags = std::make_shared<NodeListFlags>();
  CLI::App* list = node->add_subcommand("list", "the roster");
  list->add_flag("--stale", list_flags->stale, "only nodes not heard of for too long");
  list->add_flag("--gone", list_flags->gone, "only nodes that said goodbye; with --stale both");
  list->add_flag("--watch", list_flags->watch, "then each change, until ^C");
  list_flags->target.AddTo(list);
  const Grid columns = NodeGrid({}, session.terminal, absl::Now());
  for (const std::string& header : columns.headers())
    session.sort_keys[list].push_back(SortKey(header));
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
