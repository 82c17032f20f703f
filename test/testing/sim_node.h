// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/strand.h"
#include "bus/client/client.h"
#include "bus/stomp/destination.h"
#include "orch/bus/v1/presence.pb.h"
#include "orch/bus/v1/reply.pb.h"
#include "orch/bus/v1/request.pb.h"
#include "target/node_view.h"
#include "trust/identity.h"

namespace orch::testing {

// What a simulated node is like and how it misbehaves. May be changed at any time.
struct SimNodeOptions {
  std::string identity = {};
  std::vector<std::string> collectives = {"main"};
  std::string facts = "{}";  // a JSON object
  std::vector<std::string> classes = {};
  std::vector<std::string> actions = {"node.facts",    "node.ping",  "puppet.disable",
                                      "puppet.enable", "puppet.run", "puppet.status"};
  bool silent = false;         // hears everything, says nothing
  bool hold = false;           // accepts mutating actions, ends them when Release is called
  bool mute_results = false;   // its outcomes get lost; a result query brings them
  bool without_chain = false;  // leaves the certificate out of presences until asked for it
  int progress = 0;            // news of each mutating action
  std::string refusal = {};    // what it says to every discovery, instead of being willing
  // What its Puppet comes to, with and without noop; unset: CHANGED, with no changes.
  std::optional<orch::v1::PuppetRunResult> run = {}, noop_run = {};
  orch::bus::v1::Outcome outcome = {};  // of every action; unset state: SUCCEEDED
};

// A node agent without a machine. It hears real signed requests on a bus client, decides with the
// real code for targets and policies, keeps its journal in memory, and answers with real signed
// replies.
//
// Lives on: the client's strand. Many may share one client (a swarm): then its owner subscribes to
// the request topic once and calls OnRequest of each.
class SimNode {
 public:
  struct Parts {
    bus::Client* client;
    std::shared_ptr<trust::Credentials> credentials;
    bus::Destinations destinations = {};
    const base::Clock* clock = &base::SystemClock();
  };
  SimNode(Parts parts, SimNodeOptions options);

  // Subscribes to the destinations that a node reads.
  void Attach();
  void OnDelivery(const bus::Delivery& delivery);
  // Takes a verified request; `digest` is that of its payload.
  void OnRequest(const orch::bus::v1::Request& request, const std::string& digest);
  void SendPresence(bool whole, bool with_facts, bool leaving = false);
  // Ends all actions that are held back.
  void Release();
  // Restarts the simulated agent: it has a new start time and, with `forget`, an empty journal.
  void Restart(bool forget);

  SimNodeOptions& options() { return options_; }
  // How often each request id started an action that mutates.
  const std::map<std::string, int>& starts() const { return starts_; }
  int started() const;
  // How many requests of each kind were heard, also if they were not answered.
  const std::map<int, int>& heard() const { return heard_; }
  int heard(orch::bus::v1::Request::KindCase kind) const;
  // Signs any reply as this node and sends it, for tests of hostile nodes.
  void SendReply(const orch::bus::v1::Request& to, orch::bus::v1::Reply reply);
  const orch::bus::v1::Request& last_action() const { return last_action_; }
  const std::string& last_digest() const { return last_digest_; }

 private:
  struct Entry {
    orch::bus::v1::Request request;
    std::string digest;
    uint64_t sequence = 0;
    std::optional<orch::bus::v1::Outcome> outcome;
  };
  bool IsMe(const orch::bus::v1::Request& request) const;
  target::NodeData View() const;
  void OnAction(const orch::bus::v1::Request& request, const std::string& digest);
  void OnDiscover(const orch::bus::v1::Request& request, const std::string& digest);
  void OnResultQuery(const orch::bus::v1::Request& request, const std::string& digest);
  // The policy's answer; empty: allowed.
  std::string WhyDenied(const orch::bus::v1::Request& request) const;
  bool Offers(const std::string& action) const;
  orch::bus::v1::Outcome OutcomeOf(const orch::v1::Action& action) const;
  void Answer(const orch::bus::v1::Request& request, const std::string& digest,
              orch::bus::v1::Reply reply);
  void EndEntry(Entry* entry, orch::bus::v1::Outcome outcome);

  const Parts parts_;
  SimNodeOptions options_;
  absl::Time start_time_;
  uint64_t sequence_ = 0;
  std::map<std::string, Entry> journal_;
  std::map<std::string, int> starts_;
  std::map<int, int> heard_;
  orch::bus::v1::Request last_action_;
  std::string last_digest_;
};

}  // namespace orch::testing
