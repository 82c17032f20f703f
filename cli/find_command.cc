// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <memory>
#include <ostream>

#include "api/catalog.h"
#include "base/config.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/follow.h"
#include "cli/grid.h"
#include "cli/nothing.h"
#include "cli/render.h"

namespace orch::cli {
namespace {

using orch::v1::Node;

int Ping(Session& session, const JobRequestFlags& flags) {
  absl::StatusOr<orch::v1::Action> action = api::Parse("node.ping", {});
  absl::StatusOr<orch::v1::JobSpec> spec = BuildSpec(session, flags, *std::move(action));
  if (!spec.ok()) return Fail(session, spec.status());
  const auto connection = Connect(session);
  if (!connection.ok()) return Fail(session, connection.status());
  return RunAndFollow(session, **connection, *std::move(spec));
}

// What the flags ask the fleet. InvalidArgument names the flag.
absl::StatusOr<orch::v1::DiscoverNodesRequest> DiscoverRequest(const Session& session,
                                                               const JobRequestFlags& flags) {
  orch::v1::DiscoverNodesRequest request;
  ORCH_ASSIGN_OR_RETURN(*request.mutable_target(), flags.target.Build());
  if (!session.options.timeout.empty()) {
    ORCH_ASSIGN_OR_RETURN(const absl::Duration timeout,
                          base::ParseDuration(session.options.timeout));
    *request.mutable_timeout() = ToProtoDuration(timeout);
  }
  ORCH_RETURN_IF_ERROR(flags.naming.FillIn(session, flags.target, &request));
  return request;
}

Grid GridOf(const orch::v1::DiscoverNodesResponse& all) {
  Grid grid({"NODE", "VERSION", "ANSWERED"});
  for (const Node& node : all.nodes()) {
    grid.Add({node.identity(), Safe(node.version()),
              Cell(When(node.last_seen()),
                   absl::ToDoubleSeconds(ToTime(node.last_seen()) - absl::UnixEpoch()))});
  }
  return grid;
}

void PrintFound(Session& session, const Grid& grid, const orch::v1::DiscoverNodesResponse& all) {
  Terminal& terminal = session.terminal;
  const Output output = OutputOf(session.options);
  switch (output) {
    case Output::kJsonl:
      for (const Node& node : all.nodes()) terminal.out << Serialized(node, output);
      break;
    case Output::kJson:
    case Output::kYaml:
      terminal.out << Serialized(all, output);
      break;
    case Output::kWide:
      if (all.nodes_size() > 0)
        terminal.out << grid.Print(!session.options.no_headers, grid.headers().size());
      break;
    case Output::kTable:
    case Output::kName:
      for (const Node& node : all.nodes()) terminal.out << node.identity() << "\n";
      break;
  }
  terminal.out.flush();
}

void NameSilent(const Session& session, const orch::v1::DiscoverNodesResponse& all) {
  for (const Node& node : all.silent()) {
    session.terminal.err << node.identity() << ": no answer, last seen " << When(node.last_seen())
                         << "\n";
  }
  if (!session.options.quiet) {
    session.terminal.err << all.nodes_size() << (all.nodes_size() == 1 ? " node" : " nodes");
    if (all.silent_size() > 0) session.terminal.err << ", " << all.silent_size() << " silent";
    session.terminal.err << "\n";
  }
  session.terminal.err.flush();
}

// Reads the stream to its end; nodes are printed as they answer only as JSON lines that nobody
// wants sorted: lists that people and pipes compare have to come out the same every time.
absl::Status ReadAll(Session& session, NodeStream& stream, orch::v1::DiscoverNodesResponse* all) {
  const bool at_once =
      OutputOf(session.options) == Output::kJsonl && session.options.sort_by.empty();
  for (;;) {
    orch::v1::DiscoverNodesResponse batch;
    const NodeStream::Got got = stream.Next(absl::Seconds(1), &batch);
    if (got == NodeStream::Got::kEnd) return stream.status();
    if (got == NodeStream::Got::kNothingYet) continue;
    if (at_once) PrintFound(session, Grid(std::vector<std::string>()), batch);
    all->MergeFrom(batch);
  }
}

int Find(Session& session, const JobRequestFlags& flags) {
  // What would be asked is what a ping would ask.
  if (session.options.dry_run) return Ping(session, flags);
  const absl::StatusOr<orch::v1::DiscoverNodesRequest> request = DiscoverRequest(session, flags);
  if (!request.ok()) return Fail(session, request.status());
  const absl::StatusOr<Tolerance> tolerance = Tolerance::Parse(session.options.tolerate);
  if (!tolerance.ok()) return Fail(session, tolerance.status());
  const auto connection = Connect(session);
  if (!connection.ok()) return Fail(session, connection.status());
  const std::unique_ptr<NodeStream> stream = (*connection)->Discover(*request);
  orch::v1::DiscoverNodesResponse all;
  const absl::Status read = ReadAll(session, *stream, &all);
  if (!read.ok()) return Fail(session, read);
  const auto by_name = [](const Node& a, const Node& b) { return a.identity() < b.identity(); };
  std::sort(all.mutable_nodes()->begin(), all.mutable_nodes()->end(), by_name);
  std::sort(all.mutable_silent()->begin(), all.mutable_silent()->end(), by_name);
  Grid grid = GridOf(all);
  const absl::Status sorted = grid.SortBy(session.options.sort_by);
  if (!sorted.ok()) return Fail(session, sorted);
  grid.Arrange(all.mutable_nodes());
  const bool printed =
      OutputOf(session.options) == Output::kJsonl && session.options.sort_by.empty();
  if (!printed) PrintFound(session, grid, all);
  NameSilent(session, all);
  if (all.nodes().empty() && all.silent().empty() && !session.options.quiet) {
    for (const std::string& line : WhyNobody(**connection, request->target(), request->nodes())) {
      session.terminal.err << line << "\n";
    }
  }
  const size_t meant = all.nodes_size() + all.silent_size();
  if (!tolerance->Forgives(all.silent_size(), meant)) return kExitNoAnswer;
  return all.nodes_size() == 0 ? kExitNothing : kExitOk;
}

}  // namespace

void AddFindCommands(CLI::App& app, Session& session) {
  auto ping_flags = std::make_shared<JobRequestFlags>();
  CLI::App* ping = app.add_subcommand("ping", "ask who is there");
  ping_flags->AddTo(ping, false);
  ping_flags->target.AddNodes(ping);
  session.sort_keys[ping] = NodeSortKeys();
  ping->callback([&session, ping_flags] {
    session.run = [&session, ping_flags] { return Ping(session, *ping_flags); };
  });

  auto find_flags = std::make_shared<JobRequestFlags>();
  CLI::App* find = app.add_subcommand("find", "the names of the nodes that match");
  find_flags->target.AddTo(find);
  find_flags->naming.AddTo(find, /*asks_only=*/true);
  find_flags->target.AddNodes(find);
  session.sort_keys[find] = {"node", "version", "answered"};
  find->callback([&session, find_flags] {
    session.run = [&session, find_flags] { return Find(session, *find_flags); };
  });
}

}  // namespace orch::cli
