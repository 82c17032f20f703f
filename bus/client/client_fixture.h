// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/strand.h"
#include "bus/client/client.h"
#include "test/testing/loop.h"
#include "test/testing/stomp_peer.h"

namespace orch::bus {

// Fixture with one client and a scripted peer (StompPeer), whose loop is driven by hand.
class ClientTest : public ::testing::Test {
 protected:
  ClientTest() {
    config_.add_brokers("broker1:61613");
    config_.mutable_reconnect_min()->set_nanos(1'000'000);
    config_.mutable_reconnect_max()->set_nanos(5'000'000);
  }

  // Makes the client with streams of `factory`; null: with those of the scripted peer.
  void Make(std::shared_ptr<StreamFactory> factory = nullptr) {
    client_ = std::make_unique<Client>(
        strand_, Client::Options{config_, nullptr, "test", send_queue_bytes_, messages_per_second_},
        factory != nullptr ? factory : peer_);
  }
  void Subscribe(const std::string& destination) {
    client_->Subscribe(destination, [this](Delivery delivery) {
      messages_.push_back(delivery.destination + " " + delivery.body);
    });
  }
  // Runs `action` on the client's strand and waits until it has run.
  void On(std::function<void()> action) {
    bool done = false;
    base::asio::post(strand_, [&] {
      action();
      done = true;
    });
    ASSERT_TRUE(testing::RunUntil(&io_, [&] { return done; }));
  }
  void Start() {
    On([this] { client_->Start([this](bool connected) { changes_.push_back(connected); }); });
  }
  // Runs the loop until `condition` holds; a failure of the script is shown.
  void Until(std::function<bool()> condition) {
    const bool held =
        testing::RunUntil(&io_, [&] { return !peer_->failure().empty() || condition(); });
    ASSERT_EQ(peer_->failure(), "");
    ASSERT_TRUE(held) << client_->status().last_error;
  }
  void UntilChanges(std::vector<bool> changes) {
    Until([&] { return changes_ == changes; });
  }
  Client::Sent Record() {
    return [this](absl::Status status) { sent_.push_back(status); };
  }
  // The usual beginning of a connection without subscriptions.
  testing::StompPeer& ScriptConnect() {
    return peer_->NextConnection().Expect(testing::Connect()).Reply(testing::Connected());
  }

  base::asio::io_context io_;
  base::Strand strand_{io_.get_executor()};
  BusConfig config_;
  size_t send_queue_bytes_ = 16 << 20;
  uint32_t messages_per_second_ = 0;
  std::shared_ptr<testing::StompPeer> peer_ = std::make_shared<testing::StompPeer>(strand_);
  std::vector<bool> changes_;
  std::vector<std::string> messages_;
  std::vector<absl::Status> sent_;
  std::unique_ptr<Client> client_;
};

}  // namespace orch::bus
