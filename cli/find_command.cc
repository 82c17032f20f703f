// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <memory>
#include <ostream>

#include "api/catalog.h"
#include "base/config.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/follow.h"
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
    request.mutable_timeout()->set_seconds(absl::ToInt64Seconds(timeout));
    request.mutable_timeout()->set_nanos(
        static_cast<int32_t>(absl::ToInt64Nanoseconds(timeout % absl::Seconds(1))));
  }
  return request;
}

int Find(Session& session, const JobRequestFlags& flags) {
  const absl::StatusOr<orch::v1::DiscoverNodesRequest> request = DiscoverRequest(session, flags);
  if (!request.ok()) return Fail(session, request.status());
  const absl::StatusOr<std::vector<std::string>> only = flags.target.Nodes();
  if (!only.ok()) return Fail(session, only.status());
  const auto connection = Connect(session);
  if (!connection.ok()) return Fail(session, connection.status());
  const std::unique_ptr<NodeStream> stream = (*connection)->Discover(*request);
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

}  // namespace

void AddFindCommands(CLI::App& app, Session& session) {
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
}

}  // namespace orch::cli
