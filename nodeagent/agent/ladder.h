// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "orch/bus/v1/request.pb.h"
#include "policy/policy.h"
#include "target/node_view.h"
#include "trust/identity.h"

// The rungs that a request climbs before this node does anything (docs/security.md, "Messages"), as
// far as they are decided without a socket, a clock or a disk: each function is one rung and says
// nullopt (go on) or where and why the request stops. agent.cc calls them in order. Pure.

namespace orch::nodeagent {

// Where a request can stop, in the order of the ladder; each is a counter, a reason and a log line.
enum class Rung {
  // The sender is not proven: silence.
  kSize,
  kEnvelope,
  kUnknownKey,
  kChain,
  kRevoked,
  kRole,
  kSignature,
  kController,  // a controller's certificate, but not one in `controllers:`, or it speaks for
                // another
  // Signed by a controller of ours: answered where the request was meant for this node.
  kUnsupported,
  kInvalid,
  kCollective,  // silence
  kNotNamed,    // silence
  kFuture,
  kExpired,
  kLifetime,
  kClock,     // beacons show that this node's clock can't decide about time
  kReplayed,  // silence: the same request came before
  kKnown,  // a mutating request that the journal or this process knows: answered with what is known
  kReplayWindow,
  kJournal,
  kNotMatched,  // silence, except where the node was named alone
  kDenied,
  kCancelled,
  kCapacity,
};
inline constexpr size_t kRungs = static_cast<size_t>(Rung::kCapacity) + 1;

// `expired`: the counter's name, and the outcome's reason where there is an answer.
absl::string_view RungName(Rung rung);
absl::string_view ReasonOf(Rung rung);
Rung RungOf(trust::Refusal refusal);
// Whether the controller is told, if the request was meant for this node.
bool IsAnswered(Rung rung);

// How often requests stopped where, and how many passed.
struct LadderCounters {
  uint64_t received = 0;
  uint64_t passed = 0;
  std::array<uint64_t, kRungs> stopped = {};
  uint64_t at(Rung rung) const { return stopped[static_cast<size_t>(rung)]; }
};

// A request ends here.
struct Stop {
  Rung rung;
  std::string why;  // for people
};

// Who this node is. Constant.
struct Self {
  std::string identity;
  std::vector<std::string> collectives;
  std::vector<std::string> controllers;  // exact CNs
  bool IsMember(absl::string_view collective) const;
};

inline constexpr absl::Duration kFutureMax = absl::Seconds(30);
inline constexpr absl::Duration kLifetimeMax = absl::Seconds(900);
inline constexpr int kNodesMax = 500;
inline constexpr int kConditionsMax = 1000;
inline constexpr size_t kTraceparentMax = 128;
inline constexpr int kResultQueryMax = 500;

// The signer has the role and is one of `controllers:`.
std::optional<Stop> CheckSigner(const trust::Peer& signer, const Self& self);
// Parses the signed bytes: nothing after the message, no field or value unknown within the
// protocol, every field of its shape. `*request` is filled as far as it parses, so that a refusal
// can be answered.
std::optional<Stop> ParseStrictly(absl::string_view payload, const trust::Peer& signer,
                                  orch::bus::v1::Request* request);
// Its collective is the one of the destination it came on, and mine; if it names nodes, I am among
// them.
std::optional<Stop> CheckMeant(const orch::bus::v1::Request& request, absl::string_view collective,
                               const Self& self);
// Not yet void, without grace; not from the future, not valid for too long.
std::optional<Stop> CheckTime(const orch::bus::v1::Request& request, absl::Time now);
// The target holds on my live facts; what can't be decided is not me.
std::optional<Stop> CheckTarget(const orch::bus::v1::Request& request,
                                const target::NodeView& node);
// The request's conditions and this node's own policy (null: none) both allow.
std::optional<Stop> CheckConditions(const orch::bus::v1::Request& request,
                                    const policy::Policy* own, const target::NodeView& node);

// Directed at this node alone and naming it: it is told even that it does not match.
bool IsNamedAlone(const orch::bus::v1::Request& request);
// Whether it goes through the durable journal.
bool IsMutating(const orch::bus::v1::Request& request);
// `action puppet.run`, `beacon`: for logs.
std::string KindWords(const orch::bus::v1::Request& request);

}  // namespace orch::nodeagent
