// SPDX-License-Identifier: Apache-2.0
// Whom each broker lets in, and what it lets them do.
#include "absl/strings/str_cat.h"
#include "test/integration/broker_conformance_fixture.h"

namespace orch::integration {
namespace {

using Heard = std::shared_ptr<std::vector<std::string>>;
using trust::Role;

class BrokerConformanceRights : public BrokerConformance {
 protected:
  // Starts it and waits for the refusal: it is never ready, and knows why.
  void ExpectRefused(bus::Client* client, const std::string& what) {
    On([&] { client->Start([](bool) {}); });
    Until(what, [client] {
      const bus::ClientStatus status = client->status();
      return status.connects > 0 || (!status.connected && status.last_error != "connecting");
    });
    EXPECT_EQ(client->status().connects, 0u) << what;
    EXPECT_NE(client->status().last_error, "") << what;
  }
  void ExpectSubscriptionRefused(const std::string& name, Role role,
                                 const std::string& destination) {
    bus::Client* client = Make(name, role);
    Hear(client, destination);
    ExpectRefused(client, absl::StrCat(name, " subscribes ", destination));
  }
  void ExpectSendRefused(const std::string& name, Role role, const std::string& destination) {
    // Of its own: a refusal may end the connection.
    bus::Client* client = Make(name, role);
    Start(client);
    UntilConnected(client);
    EXPECT_FALSE(SendConfirmed(client, destination, "evil").ok()) << name << " " << destination;
  }
  // An address of the flavour that nothing of ours makes.
  std::string Raw(const std::string& stomp, const std::string& rabbit) const {
    return g_broker->flavour() == bus::FLAVOUR_RABBITMQ ? rabbit : stomp;
  }
  const std::string node_ = BrokerUnderTest::NodeName(0);
};

TEST_F(BrokerConformanceRights, StrangersAreRefused) {
  if (g_broker->login()) {
    bus::BusConfig wrong = g_broker->ConfigFor(Role::kNode);
    wrong.set_passcode_file(g_broker->ConfigFor(Role::kController).passcode_file());
    ExpectRefused(MakeWith(wrong, g_broker->Credentials(node_, Role::kNode)), "wrong passcode");
    bus::BusConfig none = g_broker->ConfigFor(Role::kNode);
    none.clear_login();
    none.clear_passcode_file();
    ExpectRefused(MakeWith(none, g_broker->Credentials(node_, Role::kNode)), "no login");
    return;
  }
  const bus::BusConfig config = g_broker->ConfigFor(Role::kNode);
  ExpectRefused(MakeWith(config, g_broker->ForeignCredentials(node_)), "a foreign CA");
  ExpectRefused(Make("operator", Role::kUser), "a person's certificate");
  ExpectRefused(Make(g_broker->revoked(), Role::kNode), "a revoked certificate");
  // orch-broker goes by roles alone: to it every machine of the CA is a node.
  if (!g_broker->is_embedded()) {
    ExpectRefused(Make("stranger.example.org", Role::kNode), "a machine of no fleet");
  }
}

TEST_F(BrokerConformanceRights, ANodeMayNotDoMoreThanANode) {
  bus::Client* controller = Controller();
  bus::Client* witness = Node(1);
  const Heard requests = Hear(witness, Request());
  const Heard directed = Hear(witness, NodeTopic(1));
  StartAll();
  for (const std::string& destination :
       {Request(), NodeTopic(1), NodeTopic(0), Raw("/topic/orch.main.*", "/exchange/orch.cmd/#"),
        Raw("/topic/orch.*.*", "/exchange/orch.cmd/main.*"),
        Raw("/topic/orch.main.presence,orch.main.request", "/exchange/amq.topic/x"),
        Raw("/queue/other", "/queue/other"), Raw("/topic/>", "/topic/x")}) {
    ExpectSendRefused(node_, Role::kNode, destination);
  }
  for (const std::string& destination :
       {Reply(), Presence(), Raw("/topic/>", "/exchange/orch.cmd/#"),
        Raw("/topic/orch.main.>", "/exchange/orch.rep/#"),
        Raw("/queue/>", "/exchange/orch.cmd/*.request"), Raw("/queue/other", "/queue/other")}) {
    ExpectSubscriptionRefused(node_, Role::kNode, destination);
  }
  // ActiveMQ's rights are by group, and a shared login has one name.
  if (g_broker->flavour() != bus::FLAVOUR_ACTIVEMQ && !g_broker->login()) {
    ExpectSubscriptionRefused(node_, Role::kNode, NodeTopic(1));
  }
  EXPECT_TRUE(SendConfirmed(controller, Request(), "good").ok());
  EXPECT_TRUE(SendConfirmed(controller, NodeTopic(1), "good").ok());
  Until("what is right", [&] { return !requests->empty() && !directed->empty(); });
  EXPECT_EQ(*requests, std::vector<std::string>{"good"});
  EXPECT_EQ(*directed, std::vector<std::string>{"good"});
}

TEST_F(BrokerConformanceRights, AControllerMayNotDoMoreThanAController) {
  const Heard presence = Hear(Controller(), Presence());
  bus::Client* node = Node(0);
  StartAll();
  for (const std::string& destination :
       {Presence(), Reply(), Reply("controller2"), Raw("/queue/other", "/queue/other")}) {
    ExpectSendRefused("controller", Role::kController, destination);
  }
  for (const std::string& destination :
       {Request(), NodeTopic(0), Raw("/topic/>", "/exchange/orch.rep/#")}) {
    ExpectSubscriptionRefused("controller", Role::kController, destination);
  }
  // Controllers are one group on ActiveMQ; see rights.xml.
  if (g_broker->flavour() != bus::FLAVOUR_ACTIVEMQ && !g_broker->login()) {
    ExpectSubscriptionRefused("controller", Role::kController, Reply("controller2"));
  }
  EXPECT_TRUE(SendConfirmed(node, Presence(), "good").ok());
  Until("what is right", [&] { return !presence->empty(); });
  EXPECT_EQ(*presence, std::vector<std::string>{"good"});
}

// A node that listens where it may not hear: ActiveMQ takes the subscription, and gives it nothing.
TEST_F(BrokerConformanceRights, WildcardsShowANodeNothingOfOthers) {
  if (g_broker->flavour() != bus::FLAVOUR_ACTIVEMQ) {
    ExpectSubscriptionRefused(node_, Role::kNode,
                              Raw("/topic/orch.main.*", "/exchange/orch.rep/*"));
    return;
  }
  bus::Client* spy = Node(0);
  const Heard stolen = Hear(spy, "/topic/orch.main.*");
  const Heard presence = Hear(Controller(), Presence());
  bus::Client* node = Node(1);
  StartAll();
  EXPECT_TRUE(SendConfirmed(node, Presence(), "secret").ok());
  Until("presence", [&] { return !presence->empty(); });
  EXPECT_TRUE(SendConfirmed(clients_[1].get(), Request(), "public").ok());
  Until("the request, which it may hear", [&] { return !stolen->empty(); });
  EXPECT_EQ(*stolen, std::vector<std::string>{"public"});
}

}  // namespace
}  // namespace orch::integration
