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

}  // namespace
}  // namespace orch::controller
