// SPDX-License-Identifier: Apache-2.0
#include "test/sim/ledger.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "api/states.h"
#include "base/ids.h"
#include "base/proto_time.h"
#include "orch/bus/v1/envelope.pb.h"
#include "orch/bus/v1/request.pb.h"

namespace orch::sim {
namespace {

// From a request's acceptance, which its expiry bounds, until the action has it.
constexpr absl::Duration kHandOverMost = absl::Seconds(1);
// By then a controller that asks for outcomes every five minutes knows what a node has to tell.
constexpr absl::Duration kToldMost = absl::Minutes(12);

std::string Word(orch::v1::NodeState state) {
  return orch::v1::NodeState_Name(state).substr(sizeof("NODE_STATE_") - 1);
}

using api::IsTerminal;
bool IsOver(orch::v1::JobState state) { return api::IsEnd(state); }

// What the controller says with this is that the node never starts.
bool SaysNever(const orch::v1::JobNode& node) {
  switch (node.state()) {
    case orch::v1::NODE_STATE_REFUSED:
    case orch::v1::NODE_STATE_DENIED:
    case orch::v1::NODE_STATE_CANCELLED:
      return true;
    case orch::v1::NODE_STATE_NO_RESPONSE:
      return node.reason() == "silent";  // not on the frozen list: it was sent nothing
    default:
      return false;
  }
}

}  // namespace

absl::Duration Ledger::SinceBeginning(const google::protobuf::Timestamp& time) const {
  return world_->now() - (world_->wall() - ToTime(time));
}

void Ledger::Violate(const std::string& job, const std::string& node, const std::string& what) {
  world_->Violate(
      absl::StrCat("job ", job.substr(20), node.empty() ? "" : ", node ", node, ": ", what));
}

void Ledger::OnPublished(const std::string& destination, const std::string& body) {
  orch::bus::v1::Envelope envelope;
  orch::bus::v1::Request request;
  if (destination.find(".node.") == std::string::npos || !envelope.ParseFromString(body) ||
      !request.ParseFromString(envelope.payload()) || !request.has_action() ||
      request.controller() != "c1") {
    return;
  }
  const std::string id = base::Hex(request.request_id());
  if (expiries_.emplace(id, ToTime(request.expire_time())).second) {
    world_->Tell("c1", absl::StrCat("publishes request ", id.substr(0, 6), " to ",
                                    request.nodes_size(), " nodes"));
  }
}

void Ledger::OnHandedOver(const std::string& node, const std::string& request, absl::Time wall) {
  world_->Tell(node, absl::StrCat("carries out request ", request.substr(0, 6)));
  if (++handed_over_[{node, request}] > 1) {
    world_->Violate(absl::StrCat("node ", node, " carries out request ", request.substr(0, 6),
                                 " a second time"));
  }
  const auto expiry = expiries_.find(request);
  if (expiry == expiries_.end()) {
    world_->Violate(absl::StrCat("node ", node, " carries out a request that c1 never sent"));
  } else if (wall > expiry->second + kHandOverMost) {
    world_->Violate(absl::StrCat("node ", node, " starts request ", request.substr(0, 6), ", void ",
                                 absl::FormatDuration(wall - expiry->second), " before"));
  }
}

TrueRun* Ledger::NewRun(const std::string& node, const std::string& job,
                        const std::string& request) {
  auto run = std::make_unique<TrueRun>();
  run->node = node;
  run->job = job;
  run->request = request;
  run->mark = absl::StrCat("run ", runs_.size() + 1, " on ", node);
  return runs_.emplace_back(std::move(run)).get();
}

void Ledger::OnStarted(TrueRun* run) {
  run->started = world_->now();
  world_->Tell(run->node, absl::StrCat("Puppet starts: ", run->mark));
  const std::vector<const TrueRun*> runs = RunsOf(run->node, run->job);
  const auto started = std::count_if(runs.begin(), runs.end(),
                                     [](const TrueRun* one) { return one->started.has_value(); });
  if (started > 1) Violate(run->job, run->node, "Puppet is started twice");
}

std::vector<const TrueRun*> Ledger::RunsOf(const std::string& node, const std::string& job) const {
  std::vector<const TrueRun*> out;
  for (const auto& run : runs_) {
    if (run->node == node && run->job == job) out.push_back(run.get());
  }
  return out;
}

size_t Ledger::starts() const {
  return std::count_if(runs_.begin(), runs_.end(),
                       [](const auto& run) { return run->started.has_value(); });
}

void Ledger::OnShown(const std::string& reader, const std::string& job,
                     const orch::v1::JobEvent& event) {
  uint64_t& last = shown_[{reader, job}];
  if (event.sequence() != last + 1) {
    Violate(job, "", absl::StrCat(reader, " is shown event ", event.sequence(), " after ", last));
  }
  last = event.sequence();
  std::string bytes = event.SerializeAsString();
  const auto [first, is_new] = events_.try_emplace({job, event.sequence()}, bytes);
  if (!is_new && first->second != bytes) {
    Violate(job, "",
            absl::StrCat("event ", event.sequence(), " is not what it was when it was ",
                         "shown first"));
  }
}

void Ledger::OnShown(const std::string& reader, const orch::v1::Job& job) {
  uint32_t sum = 0;
  for (const orch::v1::NodeStateCount& count : job.counts()) sum += count.count();
  if (sum != job.targets()) {
    Violate(job.name().substr(5), "",
            absl::StrCat("the counts that ", reader, " is shown sum to ", sum, " of ",
                         job.targets(), " targets"));
  }
}

void Ledger::Audit(const orch::v1::Job& job, const std::vector<orch::v1::JobEvent>& log,
                   const std::vector<orch::v1::JobNode>& nodes, absl::Duration calm) {
  JobTruth& truth = truths_[job.name().substr(5)];
  AuditLog(job, log, &truth);
  AuditCounts(job, nodes);
  for (const orch::v1::JobNode& node : nodes) AuditNode(job, node, calm, &truth);
}

void Ledger::AuditLog(const orch::v1::Job& job, const std::vector<orch::v1::JobEvent>& log,
                      JobTruth* truth) {
  const std::string id = job.name().substr(5);
  std::set<std::string> targets;
  for (size_t i = 0; i < log.size(); ++i) {
    const orch::v1::JobEvent& event = log[i];
    if (event.sequence() != i + 1) {
      Violate(id, "", absl::StrCat("the log has event ", event.sequence(), " at ", i + 1));
    }
    if (event.has_started()) {
      targets.insert(event.started().nodes().begin(), event.started().nodes().end());
    }
    if (event.has_finished() != (i + 1 == log.size())) {
      Violate(id, "",
              absl::StrCat("event ", i + 1, " of ", log.size(),
                           event.has_finished() ? " ends" : " does not end", " the job"));
    }
    if (!event.has_node()) continue;
    const std::string& node = event.node().node();
    if (!targets.contains(node)) Violate(id, node, "has an event and is no target");
    if (truth->last.contains(node)) Violate(id, node, "has an event after its outcome");
    if (!IsTerminal(event.node().state())) continue;
    truth->last[node] = event.node();
    truth->decided[node] = SinceBeginning(event.time());
  }
  if (log.size() != job.last_sequence() || log.empty()) {
    Violate(
        id, "",
        absl::StrCat("the log has ", log.size(), " events, the job says ", job.last_sequence()));
  }
  for (const std::string& node : targets) {
    if (!truth->last.contains(node)) Violate(id, node, "has no outcome in the log");
  }
}

void Ledger::AuditCounts(const orch::v1::Job& job, const std::vector<orch::v1::JobNode>& nodes) {
  const std::string id = job.name().substr(5);
  OnShown("the auditor", job);
  std::map<int, uint32_t> counts;
  for (const orch::v1::JobNode& node : nodes) ++counts[node.state()];
  for (const orch::v1::NodeStateCount& count : job.counts()) {
    if (counts[count.state()] != count.count()) {
      Violate(id, "",
              absl::StrCat(counts[count.state()], " nodes are ", Word(count.state()),
                           ", the job counts ", count.count()));
    }
  }
  if (nodes.size() != job.targets()) {
    Violate(id, "", absl::StrCat(nodes.size(), " rows of ", job.targets(), " targets"));
  }
  const bool all = !nodes.empty() && counts[orch::v1::NODE_STATE_SUCCEEDED] == nodes.size();
  if (!IsOver(job.state()) || (job.state() == orch::v1::JOB_STATE_SUCCEEDED) != all) {
    if (!(all && job.state() >= orch::v1::JOB_STATE_STOPPED)) {
      Violate(id, "", absl::StrCat("it ended as ", orch::v1::JobState_Name(job.state())));
    }
  }
}

void Ledger::AuditNode(const orch::v1::Job& job, const orch::v1::JobNode& node, absl::Duration calm,
                       JobTruth* truth) {
  const std::string id = job.name().substr(5);
  const std::string& name = node.node();
  ++outcomes[Word(node.state())];
  const auto last = truth->last.find(name);
  if (last == truth->last.end() || last->second.state() != node.state()) {
    return Violate(
        id, name,
        absl::StrCat("ended as ", Word(node.state()), ", which is not what its log says"));
  }
  truth->never[name] = SaysNever(node);
  const std::vector<const TrueRun*> runs = RunsOf(name, id);
  const auto is_its = [&node](const TrueRun* run) {
    return run->ended.has_value() && run->state == node.state() && run->mark == node.message();
  };
  const bool told =
      node.state() == orch::v1::NODE_STATE_SUCCEEDED || node.state() == orch::v1::NODE_STATE_FAILED;
  if (told && std::none_of(runs.begin(), runs.end(), is_its)) {
    return Violate(id, name,
                   absl::StrCat("ended as ", Word(node.state()), " (", node.message(),
                                "), which no run of it did"));
  }
  if (node.state() == orch::v1::NODE_STATE_LOST &&
      std::none_of(runs.begin(), runs.end(), [](const TrueRun* run) { return run->killed; })) {
    return Violate(id, name, absl::StrCat("is LOST (", node.reason(), ") and lost nothing"));
  }
  if (told || truth->never[name]) return;
  for (const TrueRun* run : runs) {
    if (run->killed || !run->ended.has_value()) continue;
    if (truth->decided[name] > std::max(*run->ended, calm) + kToldMost) {
      Violate(id, name,
              absl::StrCat("was given up as ", Word(node.state()), " (", node.reason(),
                           "), though its Puppet had ended long before"));
    }
  }
}

void Ledger::AuditStarts() {
  for (const auto& run : runs_) {
    const auto truth = truths_.find(run->job);
    if (truth == truths_.end() || !run->started.has_value()) continue;
    const auto last = truth->second.last.find(run->node);
    if (last == truth->second.last.end()) {
      Violate(run->job, run->node, "started Puppet and is no target");
    } else if (truth->second.never[run->node]) {
      Violate(run->job, run->node,
              absl::StrCat("ended as ", Word(last->second.state()), " (", last->second.reason(),
                           "), and Puppet ran"));
    } else if (*run->started > truth->second.decided[run->node]) {
      Violate(run->job, run->node,
              absl::StrCat("started Puppet after it was ", Word(last->second.state())));
    }
  }
}

}  // namespace orch::sim
