// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "base/asio.h"
#include "base/clock.h"
#include "bus/client.h"
#include "bus/destination.h"
#include "orch/bus/v1/reply.pb.h"
#include "orch/bus/v1/request.pb.h"
#include "target/node_view.h"
#include "trust/identity.h"

namespace orch::load {

// What all simulated nodes of a process share.
struct SimFleet {
  explicit SimFleet(base::Strand s) : strand(std::move(s)) {}

  base::Strand strand;
  boost::asio::io_context* io = nullptr;
  std::string controller;  // the CN whose requests are obeyed
  std::string collective = "main";
  bus::Destinations destinations;
  absl::Duration run_time;  // of a simulated Puppet run, on average
  int changed_percent = 50;
  int failed_percent = 0;
  int silent_percent = 0;  // nodes that never answer
  absl::Time start_time = absl::Now();

  // Verified once for all: on real machines each node does this by itself, at the same time.
  struct Opened {
    trust::Peer signer;
    std::string digest;
    std::shared_ptr<const orch::bus::v1::Request> request;  // null: refused
  };
  absl::flat_hash_map<std::string, Opened> opened;  // by the envelope's digest; bounded
  static constexpr size_t kOpenedMax = 256;

  // Figures.
  uint64_t connected = 0, deliveries = 0, refused = 0, replies = 0, starts = 0, duplicates = 0;
};

// A node without a machine: a real identity and real signatures on the real bus, but facts out of
// its number and a Puppet that is only a timer. It starts at most once for a request id, as a
// journal would have it.
//
// Lives on: the fleet's strand.
class SimNode {
 public:
  SimNode(SimFleet* fleet, int number, std::string identity,
          std::shared_ptr<trust::Credentials> credentials, bus::BusConfig config,
          std::shared_ptr<bus::StreamFactory> streams);
  void Start();
  void Stop(std::function<void()> done);
  void SendPresence(bool with_facts, bool with_chain);
  bool connected() const { return connected_; }

 private:
  struct Work {
    orch::bus::v1::Request request;  // without the action's body where it has ended
    std::string digest;
    uint64_t sequence = 0;
    bool accepted = false, ended = false, cancelled = false;
    orch::bus::v1::Outcome outcome;
    std::unique_ptr<boost::asio::steady_timer> timer;
  };

  void OnMessage(const bus::Delivery& delivery);
  const SimFleet::Opened& Open(const std::string& body);
  void Handle(const orch::bus::v1::Request& request, const std::string& digest);
  void StartAction(const orch::bus::v1::Request& request, const std::string& digest);
  void EndRun(const std::string& request_id);
  void Answer(const orch::bus::v1::Request& request, const std::string& digest, uint64_t sequence,
              orch::bus::v1::Reply reply, bool with_receipt);
  void AnswerResults(const orch::bus::v1::Request& request, const std::string& digest);
  void Publish(const std::string& destination, trust::Domain domain, const std::string& payload,
               bool with_chain, bool with_receipt);

  SimFleet* const fleet_;
  const int number_;
  target::NodeData view_;
  const std::shared_ptr<trust::Credentials> credentials_;
  bus::Client client_;
  bool connected_ = false;
  uint64_t presence_sequence_ = 0;
  std::map<std::string, Work> works_;  // mutating requests by id
};

}  // namespace orch::load
