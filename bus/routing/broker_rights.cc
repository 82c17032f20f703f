// SPDX-License-Identifier: Apache-2.0
#include "bus/routing/broker_rights.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/ids.h"
#include "bus/routing/broker_limits.h"

namespace orch::bus {
namespace {

// A destination of the bus taken apart: `/topic/P.C.node.web01` → kNode, `web01`.
struct BusDestination {
  BusKind kind = BusKind::kOther;
  absl::string_view identity;  // of kNode and kReply
};

BusDestination Parse(absl::string_view prefix, absl::string_view text) {
  const bool topic = absl::ConsumePrefix(&text, "/topic/");
  if (!topic && !absl::ConsumePrefix(&text, "/queue/")) return {};
  if (!absl::ConsumePrefix(&text, prefix) || !absl::ConsumePrefix(&text, ".")) return {};
  const size_t dot = text.find('.');
  if (dot == absl::string_view::npos || !base::IsCollective(text.substr(0, dot))) return {};
  text.remove_prefix(dot + 1);
  if (topic && text == "request") return {BusKind::kRequest, {}};
  if (topic && text == "presence") return {BusKind::kPresence, {}};
  if (topic && absl::ConsumePrefix(&text, "node.") && base::IsIdentity(text)) {
    return {BusKind::kNode, text};
  }
  if (!topic && absl::ConsumePrefix(&text, "reply.") && base::IsIdentity(text)) {
    return {BusKind::kReply, text};
  }
  return {};
}

}  // namespace

absl::string_view BusKindName(BusKind kind) {
  switch (kind) {
    case BusKind::kOther:
      return "other";
    case BusKind::kRequest:
      return "request";
    case BusKind::kNode:
      return "node";
    case BusKind::kReply:
      return "reply";
    case BusKind::kPresence:
      return "presence";
  }
  return "";
}

BusKind BusKindOf(absl::string_view prefix, absl::string_view destination) {
  return Parse(prefix, destination).kind;
}

absl::string_view PeerKindName(BrokerPeer::Kind kind) {
  switch (kind) {
    case BrokerPeer::Kind::kNobody:
      return "nobody";
    case BrokerPeer::Kind::kAnyone:
      return "insecure";
    case BrokerPeer::Kind::kNode:
      return "node";
    case BrokerPeer::Kind::kController:
      return "controller";
  }
  return "";
}

std::string DescribePeer(const BrokerPeer& peer) {
  switch (peer.kind) {
    case BrokerPeer::Kind::kNobody:
      return absl::StrCat("`", peer.name, "`, who has no rights on the bus,");
    case BrokerPeer::Kind::kAnyone:
      return "an insecure client";
    case BrokerPeer::Kind::kNode:
      return absl::StrCat("node ", peer.name);
    case BrokerPeer::Kind::kController:
      return absl::StrCat("controller ", peer.name);
  }
  return "";
}

absl::Status CheckDestination(absl::string_view destination, DestinationKind* kind) {
  if (destination.size() > kDestinationBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("destination is over ", kDestinationBytesMax, " bytes"));
  }
  absl::string_view name = destination;
  if (absl::ConsumePrefix(&name, "/topic/")) {
    *kind = DestinationKind::kTopic;
  } else if (absl::ConsumePrefix(&name, "/queue/")) {
    *kind = DestinationKind::kQueue;
  } else {
    return absl::InvalidArgumentError("destination does not begin with /topic/ or /queue/");
  }
  if (name.empty()) return absl::InvalidArgumentError("destination has no name");
  for (const char c : name) {
    if (c <= ' ' || c == 0x7f) {
      return absl::InvalidArgumentError(
          "destination has other than printable ASCII characters in it");
    }
    if (c == '*' || c == '>') {
      return absl::InvalidArgumentError("destination has a wildcard, which is not served");
    }
  }
  return absl::OkStatus();
}

bool MaySend(const BrokerPeer& peer, absl::string_view prefix, absl::string_view destination) {
  if (peer.kind == BrokerPeer::Kind::kAnyone) return true;
  const BusDestination to = Parse(prefix, destination);
  switch (peer.kind) {
    case BrokerPeer::Kind::kNode:
      return to.kind == BusKind::kReply || to.kind == BusKind::kPresence;
    case BrokerPeer::Kind::kController:
      return to.kind == BusKind::kRequest || to.kind == BusKind::kNode;
    case BrokerPeer::Kind::kNobody:
    case BrokerPeer::Kind::kAnyone:
      break;
  }
  return false;
}

bool MaySubscribe(const BrokerPeer& peer, absl::string_view prefix, absl::string_view destination) {
  if (peer.kind == BrokerPeer::Kind::kAnyone) return true;
  const BusDestination to = Parse(prefix, destination);
  switch (peer.kind) {
    case BrokerPeer::Kind::kNode:
      return to.kind == BusKind::kRequest ||
             (to.kind == BusKind::kNode && to.identity == peer.name);
    case BrokerPeer::Kind::kController:
      return to.kind == BusKind::kPresence ||
             (to.kind == BusKind::kReply && to.identity == peer.name);
    case BrokerPeer::Kind::kNobody:
    case BrokerPeer::Kind::kAnyone:
      break;
  }
  return false;
}

}  // namespace orch::bus
