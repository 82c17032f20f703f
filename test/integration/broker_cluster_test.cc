// SPDX-License-Identifier: Apache-2.0
// Two brokers that serve one fleet: nodes on one, their controller on the other; then one dies.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "test/integration/broker_conformance_fixture.h"

namespace orch::integration {
namespace {

using Heard = std::shared_ptr<std::vector<std::string>>;
using trust::Role;

class BrokerCluster : public BrokerConformance {
 protected:
  static constexpr int kNodes = 20;
  // A Java machine or an Erlang node beside a busy neighbour takes its time.
  static constexpr absl::Duration kPatience = absl::Seconds(60);

  bus::Client* MakeAt(size_t broker, const std::string& name, Role role) {
    return MakeWith(g_broker->ConfigFor(role, broker), g_broker->Credentials(name, role));
  }

  // A request to all, asked again until each node has answered: what was on its way when a broker
  // died is lost, as promised; a job asks again.
  void ExpectRoundTrip(const std::string& question) {
    for (const auto& client : clients_) UntilConnected(client.get(), kPatience);
    const auto answered = [&] {
      size_t count = 0;
      for (int i = 0; i < kNodes; ++i) {
        const std::string answer = absl::StrCat(BrokerUnderTest::NodeName(i), " ", question);
        count += std::count(replies_->begin(), replies_->end(), answer) > 0 ? 1 : 0;
      }
      return count == kNodes;
    };
    const absl::Time end = absl::Now() + kPatience;
    while (!answered() && absl::Now() < end) {
      Send(controller_, Request(), question);
      const absl::Time again = absl::Now() + absl::Milliseconds(500);
      Until("answers, or time to ask again", [&] { return answered() || absl::Now() > again; });
    }
    EXPECT_TRUE(answered()) << question << ": " << replies_->size() << " answers";
  }

  void SetUp() override {
    controller_ = MakeAt(1, "controller", Role::kController);
    replies_ = Hear(controller_, Reply());
    presence_ = Hear(controller_, Presence());
    for (int i = 0; i < kNodes; ++i) {
      const std::string name = BrokerUnderTest::NodeName(i);
      bus::Client* node = MakeAt(0, name, Role::kNode);
      const auto answer = [this, node, name](bus::Delivery delivery) {
        node->Send(Reply(), absl::StrCat(name, " ", delivery.body), absl::Now() + absl::Minutes(1));
      };
      node->Subscribe(Request(), answer);
      node->Subscribe(NodeTopic(i), answer);
      nodes_.push_back(node);
    }
    StartAll();
  }

  bus::Client* controller_ = nullptr;
  std::vector<bus::Client*> nodes_;
  Heard replies_, presence_;
};

TEST_F(BrokerCluster, NodesOnOneTheControllerOnTheOtherAndEitherMayDie) {
  const std::string first = nodes_[0]->status().broker;
  const std::string second = controller_->status().broker;
  ASSERT_NE(first, second);
  ExpectRoundTrip("across");
  EXPECT_TRUE(SendConfirmed(nodes_[0], Presence(), "here").ok());
  Until("presence", [&] { return !presence_->empty(); });

  // Once each hears the other, nothing is lost or doubled on the way.
  replies_->clear();
  for (int i = 0; i < kNodes; ++i)
    EXPECT_TRUE(SendConfirmed(controller_, NodeTopic(i), "you").ok());
  Until("an answer of each", [&] { return replies_->size() >= kNodes; });
  EXPECT_TRUE(SendConfirmed(nodes_[0], Reply(), "the last").ok());
  Until("the last", [&] { return replies_->back() == "the last"; });
  EXPECT_EQ(replies_->size(), size_t{kNodes} + 1);

  g_broker->Kill(0);
  Until(
      "the nodes at the other broker",
      [&] {
        return std::all_of(nodes_.begin(), nodes_.end(), [&](bus::Client* node) {
          return node->status().connected && node->status().broker == second;
        });
      },
      kPatience);
  EXPECT_EQ(controller_->status().connects, 1u);
  ExpectRoundTrip("after the nodes' broker died");

  g_broker->Start(0);
  g_broker->Kill(1);
  Until(
      "all at the first",
      [&] {
        return std::all_of(clients_.begin(), clients_.end(), [&](const auto& client) {
          return client->status().connected && client->status().broker == first;
        });
      },
      kPatience);
  ExpectRoundTrip("after the controller's broker died");
}

}  // namespace
}  // namespace orch::integration
