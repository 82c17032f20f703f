// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
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
#include "bus/client/bus.h"
#include "bus/stomp/destination.h"
#include "nodeagent/actions/actions.h"
#include "nodeagent/agent/beacons.h"
#include "nodeagent/agent/crl_parts.h"
#include "nodeagent/agent/ladder.h"
#include "nodeagent/agent/presence.h"
#include "nodeagent/agent/replay_window.h"
#include "nodeagent/agent/replies.h"
#include "nodeagent/facts/facts.h"
#include "nodeagent/journal/journal_store.h"
#include "policy/policy.h"
#include "trust/identity.h"

namespace orch::nodeagent {

inline constexpr int kRunningMaxDefault = 16;
// Mutating requests between the look-up in the journal and their acceptance.
inline constexpr size_t kClimbingMax = 256;
// Refusals that status shows.
inline constexpr size_t kRecentStopsMax = 20;
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
  base::Plants plants;  // for test/sim alone
  // Something that status shows has changed.
  std::function<void()> on_change = [] {};
};

// A request that is being carried out.
struct Running {
  std::shared_ptr<Exchange> exchange;
  std::string action;
  std::string caller;
  bool mutates = false;
  absl::Time accept_time;
};

// How actions ended, since the start.
struct RunCounters {
  std::array<uint64_t, orch::v1::NodeState_MAX + 1> ended = {};
  std::array<uint64_t, orch::v1::PuppetRunVerdict_MAX + 1> verdicts = {};
  uint64_t journal_failures = 0;
};

// A request that stopped, for status.
struct RecentStop {
  absl::Time time;
  Stop stop;
  std::string signer;
  std::string what;
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

  const LadderCounters& counters() const { return counters_; }
  const RunCounters& run_counters() const { return run_counters_; }
  // Outcomes that the broker has not confirmed.
  size_t unsent() const { return replies_.unsent(); }
  const Beacons& beacons() const { return beacons_; }
  const std::map<std::string, Running>& running() const { return running_; }
  const std::deque<RecentStop>& recent_stops() const { return recent_stops_; }

 private:
  // One request on its way up.
  struct Message {
    std::string collective;  // of the destination it came on
    trust::Peer signer;
    std::string digest;  // SHA-256 of the payload
    orch::bus::v1::Request request;
    base::Now now;
    std::shared_ptr<Exchange> exchange;
  };
  using MessagePtr = std::shared_ptr<Message>;

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
  void LogRequest(absl::string_view event, const std::string& request_id, const Running& running,
                  const orch::bus::v1::Outcome* outcome = nullptr) const;

  // refusals.cc: what stops.
  void Refuse(const MessagePtr& message, const Stop& stop);
  void RefuseDurably(const MessagePtr& message, const Stop& stop);
  void AnswerStop(const MessagePtr& message, const Stop& stop);
  void AnswerKnown(const Message& message, const JournalEntry& entry);
  bool MayAnswer(const Message& message, const Stop& stop);
  void Note(const Message& message, const Stop& stop);

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
  bool Offers(const std::string& action, bool* mutates) const;

  void Count(const orch::bus::v1::Outcome& outcome);
  void LogJournal(absl::string_view what, const absl::Status& status);
  JournalRequest ForJournal(const Message& message) const;
  ActionCall MakeCall(const orch::bus::v1::Request& request);
  void OnConnection(bool connected);
  // `function`, but only as long as this agent is there.
  template <typename Function>
  auto Guard(Function function) {
    return [alive = std::weak_ptr<bool>(alive_), function](auto&&... arguments) {
      if (!alive.expired()) function(std::forward<decltype(arguments)>(arguments)...);
    };
  }

  const AgentParts parts_;
  std::shared_ptr<const policy::Policy> policy_;
  Replies replies_;
  Presence presence_;
  LadderCounters counters_;
  RunCounters run_counters_;
  ReplayWindow replay_;          // requests that change nothing
  ReplayWindow refused_;         // mutating ones that were refused: they never start later
  ReplayWindow cancelled_jobs_;  // a cancel may overtake its requests
  Beacons beacons_;
  CrlParts crl_parts_;
  std::map<std::string, Running> running_;  // by request id
  std::set<std::string> climbing_;          // request ids between look-up and acceptance
  Budget repeats_{kRepeatsPerSecondMax};
  base::LogLimiter limiter_;
  std::deque<RecentStop> recent_stops_;
  absl::Duration next_purge_;  // steady
  uint64_t bus_failures_ = 0;  // that status has been told of
  bool leaving_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace orch::nodeagent
