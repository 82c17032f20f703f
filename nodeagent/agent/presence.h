// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/random.h"
#include "bus/client/bus.h"
#include "bus/stomp/destination.h"
#include "nodeagent/actions/actions.h"
#include "nodeagent/agent/stop_log.h"
#include "nodeagent/facts/facts.h"
#include "orch/bus/v1/presence.pb.h"
#include "trust/identity.h"

namespace orch::nodeagent {

inline constexpr absl::Duration kPresenceIntervalDefault = absl::Minutes(5);
// The certificate and the list of actions travel in the first presence of a connection, when asked
// for, and this often.
inline constexpr absl::Duration kPresenceWholeInterval = absl::Hours(1);
// Changes within this time make one presence.
inline constexpr absl::Duration kPresenceChangeMin = absl::Seconds(1);
// Within this time of a connection's first beacon the presence is repeated: over a network of
// brokers, the way to the controller may not have been there when the node connected.
inline constexpr absl::Duration kPresenceRepeatSpread = absl::Seconds(10);
// A node that is behind with revocation lists asks for them this often.
inline constexpr absl::Duration kCrlAskInterval = absl::Minutes(5);
// How often Puppet's files are looked at for news that nobody told us.
inline constexpr absl::Duration kPuppetLookInterval = absl::Seconds(30);
// Facts larger than this don't fit into an envelope beside the rest; they travel packed, which
// makes them smaller by five to ten.
inline constexpr size_t kPresenceFactsMax = 200 << 10;

struct PresenceParts {
  const base::Clock* clock = nullptr;
  std::string identity;
  std::vector<std::string> collectives;  // sorted
  bus::Destinations destinations;
  bus::Bus* client = nullptr;
  std::shared_ptr<trust::Credentials> credentials;
  const Actions* actions = nullptr;
  const Facts* facts = nullptr;
  const StopLog* stops = nullptr;
  absl::Duration interval = kPresenceIntervalDefault;
  absl::Time start_time;
  base::Random* random = base::SystemRandom();
};

// What this node says of itself, signed, on the presence topic of each of its collectives: on each
// connect, again after its first beacon, on change, every interval with jitter, when asked, and
// once with `leaving` at the end. Has no timer of its own: OnTick is called every few seconds.
//
// Lives on: the agent's strand.
class Presence {
 public:
  explicit Presence(PresenceParts parts);

  void OnConnected();
  void OnDisconnected() { connected_ = false; }
  // A controller was heard.
  void OnBeacon();
  // A beacon named a newer revocation list than there is here: the next presence, within
  // kPresenceRepeatSpread, says so; again after kCrlAskInterval.
  void AskForCrls();
  // Facts, classes or Puppet's state changed, or may have.
  void OnChange();
  void OnTick();
  // The node noticed that it heard no controller; told with the next presence.
  void OnDeaf(absl::Time time) { deaf_time_ = time; }
  // A controller asked.
  void Answer(bool with_facts, bool with_certificates);
  // Says goodbye.
  void SendLeaving();

  uint64_t sent() const { return sequence_; }

 private:
  bool FactsRead() const;
  void SendIfChanged(base::Now now);
  // What makes a presence worth sending before its time.
  std::string Fingerprint() const;
  orch::bus::v1::Presence Compose(bool whole) const;
  void AddFacts(orch::bus::v1::Presence* presence) const;
  void Send(bool whole, bool with_facts, bool leaving);

  const PresenceParts parts_;
  bool connected_ = false;
  bool repeated_ = false;  // since the connect
  bool changed_ = false;
  absl::Time deaf_time_ = absl::InfinitePast();
  bool behind_crls_ = false;                               // and has not said so
  absl::Duration crls_asked_ = -absl::InfiniteDuration();  // steady
  bool facts_owed_ = false;                                // somebody asked before they were read
  uint64_t sequence_ = 0;
  std::string last_fingerprint_;
  absl::Duration last_sent_;   // steady
  absl::Duration last_whole_;  // steady
  absl::Duration last_look_;   // steady
  absl::Duration next_;        // steady
};

}  // namespace orch::nodeagent
