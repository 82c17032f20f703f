// SPDX-License-Identifier: Apache-2.0
#include "controller/mail/inbox.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "base/version.h"
#include "test/testing/test_ca.h"

namespace orch::controller {
namespace {

TEST(InboxTest, BringsRepliesHomeInTheOrderOfTheirArrival) {
  constexpr uint64_t kReplies = 2000;
  testing::TestCa ca;
  const auto node = testing::NewCredentials(&ca, "n1.example.net", trust::Role::kNode);
  const auto controller = testing::NewCredentials(&ca, "controller", trust::Role::kController);
  std::vector<std::string> bodies;
  for (uint64_t i = 1; i <= kReplies; ++i) {
    orch::bus::v1::Reply reply;
    reply.set_protocol(base::kProtocol);
    reply.set_request_id(std::string(16, 'r'));
    reply.set_request_digest(std::string(32, 'd'));
    reply.set_node("n1.example.net");
    reply.set_sequence(i);
    reply.mutable_progress()->mutable_puppet_run()->set_message("line");
    const auto envelope = node->Sign(trust::Domain::kReply, reply.SerializeAsString(), true);
    ASSERT_TRUE(envelope.ok()) << envelope.status();
    bodies.push_back(envelope->SerializeAsString());
  }
  boost::asio::io_context io;
  const base::Strand bus = boost::asio::make_strand(io);
  const base::Strand home = boost::asio::make_strand(io);
  std::vector<uint64_t> came;  // on home
  auto inbox = std::make_shared<Inbox>(&io, bus, home, controller, &base::SystemClock(),
                                       [&came](OpenedBatch batch) {
                                         EXPECT_TRUE(batch.refused.empty());
                                         for (const OpenedReply& opened : batch.replies)
                                           came.push_back(opened.reply.sequence());
                                       });
  // A few at a time, so that parcels of different sizes are under way on several threads.
  for (size_t i = 0; i < bodies.size(); i += 7) {
    boost::asio::post(bus, [&, i] {
      for (size_t j = i; j < std::min(i + 7, bodies.size()); ++j) {
        bus::Delivery delivery;
        delivery.body = bodies[j];
        inbox->OnReply(std::move(delivery));
      }
    });
  }
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&io] { io.run(); });
  for (std::thread& thread : threads) thread.join();
  ASSERT_EQ(came.size(), kReplies);
  for (uint64_t i = 0; i < kReplies; ++i) ASSERT_EQ(came[i], i + 1);
}

// What one signed envelope brings home.
OpenedBatch Bring(testing::TestCa* ca, trust::Domain domain, const std::string& payload) {
  const auto node = testing::NewCredentials(ca, "n1.example.net", trust::Role::kNode);
  const auto controller = testing::NewCredentials(ca, "controller", trust::Role::kController);
  boost::asio::io_context io;
  const base::Strand bus = boost::asio::make_strand(io);
  OpenedBatch brought;
  auto inbox = std::make_shared<Inbox>(
      &io, bus, boost::asio::make_strand(io), controller, &base::SystemClock(),
      [&brought](OpenedBatch batch) { brought = std::move(batch); });
  boost::asio::post(bus, [&] {
    bus::Delivery delivery;
    delivery.body = node->Sign(domain, payload, true)->SerializeAsString();
    domain == trust::Domain::kReply ? inbox->OnReply(std::move(delivery))
                                    : inbox->OnPresence(std::move(delivery));
  });
  io.run();
  return brought;
}

TEST(InboxTest, AReplyWhoseTextIsCutInsideACharacterCounts) {
  testing::TestCa ca;
  orch::bus::v1::Reply reply;
  reply.set_protocol(base::kProtocol);
  reply.set_node("n1.example.net");
  reply.mutable_outcome()->set_state(orch::v1::NODE_STATE_FAILED);
  reply.mutable_outcome()->set_reason(std::string(127, 'a') + "\xc3");
  const OpenedBatch batch = Bring(&ca, trust::Domain::kReply, reply.SerializeAsString());
  EXPECT_TRUE(batch.refused.empty());
  ASSERT_EQ(batch.replies.size(), 1u);
  EXPECT_EQ(batch.replies[0].reply.outcome().reason(), std::string(127, 'a') + "\xef\xbf\xbd");
}

TEST(InboxTest, APresenceWithOtherBytesIsHeard) {
  testing::TestCa ca;
  orch::bus::v1::Presence presence;
  presence.set_protocol(base::kProtocol);
  presence.set_node("n1.example.net");
  presence.set_version("\xe9");
  const OpenedBatch batch = Bring(&ca, trust::Domain::kPresence, presence.SerializeAsString());
  ASSERT_EQ(batch.presences.size(), 1u);
  EXPECT_EQ(batch.presences[0].presence.version(), "\xef\xbf\xbd");
}

}  // namespace
}  // namespace orch::controller
