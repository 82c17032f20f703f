// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "base/strand.h"
#include "bus/client/client.h"
#include "test/testing/sim_node.h"

namespace orch::load {

// What all nodes of a swarm share.
struct SwarmShared {
  explicit SwarmShared(base::Strand s) : strand(std::move(s)) {}

  base::Strand strand;
  std::string controller;  // the CN whose requests are obeyed
  std::string collective = "main";
  bus::Destinations destinations;
  absl::Duration run_time;  // of a simulated Puppet run, on average
  int failed_percent = 0;
  int failure_causes = 1;  // that those nodes share
  int change_sets = 0;     // that the others share; 0: they change nothing that is told
  int silent_percent = 0;

  // Verified once for all: on real machines each node does this by itself, at the same time.
  struct Opened {
    std::shared_ptr<const orch::bus::v1::Request> request;  // null: refused
    std::string digest;
  };
  absl::flat_hash_map<std::string, Opened> opened;  // by the envelope's digest
  static constexpr size_t kOpenedMax = 256;

  uint64_t connected = 0, deliveries = 0, refused = 0;
  uint64_t running = 0;  // nodes with a simulated Puppet at work
};

// A simulated node with a connection of its own. Its facts follow from its number, and its Puppet
// is a timer.
//
// Lives on: the swarm's strand.
class SwarmNode {
 public:
  SwarmNode(SwarmShared* shared, int number, std::string identity,
            std::shared_ptr<trust::Credentials> credentials, bus::BusConfig config,
            std::shared_ptr<bus::StreamFactory> streams);
  void Start();
  void Stop() {
    client_.Stop([] {});
  }
  const testing::SimNode& node() const { return node_; }

 private:
  void OnDelivery(const bus::Delivery& delivery);
  const SwarmShared::Opened& Open(const std::string& body);

  SwarmShared* const shared_;
  const int number_;
  const std::string identity_;
  const std::shared_ptr<trust::Credentials> credentials_;
  bus::Client client_;
  testing::SimNode node_;
  boost::asio::steady_timer run_, repeat_;
  bool connected_ = false;
  bool repeated_ = false;  // its presence, since the connect
  bool running_ = false;
};

}  // namespace orch::load
