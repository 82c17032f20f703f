// SPDX-License-Identifier: Apache-2.0

// A verb checks everything that can be refused before it changes anything, because a refusal ends
// the session with an ERROR and half a verb would be left in the router. Rights are checked when a
// frame arrives, also within a transaction; room in the queues is checked at COMMIT, for the whole
// transaction, since only then does it take any. A RECEIPT follows only a verb that succeeded:
// clients take it for "on the bus".

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "base/version.h"
#include "bus/routing/broker_core.h"
#include "bus/routing/frame_words.h"

namespace orch::bus {
namespace {

// `cx,cy` of a heart-beat header in milliseconds.
absl::Status ParseHeartBeat(absl::string_view text, uint32_t* sends, uint32_t* wants) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, ',');
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], sends) ||
      !absl::SimpleAtoi(parts[1], wants)) {
    return Wrong(absl::StrCat("heart-beat is not two numbers: `", Shown(text), "`"));
  }
  return absl::OkStatus();
}

absl::Duration Agreed(uint32_t ms) {
  return ms == 0 ? absl::ZeroDuration() : std::max(absl::Milliseconds(ms), kHeartBeatMin);
}

// The highest version that both know; the absence of the header means 1.0.
absl::Status ChooseVersion(const Frame& frame, StompVersion* version) {
  const std::string* accepted = frame.Find("accept-version");
  if (accepted == nullptr) {
    *version = StompVersion::k10;
    return absl::OkStatus();
  }
  const std::vector<absl::string_view> all = absl::StrSplit(*accepted, ',');
  const auto knows = [&all](absl::string_view one) {
    return std::find(all.begin(), all.end(), one) != all.end();
  };
  if (knows("1.2")) {
    *version = StompVersion::k12;
  } else if (knows("1.1")) {
    *version = StompVersion::k11;
  } else if (knows("1.0")) {
    *version = StompVersion::k10;
  } else {
    return Wrong(absl::StrCat("accept-version `", Shown(*accepted),
                              "`: supported protocol versions are 1.0, 1.1 and 1.2"));
  }
  return absl::OkStatus();
}

absl::string_view VersionName(StompVersion version) {
  return version == StompVersion::k12 ? "1.2" : version == StompVersion::k11 ? "1.1" : "1.0";
}

}  // namespace

void BrokerCore::OnFrame(BrokerSession* session, Frame frame, base::Now now) {
  ++counters_.frames_in;
  std::string receipt_id;
  const std::string* receipt = frame.Find("receipt");
  if (receipt != nullptr) {
    receipt_id = *receipt;
    receipt = &receipt_id;
  }
  const bool connect = session->state == BrokerSession::State::kNew;
  const bool disconnect = frame.command == "DISCONNECT";
  if (const absl::Status status = Perform(session, &frame, now); !status.ok()) {
    Fail(session, receipt, status, now);
    return;
  }
  if (receipt != nullptr && !connect) Reply(session, {"RECEIPT", {{"receipt-id", receipt_id}}, ""});
  if (disconnect) End(session, now);
}

absl::Status BrokerCore::Perform(BrokerSession* session, Frame* frame, base::Now now) {
  const std::string& verb = frame->command;
  const bool connect = verb == "CONNECT" || verb == "STOMP";
  if (session->state == BrokerSession::State::kNew) {
    if (!connect) return Wrong(absl::StrCat(Shown(verb), " before CONNECT"));
    return OnConnect(session, *frame);
  }
  if (connect) return Wrong(absl::StrCat(verb, ": the session is connected already"));
  if (verb == "SEND") return OnSend(session, frame, now);
  if (verb == "ACK" || verb == "NACK") return OnAck(session, frame, now);
  if (verb == "SUBSCRIBE") return OnSubscribe(session, *frame, now);
  if (verb == "UNSUBSCRIBE") return OnUnsubscribe(session, *frame, now);
  if (verb == "BEGIN") return session->transactions.Begin(*frame);
  if (verb == "COMMIT") return OnCommit(session, *frame, now);
  if (verb == "ABORT") return session->transactions.Abort(*frame);
  if (verb == "DISCONNECT") return absl::OkStatus();
  return Wrong(absl::StrCat("unknown command ", Shown(verb)));
}

absl::Status BrokerCore::OnConnect(BrokerSession* session, const Frame& frame) {
  StompVersion version = StompVersion::k10;
  ORCH_RETURN_IF_ERROR(ChooseVersion(frame, &version));
  uint32_t sends = 0;
  uint32_t wants = 0;
  if (const std::string* beat = frame.Find("heart-beat"); beat != nullptr) {
    ORCH_RETURN_IF_ERROR(ParseHeartBeat(*beat, &sends, &wants));
  }
  if (session->peer.kind == BrokerPeer::Kind::kNobody) {
    return absl::PermissionDeniedError(
        absl::StrCat("CONNECT: ", DescribePeer(session->peer), " may not connect"));
  }
  session->version = version;
  session->decoder.set_version(version);
  session->state = BrokerSession::State::kOpen;
  Frame connected{"CONNECTED", {}, ""};
  connected.Add("version", VersionName(version));
  if (version != StompVersion::k10) {
    session->beat_in = Agreed(sends);
    session->beat_out = Agreed(wants);
    const int64_t beat_ms = absl::ToInt64Milliseconds(kHeartBeatMin);
    connected.Add("heart-beat", absl::StrCat(beat_ms, ",", beat_ms));
  }
  connected.Add("session", absl::StrCat(counters_.sessions_total));
  connected.Add("server", absl::StrCat("orch-broker/", base::kVersion));
  Reply(session, connected);
  Schedule(session);
  Note(*session, false, absl::StrCat("connected with STOMP ", VersionName(version)));
  return absl::OkStatus();
}

absl::Status BrokerCore::OnSend(BrokerSession* session, Frame* frame, base::Now now) {
  ORCH_ASSIGN_OR_RETURN(const std::string destination, Require(*frame, "destination"));
  DestinationKind kind;
  const std::string what = absl::StrCat("SEND ", Shown(destination));
  ORCH_RETURN_IF_ERROR(base::Annotate(CheckDestination(destination, &kind), what));
  if (!MaySend(session->peer, prefix_, destination)) {
    return absl::PermissionDeniedError(
        absl::StrCat(what, ": ", DescribePeer(session->peer), " may not send there"));
  }
  bool deferred = false;
  ORCH_RETURN_IF_ERROR(session->transactions.Defer(frame, &deferred));
  if (deferred) return absl::OkStatus();
  return base::Annotate(router_.Publish(session->peer, std::move(*frame), now), what);
}

absl::Status BrokerCore::OnSubscribe(BrokerSession* session, const Frame& frame, base::Now now) {
  ORCH_ASSIGN_OR_RETURN(const std::string destination, Require(frame, "destination"));
  const std::string what = absl::StrCat("SUBSCRIBE ", Shown(destination));
  DestinationKind kind;
  ORCH_RETURN_IF_ERROR(base::Annotate(CheckDestination(destination, &kind), what));
  std::string id;
  if (const std::string* given = frame.Find("id"); given != nullptr) {
    id = *given;
  } else if (session->version != StompVersion::k10) {
    return Wrong(absl::StrCat(what, " without id header"));
  }
  if (id.size() > kSubscriptionIdBytesMax) {
    return Wrong(absl::StrCat(what, ": id is over ", kSubscriptionIdBytesMax, " bytes"));
  }
  AckMode mode = AckMode::kAuto;
  const std::string* ack = frame.Find("ack");
  if (ack != nullptr && *ack == "client") {
    mode = AckMode::kClient;
  } else if (ack != nullptr && *ack == "client-individual") {
    mode = AckMode::kClientIndividual;
  } else if (ack != nullptr && *ack != "auto") {
    return Wrong(absl::StrCat(what, ": ack `", Shown(*ack),
                              "` is none of auto, client and client-individual"));
  }
  if (frame.Find("selector") != nullptr) {
    return Wrong(absl::StrCat(what, ": selectors are not served"));
  }
  if (!MaySubscribe(session->peer, prefix_, destination)) {
    return absl::PermissionDeniedError(
        absl::StrCat(what, ": ", DescribePeer(session->peer), " may not read there"));
  }
  if (session->subscriptions.size() >= bounds_.subscriptions) {
    return absl::ResourceExhaustedError(absl::StrCat(what, ": more than ", bounds_.subscriptions,
                                                     " subscriptions (subscriptions)"));
  }
  for (const auto& other : session->subscriptions) {
    if (!id.empty() && other->id == id) {
      return Wrong(absl::StrCat(what, ": id `", Shown(id), "` is in use on this connection"));
    }
  }
  return base::Annotate(router_.Subscribe(session, std::move(id), destination, mode, now), what);
}

absl::Status BrokerCore::OnUnsubscribe(BrokerSession* session, const Frame& frame, base::Now now) {
  const std::string* id = frame.Find("id");
  const std::string* destination = frame.Find("destination");
  if (id == nullptr && (session->version != StompVersion::k10 || destination == nullptr)) {
    return Wrong("UNSUBSCRIBE without id header");
  }
  for (const auto& subscription : session->subscriptions) {
    const bool meant =
        id != nullptr ? subscription->id == *id : subscription->destination->name == *destination;
    if (!meant) continue;
    router_.Unsubscribe(subscription.get(), now);
    return absl::OkStatus();
  }
  return Wrong(absl::StrCat("UNSUBSCRIBE ", Shown(id != nullptr ? *id : *destination),
                            ": there is no such subscription on this connection"));
}

absl::Status BrokerCore::OnAck(BrokerSession* session, Frame* frame, base::Now now) {
  // 1.2 names the message by `id`, the value of its `ack` header; before, by `message-id`. Here
  // both are the same number.
  const bool newest = session->version == StompVersion::k12;
  ORCH_ASSIGN_OR_RETURN(const std::string id, Require(*frame, newest ? "id" : "message-id"));
  bool deferred = false;
  ORCH_RETURN_IF_ERROR(session->transactions.Defer(frame, &deferred));
  if (deferred) return absl::OkStatus();
  return base::Annotate(router_.Acknowledge(session, id, frame->command == "ACK", now),
                        frame->command);
}

absl::Status BrokerCore::OnCommit(BrokerSession* session, const Frame& frame, base::Now now) {
  ORCH_ASSIGN_OR_RETURN(Transaction transaction, session->transactions.Take(frame));
  const std::string what = absl::StrCat("COMMIT ", Shown(*frame.Find("transaction")));
  // All or nothing: each queue must have room for all of it.
  for (const Frame& kept : transaction.frames) {
    if (kept.command != "SEND") continue;
    ORCH_RETURN_IF_ERROR(base::Annotate(
        router_.CheckRoom(session->peer, *kept.Find("destination"), transaction.bytes), what));
  }
  for (Frame& kept : transaction.frames) {
    ORCH_RETURN_IF_ERROR(base::Annotate(Perform(session, &kept, now), what));
  }
  return absl::OkStatus();
}

}  // namespace orch::bus
