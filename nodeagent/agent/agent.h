// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "base/plants.h"
#include "base/random.h"
#include "base/strand.h"
#include "base/weak.h"
#include "bus/client/bus.h"
#include "bus/stomp/destination.h"
#include "nodeagent/actions/actions.h"
#include "nodeagent/agent/beacons.h"
#include "nodeagent/agent/cancels.h"
#include "nodeagent/agent/crl_parts.h"
#include "nodeagent/agent/ladder.h"
#include "nodeagent/agent/message.h"
#include "nodeagent/agent/presence.h"
#include "nodeagent/agent/replay_window.h"
#include "nodeagent/agent/replies.h"
#include "nodeagent/agent/stop_log.h"
#include "nodeagent/agent/under_way.h"
#include "nodeagent/facts/facts.h"
#include "nodeagent/journal/journal_store.h"
#include "policy/policy.h"
#include "trust/identity.h"

namespace orch::nodeagent {

// Mutating requests between the look-up in the journal and their acceptance.
inline constexpr size_t kClimbingMax = 256;
inline constexpr absl::Duration kPurgeInterval = absl::Hours(1);

// What an agent is made of; what is pointed to outlives it.
struct AgentParts {
  base::Strand strand;
  const base::Clock* clock = nullptr;
  Self self;
  bus::Destinations destinations;
  bus::Bus* client = nullptr;  // not started; the agent subscribes
  std::shared_ptr<trust::Credentials> credentials;
  Actions* actions = nullptr;
  JournalStore* journal = nullptr;
  Facts* facts = nullptr;
  std::shared_ptr<const policy::Policy> policy;  // this node's own; null: none
  int running_max = kRunningMaxDefault;
  absl::Duration presence_interval = kPresenceIntervalDefault;
  absl::Time start_time;
  bool other_brokers = false;  // the client has more than one to try
  base::Random* random = base::SystemRandom();
  base::Plants plants = {};  // for test/sim alone
  // Something that status shows has changed.
  std::function<void()> on_change = [] {};
};

// A node's side of the bus: requests come in and climb the ladder, one function a rung; those that
// reach its top are carried out, and what came of them is answered. Nothing is answered before the
// signature of a controller of ours held, and a mutating request is durable in the journal before
// anything is done.
//
// Lives on: the strand it is given.
class Agent {
 public:
  explicit Agent(AgentParts parts);
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  // Subscribes, takes up what the journal says was not ended, starts the bus client.
  void Start();
  // Every few seconds: presence, deafness, purging.
  void OnTick();
  // Facts, classes or Puppet's state changed.
  void OnNodeChange();
  // This node's own policy was read again.
  void TakePolicy(std::shared_ptr<const policy::Policy> policy) { policy_ = std::move(policy); }
  // Says goodbye on the bus. Runs go on; nothing new is started.
  void Leave();

  const LadderCounters& counters() const { return stops_.counters(); }
  const RunCounters& run_counters() const { return under_way_.counters(); }
  // Outcomes that the broker has not confirmed.
  size_t unsent() const { return replies_.unsent(); }
  const Beacons& beacons() const { return beacons_; }
  const std::map<std::string, Running>& running() const { return under_way_.running(); }
  const std::deque<RecentStop>& recent_stops() const { return stops_.recent(); }

 private:
  // agent.cc: the ladder, in the order of a request's life.
  void OnMessage(const std::string& collective, const bus::Delivery& delivery);
  std::optional<Stop> Climb(const MessagePtr& message, const std::string& body);
  std::optional<Stop> Open(const std::string& body, Message* message) const;
  std::optional<Stop> CheckClock(const Message& message) const;
  std::optional<Stop> LookUp(const MessagePtr& message);
  void OnLookedUp(const MessagePtr& message,
                  const absl::StatusOr<std::optional<JournalEntry>>& found);
  std::optional<Stop> CheckNode(const Message& message) const;
  void Accept(const MessagePtr& message);
  void OnAccepted(const MessagePtr& message, const absl::StatusOr<AcceptResult>& result);
  void Run(const MessagePtr& message, absl::Time accepted);
  void Resume(const JournalEntry& entry);
  void OnDone(const std::string& request_id, orch::bus::v1::Outcome outcome);

  // refusals.cc: what stops.
  void Refuse(const MessagePtr& message, const Stop& stop);
  void AnswerKnown(const Message& message, const JournalEntry& entry);
  bool MayAnswer(const Message& message, const Stop& stop);

  // queries.cc: all that is asked besides actions.
  std::optional<Stop> CheckOnce(const Message& message);
  std::optional<Stop> OnQuery(const MessagePtr& message);
  std::optional<Stop> OnDiscover(const Message& message);
  std::optional<Stop> OnBeacon(const Message& message);
  std::optional<Stop> OnCrl(const Message& message);
  void OnCancel(const Message& message);
  void OnResultQuery(const MessagePtr& message);
  void AnswerResult(const Message& query, const std::string& request_id,
                    const std::optional<JournalEntry>& entry, bool whole);

  void LogJournal(absl::string_view what, const absl::Status& status);
  JournalRequest ForJournal(const Message& message) const;
  ActionCall MakeCall(const orch::bus::v1::Request& request);
  void OnConnection(bool connected);

  const AgentParts parts_;
  std::shared_ptr<const policy::Policy> policy_;
  Replies replies_;
  Presence presence_;
  StopLog stops_;
  UnderWay under_way_;
  Cancels cancels_;
  ReplayWindow replay_;  // requests that change nothing
  Beacons beacons_;
  CrlParts crl_parts_;
  std::set<std::string> climbing_;  // request ids between look-up and acceptance
  Budget repeats_{kRepeatsPerSecondMax};
  base::LogLimiter limiter_;
  absl::Duration next_purge_;  // steady
  uint64_t bus_failures_ = 0;  // that status has been told of
  bool leaving_ = false;
  base::Lifetime lifetime_;
};

}  // namespace orch::nodeagent
