// SPDX-License-Identifier: Apache-2.0
#include "test/load/sim_node.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "api/catalog.h"
#include "base/sha256.h"
#include "base/version.h"
#include "orch/bus/v1/presence.pb.h"
#include "target/target.h"

namespace orch::load {
namespace {

using orch::bus::v1::Outcome;
using orch::bus::v1::Reply;
using orch::bus::v1::Request;

void SetTime(absl::Time time, google::protobuf::Timestamp* out) {
  out->set_seconds(absl::ToUnixSeconds(time));
  out->set_nanos(static_cast<int32_t>(
      absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(absl::ToUnixSeconds(time)))));
}

target::NodeData ViewOf(int number, const std::string& identity, const std::string& collective) {
  static const char* const kRoles[] = {"web", "db", "cache", "worker"};
  static const char* const kCountries[] = {"de", "uk", "us"};
  target::NodeData view;
  view.identity_value = identity;
  view.facts_value = {{"role", kRoles[number % 4]},
                      {"country", kCountries[number % 3]},
                      {"os", {{"family", number % 2 == 0 ? "Debian" : "RedHat"}}},
                      {"number", number}};
  view.classes_value = {absl::StrCat("role::", kRoles[number % 4]), "settings"};
  for (const api::ActionInfo& info : api::Actions()) view.actions_value.push_back(info.name);
  view.collectives_value = {collective};
  return view;
}

}  // namespace

SimNode::SimNode(SimFleet* fleet, int number, std::string identity,
                 std::shared_ptr<trust::Credentials> credentials, bus::BusConfig config,
                 std::shared_ptr<bus::StreamFactory> streams)
    : fleet_(fleet),
      number_(number),
      view_(ViewOf(number, identity, fleet->collective)),
      credentials_(std::move(credentials)),
      client_(fleet->strand, {std::move(config), credentials_, identity, 1 << 20},
              std::move(streams)) {}

void SimNode::Start() {
  const auto take = [this](const bus::Delivery& delivery) { OnMessage(delivery); };
  client_.Subscribe(fleet_->destinations.Request(fleet_->collective), take);
  client_.Subscribe(fleet_->destinations.Node(fleet_->collective, view_.identity_value), take);
  client_.Start([this](bool connected) {
    if (connected_ != connected) fleet_->connected += connected ? 1 : -1;
    connected_ = connected;
    if (connected) SendPresence(false, true);
  });
}

void SimNode::Stop(std::function<void()> done) { client_.Stop(std::move(done)); }

void SimNode::SendPresence(bool with_facts, bool with_chain) {
  orch::bus::v1::Presence presence;
  presence.set_protocol(base::kProtocol);
  presence.set_node(view_.identity_value);
  SetTime(absl::Now(), presence.mutable_time());
  SetTime(fleet_->start_time, presence.mutable_start_time());
  presence.set_sequence(++presence_sequence_);
  presence.set_version(base::kVersion);
  presence.set_protocol_min(base::kProtocol);
  presence.set_protocol_max(base::kProtocol);
  presence.add_collectives(fleet_->collective);
  std::string all;
  for (const api::ActionInfo& info : api::Actions()) {
    auto* action = presence.add_actions();
    action->set_name(info.name);
    action->set_schema_digest(info.schema_digest);
    action->set_mutates(info.mutates);
    all += info.schema_digest;
  }
  presence.set_actions_digest(base::Sha256(all));
  presence.set_facts_digest(base::Sha256(view_.facts_value.dump()));
  presence.mutable_puppet()->set_enabled(true);
  presence.mutable_puppet()->set_status("stopped");
  SetTime(credentials_->certificate_end(), presence.mutable_certificate_end_time());
  if (with_facts) {
    presence.mutable_facts()->set_json(view_.facts_value.dump());
    for (const std::string& name : view_.classes_value) presence.mutable_facts()->add_classes(name);
    SetTime(fleet_->start_time, presence.mutable_facts()->mutable_time());
  }
  Publish(fleet_->destinations.Presence(fleet_->collective), trust::Domain::kPresence,
          presence.SerializeAsString(), with_chain, false);
}

const SimFleet::Opened& SimNode::Open(const std::string& body) {
  const std::string key = base::Sha256(body);
  const auto found = fleet_->opened.find(key);
  if (found != fleet_->opened.end()) return found->second;
  if (fleet_->opened.size() >= SimFleet::kOpenedMax) fleet_->opened.clear();
  SimFleet::Opened& opened = fleet_->opened[key];
  std::string payload;
  trust::Refusal refusal;
  const auto peer =
      credentials_->Open(trust::Domain::kRequest, body, absl::Now(), &payload, &refusal);
  if (!peer.ok() || peer->role != trust::Role::kController ||
      peer->common_name != fleet_->controller) {
    return opened;
  }
  auto request = std::make_shared<Request>();
  if (!request->ParseFromString(payload)) return opened;
  opened = {*peer, base::Sha256(payload), std::move(request)};
  return opened;
}

void SimNode::OnMessage(const bus::Delivery& delivery) {
  ++fleet_->deliveries;
  const SimFleet::Opened opened = Open(delivery.body);
  if (opened.request == nullptr) {
    ++fleet_->refused;
    return;
  }
  if (number_ % 100 < fleet_->silent_percent) return;
  const Request& request = *opened.request;
  if (request.nodes_size() > 0 && std::find(request.nodes().begin(), request.nodes().end(),
                                            view_.identity_value) == request.nodes().end()) {
    return;
  }
  Handle(request, opened.digest);
}

void SimNode::Handle(const Request& request, const std::string& digest) {
  switch (request.kind_case()) {
    case Request::kPresenceQuery:
      return SendPresence(request.presence_query().facts(),
                          request.presence_query().certificates());
    case Request::kResultQuery:
      return AnswerResults(request, digest);
    case Request::kCancel:
      for (auto& [id, work] : works_) {
        if (work.request.job_id() == request.cancel().job_id()) work.cancelled = true;
      }
      return;
    case Request::kBeacon:
    case Request::kCrl:
    case Request::KIND_NOT_SET:
      return;
    case Request::kAction:
    case Request::kDiscover:
      break;
  }
  const auto target = target::Target::Compile(request.target());
  if (!target.ok() || target->Evaluate(view_).truth != target::Truth::kTrue) return;
  if (request.has_action()) return StartAction(request, digest);
  Reply reply;
  reply.mutable_discovered()->set_willing(true);
  Answer(request, digest, 1, std::move(reply), false);
}

void SimNode::StartAction(const Request& request, const std::string& digest) {
  Reply reply;
  const orch::v1::Action& action = request.action().action();
  if (!api::Mutates(action)) {
    Outcome& outcome = *reply.mutable_outcome();
    outcome.set_state(orch::v1::NODE_STATE_SUCCEEDED);
    if (action.has_node_ping()) {
      auto* ping = outcome.mutable_result()->mutable_node_ping();
      ping->set_version(base::kVersion);
      SetTime(absl::Now(), ping->mutable_time());
    } else if (action.has_puppet_status()) {
      outcome.mutable_result()->mutable_puppet_status()->set_enabled(true);
    }
    return Answer(request, digest, 1, std::move(reply), false);
  }
  Work& work = works_[request.request_id()];
  if (work.accepted) {
    ++fleet_->duplicates;
    if (work.ended) {
      *reply.mutable_outcome() = work.outcome;
    } else {
      SetTime(absl::Now(), reply.mutable_accepted()->mutable_accept_time());
    }
    return Answer(request, digest, ++work.sequence, std::move(reply), true);
  }
  ++fleet_->starts;
  work.accepted = true;
  work.request = request;
  work.digest = digest;
  SetTime(absl::Now(), reply.mutable_accepted()->mutable_accept_time());
  Answer(request, digest, ++work.sequence, std::move(reply), false);
  work.timer = std::make_unique<boost::asio::steady_timer>(fleet_->strand);
  // Between half and one and a half times the average, by the node's number.
  work.timer->expires_after(absl::ToChronoNanoseconds(
      fleet_->run_time * (0.5 + static_cast<double>(number_ * 37 % 101) / 100)));
  work.timer->async_wait([this, id = request.request_id()](boost::system::error_code error) {
    if (!error) EndRun(id);
  });
}

void SimNode::EndRun(const std::string& request_id) {
  Work& work = works_[request_id];
  work.ended = true;
  work.outcome.set_state(orch::v1::NODE_STATE_SUCCEEDED);
  if (work.request.action().action().has_puppet_run()) {
    auto* run = work.outcome.mutable_result()->mutable_puppet_run();
    const int dice = number_ * 61 % 100;
    if (dice < fleet_->failed_percent) {
      work.outcome.set_state(orch::v1::NODE_STATE_FAILED);
      run->set_verdict(orch::v1::PUPPET_RUN_VERDICT_FAILED);
      run->add_errors("Could not find package nginx");
    } else {
      run->set_verdict(dice < fleet_->failed_percent + fleet_->changed_percent
                           ? orch::v1::PUPPET_RUN_VERDICT_CHANGED
                           : orch::v1::PUPPET_RUN_VERDICT_UNCHANGED);
    }
    run->mutable_resources()->set_total(10);
  }
  Reply reply;
  *reply.mutable_outcome() = work.outcome;
  Answer(work.request, work.digest, ++work.sequence, std::move(reply), true);
}

void SimNode::AnswerResults(const Request& request, const std::string& digest) {
  uint64_t sequence = 0;
  for (const std::string& id : request.result_query().request_ids()) {
    const auto found = works_.find(id);
    Reply reply;
    if (found == works_.end()) {
      reply.mutable_unknown_request()->set_never_started(true);
      Answer(request, digest, ++sequence, std::move(reply), true);
      continue;
    }
    Work& work = found->second;
    if (work.ended) {
      *reply.mutable_outcome() = work.outcome;
    } else {
      SetTime(absl::Now(), reply.mutable_accepted()->mutable_accept_time());
    }
    Answer(work.request, work.digest, ++work.sequence, std::move(reply), true);
  }
}

void SimNode::Answer(const Request& request, const std::string& digest, uint64_t sequence,
                     Reply reply, bool with_receipt) {
  reply.set_protocol(base::kProtocol);
  reply.set_request_id(request.request_id());
  reply.set_request_digest(digest);
  reply.set_node(view_.identity_value);
  reply.set_sequence(sequence);
  SetTime(absl::Now(), reply.mutable_time());
  reply.set_job_id(request.job_id());
  reply.set_collective(request.collective());
  reply.set_traceparent(request.traceparent());
  ++fleet_->replies;
  Publish(fleet_->destinations.Reply(request.collective(), request.controller()),
          trust::Domain::kReply, reply.SerializeAsString(), true, with_receipt);
}

void SimNode::Publish(const std::string& destination, trust::Domain domain,
                      const std::string& payload, bool with_chain, bool with_receipt) {
  const auto envelope = credentials_->Sign(domain, payload, with_chain);
  ORCH_CHECK(envelope.ok());
  const absl::Time expires = absl::Now() + absl::Minutes(5);
  std::string body = envelope->SerializeAsString();
  if (!with_receipt) return client_.Send(destination, std::move(body), expires);
  // What the broker did not confirm is sent again, as a node's outbox does.
  client_.SendWithReceipt(destination, body, expires,
                          [this, destination, domain, payload, with_chain](absl::Status status) {
                            if (status.ok()) return;
                            auto timer = std::make_shared<boost::asio::steady_timer>(
                                fleet_->strand, std::chrono::seconds(1));
                            timer->async_wait([this, timer, destination, domain, payload,
                                               with_chain](boost::system::error_code error) {
                              if (!error) Publish(destination, domain, payload, with_chain, true);
                            });
                          });
}

}  // namespace orch::load
