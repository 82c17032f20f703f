// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "bus/broker/broker.h"
#include "bus/stomp/frame.h"
#include "test/testing/loop.h"
#include "test/testing/test_ca.h"

// Fixture for tests of the broker with its transports: clients over memory, TCP and TLS.

namespace orch::bus {

// A minimal STOMP client over any stream. Lives on: the test's loop.
class WireClient {
 public:
  WireClient(base::asio::io_context* io, std::shared_ptr<StreamFactory> factory,
             std::string address)
      : state_(std::make_shared<State>(io)) {
    base::asio::co_spawn(state_->strand, Run(state_, std::move(factory), std::move(address)),
                         base::asio::detached);
  }
  ~WireClient() { Close(); }

  void Close() {
    if (state_->stream != nullptr) state_->stream->Close();
  }
  void StopReading() { state_->reading = false; }
  void Say(Frame frame) {
    base::asio::co_spawn(state_->strand, Write(state_, Encode(frame)), base::asio::detached);
  }
  void Connect() { Say({"CONNECT", {{"accept-version", "1.2"}, {"host", "h"}}, ""}); }
  void Subscribe(std::string destination) {
    Say({"SUBSCRIBE", {{"destination", destination}, {"id", "s"}, {"receipt", "subscribed"}}, ""});
  }
  void Send(std::string destination, std::string body) {
    Say({"SEND", {{"destination", destination}}, std::move(body)});
  }
  bool connected() const { return state_->stream != nullptr; }
  bool ended() const { return state_->ended; }
  const std::string& error() const { return state_->error; }
  const std::vector<Frame>& frames() const { return state_->frames; }
  bool Has(absl::string_view command) const {
    return std::any_of(frames().begin(), frames().end(),
                       [&](const Frame& frame) { return frame.command == command; });
  }

 private:
  struct State {
    explicit State(base::asio::io_context* io) : strand(base::asio::make_strand(*io)) {}
    base::Strand strand;
    std::unique_ptr<Stream> stream;
    std::vector<Frame> frames;
    std::string error;
    bool reading = true;
    bool ended = false;
  };
  static base::Awaitable<void> Run(std::shared_ptr<State> state,
                                   std::shared_ptr<StreamFactory> factory, std::string address) {
    absl::StatusOr<std::unique_ptr<Stream>> stream =
        co_await factory->Connect(state->strand, address);
    if (!stream.ok()) {
      state->error = std::string(stream.status().message());
      state->ended = true;
      co_return;
    }
    state->stream = *std::move(stream);
    Decoder decoder({.body_bytes = 64 << 20});
    std::vector<char> buffer(8 << 10);
    while (state->reading) {
      const absl::StatusOr<size_t> size =
          co_await state->stream->Read(buffer.data(), buffer.size());
      if (!size.ok()) {
        state->error = std::string(size.status().message());
        state->ended = true;
        break;
      }
      const absl::Status status =
          decoder.Feed(absl::string_view(buffer.data(), *size), &state->frames);
      EXPECT_TRUE(status.ok()) << status;
    }
  }
  static base::Awaitable<void> Write(std::shared_ptr<State> state, std::string bytes) {
    const std::vector<boost::asio::const_buffer> buffers = {boost::asio::buffer(bytes)};
    const absl::Status status = co_await state->stream->Write(buffers);
    if (!status.ok()) state->error = std::string(status.message());
  }

  std::shared_ptr<State> state_;
};

class BrokerTest : public ::testing::Test {
 protected:
  void Make(BrokerConfig config, std::shared_ptr<trust::Credentials> credentials = nullptr) {
    broker_ = std::make_unique<Broker>(strand_, std::move(config), std::move(credentials));
  }
  // Makes a broker for plain STOMP on a free port.
  void MakePlain(BrokerLimits limits = {}) {
    BrokerConfig config;
    config.set_listen("127.0.0.1:0");
    config.set_insecure_loopback(true);
    *config.mutable_limits() = limits;
    Make(config);
    ASSERT_TRUE(Listen().ok());
  }
  void MakeTls() {
    BrokerConfig config;
    config.set_listen("127.0.0.1:0");
    Make(config, testing::NewCredentials(&ca_, "broker", trust::Role::kNode));
    ASSERT_TRUE(Listen().ok());
  }
  absl::Status Listen() { return broker_->Listen(); }
  std::unique_ptr<WireClient> Plain() {
    return std::make_unique<WireClient>(&io_, NewNetworkStreams(nullptr, ""), broker_->address());
  }
  std::unique_ptr<WireClient> Tls(const std::string& name, trust::Role role) {
    return std::make_unique<WireClient>(
        &io_, NewNetworkStreams(testing::NewCredentials(&ca_, name, role), ""), broker_->address());
  }
  std::unique_ptr<WireClient> InMemory(const std::string& name, trust::Role role) {
    trust::Peer peer;
    peer.common_name = name;
    peer.role = role;
    return std::make_unique<WireClient>(&io_, broker_->MemoryStreams(peer), "");
  }
  void Until(std::function<bool()> condition) { ASSERT_TRUE(testing::RunUntil(&io_, condition)); }
  // Connects the client in STOMP.
  void Ready(WireClient* client) {
    Until([&] { return client->connected() || client->ended(); });
    ASSERT_EQ(client->error(), "");
    client->Connect();
    Until([&] { return client->Has("CONNECTED"); });
  }
  // Sends a request from the controller to the node, and its reply back.
  void RoundTrip(WireClient* controller, WireClient* node, size_t size) {
    Ready(controller);
    Ready(node);
    controller->Subscribe("/queue/orch.main.reply.ctl");
    node->Subscribe("/topic/orch.main.request");
    Until([&] { return controller->Has("RECEIPT") && node->Has("RECEIPT"); });
    const std::string request(size, 'q');
    const std::string reply(size, 'r');
    controller->Send("/topic/orch.main.request", request);
    Until([&] { return node->Has("MESSAGE"); });
    EXPECT_EQ(node->frames().back().body, request);
    node->Send("/queue/orch.main.reply.ctl", reply);
    Until([&] { return controller->Has("MESSAGE"); });
    EXPECT_EQ(controller->frames().back().body, reply);
  }

  base::asio::io_context io_{1};
  base::Strand strand_ = base::asio::make_strand(io_);
  testing::TestCa ca_;
  std::unique_ptr<Broker> broker_;
};

}  // namespace orch::bus
