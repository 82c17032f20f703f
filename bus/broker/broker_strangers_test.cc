// SPDX-License-Identifier: Apache-2.0
// The broker's listener among connections that don't belong there, or no longer.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "absl/strings/numbers.h"
#include "bus/broker/broker_fixture.h"
#include "bus/broker/broker_listener.h"
#include "trust/config.pb.h"

namespace orch::bus {
namespace {

using ::testing::HasSubstr;

// Whoever can reach the port: connections that each say `hello` and nothing more.
class Strangers {
 public:
  Strangers(const std::string& address, size_t count, absl::string_view hello) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int port = 0;
    EXPECT_TRUE(absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port));
    to.sin_port = htons(static_cast<uint16_t>(port));
    for (size_t i = 0; i < count; ++i) {
      const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      EXPECT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0);
      EXPECT_EQ(send(fd, hello.data(), hello.size(), MSG_NOSIGNAL),
                static_cast<ssize_t>(hello.size()));
      fds_.push_back(fd);
    }
  }
  // Each says so much more, who still may.
  void Say(absl::string_view more) {
    for (const int fd : fds_) (void)send(fd, more.data(), more.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  ~Strangers() {
    for (const int fd : fds_) close(fd);
  }

 private:
  std::vector<int> fds_;
};

class BrokerStrangersTest : public BrokerTest {};

TEST_F(BrokerStrangersTest, IdleConnectionsKeepNobodyOut) {
  MakeTls();
  const Strangers idle(broker_->address(), 2500, "");
  const auto node = Tls("web01", trust::Role::kNode);
  Ready(node.get());
  EXPECT_LE(broker_->status().handshakes_pending, BrokerListener::kHandshakesMax);
  EXPECT_GT(broker_->status().handshakes_refused, 0u);
}

TEST_F(BrokerStrangersTest, HandshakesThatStopKeepNobodyOut) {
  MakeTls();
  const std::string begun("\x16\x03\x01", 3);
  const Strangers stopped(broker_->address(), BrokerListener::kHandshakesMax + 500, begun);
  Until([&] { return broker_->status().handshakes_pending == BrokerListener::kHandshakesMax; });
  const auto node = Tls("web01", trust::Role::kNode);
  Ready(node.get());
}

TEST_F(BrokerStrangersTest, HandshakesInDropsKeepNobodyOut) {
  MakeTls();
  // A long ClientHello, of which each stranger says a byte whenever it is looked at.
  Strangers drops(broker_->address(), 900, "\x16");
  const auto node = Tls("web01", trust::Role::kNode);
  const absl::Time began = absl::Now();
  std::atomic<bool> done{false};
  std::thread dripping([&] {
    while (!done) drops.Say(absl::string_view("\x03", 1));
  });
  Ready(node.get());
  const absl::Duration took = absl::Now() - began;
  done = true;
  dripping.join();
  EXPECT_LT(took, absl::Seconds(2)) << "0.3 s, and what a loaded machine adds";
}

TEST_F(BrokerStrangersTest, ARevokedNodeLosesItsConnection) {
  const std::string directory = testing::NewTestDirectory();
  const trust::TrustConfig trust =
      testing::WriteTrust(&ca_, "broker", trust::Role::kNode, directory);
  const auto mine = *trust::Credentials::Load(trust, absl::Now());
  BrokerConfig config;
  config.set_listen("127.0.0.1:0");
  Make(config, mine);
  ASSERT_TRUE(Listen().ok());
  const testing::Certificate lost = ca_.Issue("web01");
  const auto load = [&](const std::string& name, const testing::Certificate& certificate) {
    return *trust::Credentials::Load(
        testing::WriteTrust(&ca_, certificate, name, testing::NewTestDirectory()), absl::Now());
  };
  WireClient revoked(&io_, NewNetworkStreams(load("web01", lost), ""), broker_->address());
  WireClient other(&io_, NewNetworkStreams(load("web02", ca_.Issue("web02")), ""),
                   broker_->address());
  Ready(&revoked);
  Ready(&other);
  broker_->JudgeAgain();
  ca_.Revoke(lost);
  ASSERT_TRUE(*mine->UpdateCrl(ca_.CrlDer(), absl::Now()));
  broker_->JudgeAgain();
  Until([&] { return revoked.ended(); });
  ASSERT_TRUE(revoked.Has("ERROR"));
  EXPECT_THAT(*revoked.frames().back().Find("message"), HasSubstr("revoked by"));
  other.Subscribe("/topic/orch.main.request");
  Until([&] { return other.Has("RECEIPT"); });
  revoked.Close();
  Until([&] { return broker_->status().connections == 1; });
}

}  // namespace
}  // namespace orch::bus
