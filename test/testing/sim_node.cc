// SPDX-License-Identifier: Apache-2.0
#include "test/testing/sim_node.h"

#include <algorithm>
#include <utility>

#include "api/catalog.h"
#include "api/json.h"
#include "base/proto_time.h"
#include "base/sha256.h"
#include "base/status.h"
#include "base/version.h"
#include "policy/policy.h"
#include "target/compare.h"
#include "target/target.h"

namespace orch::testing {
namespace {

using orch::bus::v1::Outcome;
using orch::bus::v1::Reply;
using orch::bus::v1::Request;

}  // namespace

SimNode::SimNode(Parts parts, SimNodeOptions options)
    : parts_(std::move(parts)),
      options_(std::move(options)),
      start_time_(parts_.clock->Read().wall) {}

void SimNode::Attach() {
  for (const std::string& collective : options_.collectives) {
    const auto hear = [this](bus::Delivery delivery) { OnDelivery(delivery); };
    parts_.client->Subscribe(parts_.destinations.Request(collective), hear);
    parts_.client->Subscribe(parts_.destinations.Node(collective, options_.identity), hear);
  }
}

void SimNode::OnDelivery(const bus::Delivery& delivery) {
  std::string payload;
  trust::Refusal refusal;
  const auto peer = parts_.credentials->Open(trust::Domain::kRequest, delivery.body,
                                             parts_.clock->Read().wall, &payload, &refusal);
  Request request;
  if (!peer.ok() || peer->role != trust::Role::kController || !request.ParseFromString(payload)) {
    return;
  }
  OnRequest(request, base::Sha256(payload));
}

bool SimNode::IsMe(const Request& request) const {
  const auto& mine = options_.collectives;
  if (std::find(mine.begin(), mine.end(), request.collective()) == mine.end()) return false;
  if (parts_.clock->Read().wall >= ToTime(request.expire_time())) return false;
  const auto& named = request.nodes();
  if (!named.empty() && std::find(named.begin(), named.end(), options_.identity) == named.end()) {
    return false;
  }
  const auto target = target::Target::Compile(request.target());
  return target.ok() && target->Evaluate(View()).truth == target::Truth::kTrue;
}

target::NodeData SimNode::View() const {
  target::NodeData view;
  view.identity_value = options_.identity;
  view.facts_value = nlohmann::json::parse(options_.facts);
  view.classes_value = options_.classes;
  view.actions_value = options_.actions;
  view.collectives_value = options_.collectives;
  return view;
}

void SimNode::OnRequest(const Request& request, const std::string& digest) {
  ++heard_[request.kind_case()];
  if (request.has_action()) {
    last_action_ = request;
    last_digest_ = digest;
  }
  if (options_.silent || !IsMe(request)) return;
  switch (request.kind_case()) {
    case Request::kAction:
      return OnAction(request, digest);
    case Request::kDiscover:
      return OnDiscover(request, digest);
    case Request::kResultQuery:
      return OnResultQuery(request, digest);
    case Request::kPresenceQuery:
      options_.without_chain = options_.without_chain && !request.presence_query().certificates();
      return SendPresence(true, request.presence_query().facts());
    case Request::kCancel:
    case Request::kBeacon:
    case Request::kCrl:
    case Request::KIND_NOT_SET:
      break;
  }
}

bool SimNode::Offers(const std::string& action) const {
  return std::find(options_.actions.begin(), options_.actions.end(), action) !=
         options_.actions.end();
}

std::string SimNode::WhyDenied(const Request& request) const {
  std::vector<policy::Condition> conditions;
  for (const auto& condition : request.conditions()) {
    conditions.push_back({condition.allow() ? policy::Effect::kAllow : policy::Effect::kDeny,
                          condition.where(), condition.rule(), condition.action_policy()});
  }
  const auto otherwise = request.default_allow() ? policy::Effect::kAllow : policy::Effect::kDeny;
  const auto decision = policy::DecideOnNode(conditions, otherwise, View());
  if (decision.effect == policy::Effect::kAllow) return "";
  return decision.why.empty() ? "denied" : decision.why;
}

Outcome SimNode::OutcomeOf(const orch::v1::Action& action) const {
  Outcome outcome = options_.outcome;
  if (outcome.state() != orch::v1::NODE_STATE_UNSPECIFIED) return outcome;
  outcome.set_state(orch::v1::NODE_STATE_SUCCEEDED);
  if (action.has_node_ping()) {
    outcome.mutable_result()->mutable_node_ping()->set_version(base::kVersion);
  } else if (action.has_node_facts()) {
    const nlohmann::json facts = nlohmann::json::parse(options_.facts);
    auto& values = *outcome.mutable_result()->mutable_node_facts()->mutable_facts();
    for (const std::string& path : action.node_facts().facts()) {
      const nlohmann::json* value = target::FindFact(facts, path);
      if (value != nullptr) values[path] = api::ToValue(*value);
    }
  } else if (action.has_node_inventory()) {
    auto& inventory = *outcome.mutable_result()->mutable_node_inventory();
    inventory.set_version(base::kVersion);
    *inventory.mutable_facts() = api::ToStruct(nlohmann::json::parse(options_.facts));
    for (const std::string& name : options_.classes) inventory.add_classes(name);
    for (const std::string& name : options_.actions) inventory.add_actions(name);
    for (const std::string& name : options_.collectives) inventory.add_collectives(name);
  } else if (action.has_puppet_run()) {
    const auto& run = action.puppet_run().noop() ? options_.noop_run : options_.run;
    orch::v1::PuppetRunResult* result = outcome.mutable_result()->mutable_puppet_run();
    if (run.has_value()) *result = *run;
    if (!run.has_value()) result->set_verdict(orch::v1::PUPPET_RUN_VERDICT_CHANGED);
  }
  return outcome;
}

void SimNode::OnAction(const Request& request, const std::string& digest) {
  Reply reply;
  const std::string denied = WhyDenied(request);
  if (!denied.empty()) {
    reply.mutable_outcome()->set_state(orch::v1::NODE_STATE_DENIED);
    reply.mutable_outcome()->set_reason("denied");
    reply.mutable_outcome()->set_message(denied);
    return Answer(request, digest, reply);
  }
  const orch::v1::Action& action = request.action().action();
  if (!api::Mutates(action)) {
    *reply.mutable_outcome() = OutcomeOf(action);
    return Answer(request, digest, reply);
  }
  auto [it, first] = journal_.try_emplace(request.request_id());
  Entry& entry = it->second;
  if (first) {
    entry.request = request;
    entry.digest = digest;
    ++starts_[request.request_id()];
  }
  reply.mutable_accepted();
  reply.set_sequence(++entry.sequence);
  Answer(request, digest, reply);
  if (entry.outcome.has_value()) return EndEntry(&entry, *entry.outcome);
  for (int i = 0; first && i < options_.progress; ++i) {
    Reply news;
    news.set_sequence(++entry.sequence);
    news.mutable_progress()->mutable_puppet_run()->set_message("working");
    Answer(request, digest, news);
  }
  if (!options_.hold) EndEntry(&entry, OutcomeOf(action));
}

void SimNode::EndEntry(Entry* entry, Outcome outcome) {
  entry->outcome = outcome;
  if (options_.mute_results) return;
  Reply reply;
  reply.set_sequence(++entry->sequence);
  *reply.mutable_outcome() = std::move(outcome);
  Answer(entry->request, entry->digest, reply);
}

void SimNode::OnDiscover(const Request& request, const std::string& digest) {
  Reply reply;
  orch::bus::v1::Discovered* answer = reply.mutable_discovered();
  const std::string denied = WhyDenied(request);
  if (!Offers(request.discover().action())) {
    answer->set_state(orch::v1::NODE_STATE_REFUSED);
    answer->set_reason("unsupported");
  } else if (!denied.empty()) {
    answer->set_state(orch::v1::NODE_STATE_DENIED);
    answer->set_reason("denied");
    answer->set_message(denied);
  } else if (!options_.refusal.empty()) {
    answer->set_state(orch::v1::NODE_STATE_REFUSED);
    answer->set_reason("disabled");
    answer->set_message(options_.refusal);
  } else {
    answer->set_willing(true);
  }
  Answer(request, digest, reply);
}

void SimNode::OnResultQuery(const Request& request, const std::string& digest) {
  for (const std::string& id : request.result_query().request_ids()) {
    auto it = journal_.find(id);
    Reply reply;
    if (it == journal_.end()) {
      reply.mutable_unknown_request()->set_never_started(true);
      Request asked = request;
      asked.set_request_id(id);
      Answer(asked, digest, reply);
      continue;
    }
    Entry& entry = it->second;
    reply.set_sequence(++entry.sequence);
    if (entry.outcome.has_value()) {
      *reply.mutable_outcome() = *entry.outcome;
    } else {
      reply.mutable_accepted();
    }
    Answer(entry.request, entry.digest, reply);
  }
}

void SimNode::Answer(const Request& request, const std::string& digest, Reply reply) {
  reply.set_protocol(base::kProtocol);
  reply.set_request_id(request.request_id());
  reply.set_request_digest(digest);
  reply.set_node(options_.identity);
  if (reply.sequence() == 0) reply.set_sequence(1);
  *reply.mutable_time() = ToTimestamp(parts_.clock->Read().wall);
  reply.set_job_id(request.job_id());
  reply.set_collective(request.collective());
  SendReply(request, std::move(reply));
}

void SimNode::SendReply(const Request& to, Reply reply) {
  const auto envelope =
      parts_.credentials->Sign(trust::Domain::kReply, reply.SerializeAsString(), true);
  ORCH_CHECK(envelope.ok());
  parts_.client->Send(parts_.destinations.Reply(to.collective(), to.controller()),
                      envelope->SerializeAsString(), absl::InfiniteFuture());
}

void SimNode::SendPresence(bool whole, bool with_facts, bool leaving) {
  orch::bus::v1::Presence presence;
  presence.set_protocol(base::kProtocol);
  presence.set_node(options_.identity);
  *presence.mutable_time() = ToTimestamp(parts_.clock->Read().wall);
  *presence.mutable_start_time() = ToTimestamp(start_time_);
  presence.set_sequence(++sequence_);
  presence.set_version(base::kVersion);
  presence.set_protocol_min(base::kProtocol);
  presence.set_protocol_max(base::kProtocol);
  for (const std::string& name : options_.collectives) presence.add_collectives(name);
  std::string actions;
  for (const std::string& name : options_.actions) {
    actions += name + "\n";
    if (whole) presence.add_actions()->set_name(name);
  }
  presence.set_actions_digest(base::Sha256(actions));
  presence.set_facts_digest(base::Sha256(options_.facts));
  presence.set_leaving(leaving);
  if (with_facts) {
    presence.mutable_facts()->set_json(options_.facts);
    for (const std::string& name : options_.classes) presence.mutable_facts()->add_classes(name);
    *presence.mutable_facts()->mutable_time() = presence.time();
  }
  const auto envelope = parts_.credentials->Sign(
      trust::Domain::kPresence, presence.SerializeAsString(), whole && !options_.without_chain);
  ORCH_CHECK(envelope.ok());
  for (const std::string& collective : options_.collectives) {
    parts_.client->Send(parts_.destinations.Presence(collective), envelope->SerializeAsString(),
                        absl::InfiniteFuture());
  }
}

void SimNode::Release() {
  options_.hold = false;
  for (auto& [id, entry] : journal_) {
    if (!entry.outcome.has_value()) EndEntry(&entry, OutcomeOf(entry.request.action().action()));
  }
}

void SimNode::Restart(bool forget) {
  if (forget) journal_.clear();
  start_time_ = parts_.clock->Read().wall;
  sequence_ = 0;
}

int SimNode::started() const {
  int sum = 0;
  for (const auto& [id, count] : starts_) sum += count;
  return sum;
}

int SimNode::heard(Request::KindCase kind) const {
  auto it = heard_.find(kind);
  return it == heard_.end() ? 0 : it->second;
}

}  // namespace orch::testing
