// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/agent/ladder.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "api/catalog.h"
#include "base/ids.h"
#include "base/proto_time.h"
#include "base/version.h"
#include "target/target.h"

namespace orch::nodeagent {
namespace {

using orch::bus::v1::Request;

std::optional<Stop> Invalid(absl::string_view why) {
  return Stop{Rung::kInvalid, std::string(why)};
}

// RFC 3339's years 0001-9999 and whole nanoseconds, as Timestamp demands; anything else could
// overflow below.
bool IsTimestamp(const google::protobuf::Timestamp& time) {
  return time.seconds() >= -62135596800 && time.seconds() <= 253402300799 && time.nanos() >= 0 &&
         time.nanos() <= 999'999'999;
}

std::string Seconds(absl::Duration d) {
  return absl::StrCat(absl::ToInt64Seconds(absl::Ceil(d, absl::Seconds(1))), " s");
}

std::string Words(const std::string& rule, const std::string& why) {
  return rule.empty() ? why : absl::StrCat(rule, ": ", why);
}

std::optional<Stop> CheckKind(const Request& request) {
  switch (request.kind_case()) {
    case Request::kAction: {
      const absl::Status valid = api::Validate(request.action().action(), "action");
      if (!valid.ok()) return Invalid(std::string(valid.message()));
      // A mutating job runs on a frozen list of nodes: whoever is on it is named.
      if (IsMutating(request) && request.nodes().empty()) {
        return Invalid("a mutating action that names no nodes");
      }
      return std::nullopt;
    }
    case Request::kDiscover:
      if (request.discover().action().empty()) return Invalid("discover: no action");
      return std::nullopt;
    case Request::kResultQuery: {
      const auto& ids = request.result_query().request_ids();
      if (ids.size() > kResultQueryMax) {
        return Invalid(absl::StrCat("result query: more than ", kResultQueryMax, " request ids"));
      }
      if (std::any_of(ids.begin(), ids.end(), [](const auto& id) { return id.size() != 16; })) {
        return Invalid("result query: a request id is not 16 bytes");
      }
      return std::nullopt;
    }
    case Request::kCancel:
      if (!base::IsUlid(request.cancel().job_id())) return Invalid("cancel: no job id");
      return std::nullopt;
    case Request::kPresenceQuery:
    case Request::kBeacon:
    case Request::kCrl:
      return std::nullopt;
    case Request::KIND_NOT_SET:
      break;
  }
  return Invalid("no kind");
}

std::optional<Stop> CheckFields(const Request& request) {
  if (request.request_id().size() != 16) return Invalid("request_id is not 16 bytes");
  if (!base::IsCollective(request.collective())) return Invalid("collective is not a name");
  if (!request.job_id().empty() && !base::IsUlid(request.job_id())) {
    return Invalid("job_id is not a ULID");
  }
  if (!request.has_issue_time() || !IsTimestamp(request.issue_time()) ||
      !request.has_expire_time() || !IsTimestamp(request.expire_time())) {
    return Invalid("issue_time or expire_time is missing or out of range");
  }
  if (request.nodes_size() > kNodesMax) {
    return Invalid(absl::StrCat("names more than ", kNodesMax, " nodes"));
  }
  if (request.conditions_size() > kConditionsMax) {
    return Invalid(absl::StrCat("more than ", kConditionsMax, " conditions"));
  }
  if (request.traceparent().size() > kTraceparentMax) return Invalid("traceparent is too long");
  if ((request.has_action() || request.has_discover()) && !base::IsCaller(request.caller())) {
    return Invalid("caller is not a principal");
  }
  if (const auto compiled = target::Target::Compile(request.target()); !compiled.ok()) {
    return Invalid(absl::StrCat("target: ", compiled.status().message()));
  }
  return CheckKind(request);
}

}  // namespace

absl::string_view RungName(Rung rung) {
  switch (rung) {
    case Rung::kSize:
      return "too_large";
    case Rung::kEnvelope:
      return "envelope";
    case Rung::kUnknownKey:
      return "unknown_key";
    case Rung::kChain:
      return "chain";
    case Rung::kRevoked:
      return "revoked";
    case Rung::kRole:
      return "role";
    case Rung::kSignature:
      return "signature";
    case Rung::kController:
      return "controller";
    case Rung::kUnsupported:
      return "unsupported";
    case Rung::kInvalid:
      return "invalid";
    case Rung::kCollective:
      return "collective";
    case Rung::kNotNamed:
      return "not_named";
    case Rung::kFuture:
      return "not_yet_valid";
    case Rung::kExpired:
      return "expired";
    case Rung::kLifetime:
      return "lifetime";
    case Rung::kClock:
      return "clock";
    case Rung::kReplayed:
      return "replayed";
    case Rung::kKnown:
      return "duplicate";
    case Rung::kReplayWindow:
      return "replay_window_full";
    case Rung::kJournal:
      return "journal";
    case Rung::kNotMatched:
      return "not_matched";
    case Rung::kDenied:
      return "denied";
    case Rung::kCancelled:
      return "cancelled";
    case Rung::kCapacity:
      return "capacity";
  }
  return "unknown";
}

absl::string_view ReasonOf(Rung rung) {
  switch (rung) {
    case Rung::kReplayWindow:
    case Rung::kCapacity:
      return "busy";
    case Rung::kLifetime:
      return "invalid";
    default:
      return RungName(rung);
  }
}

Rung RungOf(trust::Refusal refusal) {
  switch (refusal) {
    case trust::Refusal::kTooLarge:
      return Rung::kSize;
    case trust::Refusal::kEnvelope:
      return Rung::kEnvelope;
    case trust::Refusal::kUnknownKey:
      return Rung::kUnknownKey;
    case trust::Refusal::kChain:
      return Rung::kChain;
    case trust::Refusal::kRevoked:
      return Rung::kRevoked;
    case trust::Refusal::kRole:
      return Rung::kRole;
    case trust::Refusal::kSignature:
      return Rung::kSignature;
  }
  return Rung::kEnvelope;
}

bool IsAnswered(Rung rung) {
  switch (rung) {
    case Rung::kUnsupported:
    case Rung::kInvalid:
    case Rung::kFuture:
    case Rung::kExpired:
    case Rung::kLifetime:
    case Rung::kClock:
    case Rung::kReplayWindow:
    case Rung::kJournal:
    case Rung::kDenied:
    case Rung::kCancelled:
    case Rung::kCapacity:
      return true;
    default:
      return false;
  }
}

bool Self::IsMember(absl::string_view collective) const {
  return std::find(collectives.begin(), collectives.end(), collective) != collectives.end();
}

std::optional<Stop> CheckSigner(const trust::Peer& signer, const Self& self) {
  if (signer.role != trust::Role::kController) {
    return Stop{Rung::kRole, absl::StrCat("signed by ", signer.common_name, ", whose role is ",
                                          trust::RoleName(signer.role))};
  }
  const auto& known = self.controllers;
  if (std::find(known.begin(), known.end(), signer.common_name) == known.end()) {
    return Stop{Rung::kController,
                absl::StrCat("signed by ", signer.common_name, ", which `controllers:` lacks")};
  }
  return std::nullopt;
}

std::optional<Stop> ParseStrictly(absl::string_view payload, const trust::Peer& signer,
                                  Request* request) {
  if (!request->ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    request->Clear();
    return Invalid("the signed bytes are not a request");
  }
  if (request->controller() != signer.common_name) {
    return Stop{Rung::kController, absl::StrCat("signed by ", signer.common_name,
                                                ", in the name of ", request->controller())};
  }
  if (request->protocol() > static_cast<uint32_t>(base::kProtocol)) {
    return Stop{Rung::kUnsupported, absl::StrCat("protocol ", request->protocol(),
                                                 "; this node speaks ", base::kProtocol)};
  }
  if (request->protocol() == 0) return Invalid("no protocol number");
  if (const absl::Status known = api::RefuseUnknown(*request); !known.ok()) {
    return Invalid(std::string(known.message()));
  }
  // Fields sent twice and values spelled at length parse as well, but say something that nobody
  // reads.
  if (request->ByteSizeLong() != payload.size()) return Invalid("bytes that say nothing");
  return CheckFields(*request);
}

std::optional<Stop> CheckMeant(const Request& request, absl::string_view collective,
                               const Self& self) {
  if (request.collective() != collective || !self.IsMember(collective)) {
    return Stop{Rung::kCollective, absl::StrCat("for collective ", request.collective(),
                                                ", came on a destination of ", collective)};
  }
  if (const std::string& own = request.target().collective(); !own.empty() && own != collective) {
    return Stop{Rung::kCollective, absl::StrCat("its target is of collective ", own)};
  }
  const auto& nodes = request.nodes();
  if (!nodes.empty() && std::find(nodes.begin(), nodes.end(), self.identity) == nodes.end()) {
    return Stop{Rung::kNotNamed, "this node is not among those it names"};
  }
  return std::nullopt;
}

std::optional<Stop> CheckTime(const Request& request, absl::Time now) {
  const absl::Time issued = ToTime(request.issue_time());
  const absl::Time expires = ToTime(request.expire_time());
  if (expires <= now) {
    return Stop{Rung::kExpired, absl::StrCat("expired ", Seconds(now - expires), " ago")};
  }
  if (expires - issued > kLifetimeMax) {
    return Stop{Rung::kLifetime, absl::StrCat("valid for more than ", Seconds(kLifetimeMax))};
  }
  if (issued > now + kFutureMax) {
    return Stop{Rung::kFuture, absl::StrCat("issued ", Seconds(issued - now), " in the future")};
  }
  return std::nullopt;
}

std::optional<Stop> CheckTarget(const Request& request, const target::NodeView& node) {
  // A target that names no collective is of the request's, whatever that is called: beacons and
  // questions for facts have none.
  orch::v1::Target proto = request.target();
  proto.set_collective(request.collective());
  const auto compiled = target::Target::Compile(proto);
  if (!compiled.ok()) return Invalid(absl::StrCat("target: ", compiled.status().message()));
  const target::Match match = compiled->Evaluate(node);
  if (match.truth == target::Truth::kTrue) return std::nullopt;
  return Stop{Rung::kNotMatched, match.why.empty() ? "the target does not match" : match.why};
}

std::optional<Stop> CheckConditions(const Request& request, const policy::Policy* own,
                                    const target::NodeView& node) {
  using policy::Effect;
  std::vector<policy::Condition> conditions;
  conditions.reserve(request.conditions_size());
  for (const auto& condition : request.conditions()) {
    conditions.push_back({condition.allow() ? Effect::kAllow : Effect::kDeny, condition.where(),
                          condition.rule(), condition.action_policy()});
  }
  const policy::NodeDecision asked = policy::DecideOnNode(
      conditions, request.default_allow() ? Effect::kAllow : Effect::kDeny, node);
  if (asked.effect != Effect::kAllow) {
    return Stop{Rung::kDenied, Words(asked.rule, asked.why)};
  }
  if (own == nullptr) return std::nullopt;
  policy::Query query;
  query.caller = request.caller();
  query.collective = request.collective();
  query.action =
      request.has_discover() ? request.discover().action() : api::NameOf(request.action().action());
  if (request.has_action()) query.arguments = &request.action().action();
  const policy::Decision decision = own->Decide(query);
  const policy::NodeDecision mine =
      policy::DecideOnNode(decision.conditions, decision.otherwise, node);
  if (mine.effect == Effect::kAllow) return std::nullopt;
  return Stop{Rung::kDenied, absl::StrCat("this node's own policy: ",
                                          Words(mine.rule.empty() ? decision.rule : mine.rule,
                                                mine.why.empty() ? decision.reason : mine.why))};
}

bool IsNamedAlone(const Request& request) { return request.nodes_size() == 1; }

bool IsMutating(const Request& request) {
  return request.has_action() && api::Mutates(request.action().action());
}

std::string KindWords(const Request& request) {
  switch (request.kind_case()) {
    case Request::kAction:
      return absl::StrCat("action ", api::NameOf(request.action().action()));
    case Request::kDiscover:
      return absl::StrCat("discover ", request.discover().action());
    case Request::kPresenceQuery:
      return "presence query";
    case Request::kResultQuery:
      return "result query";
    case Request::kCancel:
      return "cancel";
    case Request::kBeacon:
      return "beacon";
    case Request::kCrl:
      return "crl";
    case Request::KIND_NOT_SET:
      break;
  }
  return "request";
}

}  // namespace orch::nodeagent
