// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/strand.h"
#include "bus/client/client.h"
#include "bus/stomp/destination.h"
#include "test/testing/test_ca.h"

namespace orch::integration {

// The broker that a run of the suite is about, or two that work together: real ones, started by
// their own deploy/brokers/*/try with the configuration that is shipped, on loopback ports.
class BrokerUnderTest {
 public:
  static constexpr int kManyNodes = 300;

  // `kind` is orch-broker, activemq or rabbitmq; with `login` clients have passcodes; `count` of
  // 2 is a network of brokers or a cluster.
  BrokerUnderTest(std::string kind, bool login, int count);
  ~BrokerUnderTest();
  BrokerUnderTest(const BrokerUnderTest&) = delete;
  BrokerUnderTest& operator=(const BrokerUnderTest&) = delete;

  // Starts one, or starts it again on the port that it had.
  void Start(size_t number = 0);
  // SIGKILL.
  void Kill(size_t number = 0);
  size_t resident_bytes() const;

  // `sim007.example.net`, known to the broker up to kManyNodes.
  static std::string NodeName(int number);
  // Of a name, issued once. Nodes and controllers by name, as the broker knows them.
  std::shared_ptr<trust::Credentials> Credentials(const std::string& name, trust::Role role);
  // As Credentials, from a CA that nobody knows.
  std::shared_ptr<trust::Credentials> ForeignCredentials(const std::string& name);
  // `first` is the broker to go to, the others come after it.
  bus::BusConfig ConfigFor(trust::Role role, size_t first = 0) const;

  bus::Flavour flavour() const { return flavour_; }
  bool login() const { return login_; }
  bool is_embedded() const { return flavour_ == bus::FLAVOUR_EMBEDDED; }
  std::string revoked() const { return "revoked.example.net"; }

 private:
  const std::string kind_;
  const bool login_;
  const bus::Flavour flavour_;
  const std::string directory_;
  testing::TestCa ca_{"Conformance CA"};
  testing::TestCa foreign_{"Foreign CA"};
  trust::TrustConfig broker_files_;
  std::map<std::string, std::shared_ptr<trust::Credentials>> credentials_;
  struct Process {
    int pid = 0;
    std::string address;
    std::string flags;  // of its script, beside those of all
  };
  std::string DirectoryOf(size_t number) const;
  std::vector<Process> brokers_;
};

// What `main` made; null before.
extern BrokerUnderTest* g_broker;

// Clients of the broker, driven by hand.
class BrokerConformance : public ::testing::Test {
 protected:
  static constexpr char kCollective[] = "main";

  void TearDown() override;

  // A client of its own, not started; `io` null: the common one.
  bus::Client* Make(const std::string& name, trust::Role role, base::Strand* strand = nullptr);
  bus::Client* MakeWith(bus::BusConfig config, std::shared_ptr<trust::Credentials> credentials);
  bus::Client* Controller(const std::string& name = "controller") {
    return Make(name, trust::Role::kController);
  }
  bus::Client* Node(int number) {
    return Make(BrokerUnderTest::NodeName(number), trust::Role::kNode);
  }
  // A subscription whose messages are in the vector.
  std::shared_ptr<std::vector<std::string>> Hear(bus::Client* client,
                                                 const std::string& destination);
  void Start(bus::Client* client);
  void StartAll();
  // Runs until it holds; fails naming `what` after `limit`.
  void Until(const std::string& what, const std::function<bool()>& condition,
             absl::Duration limit = absl::Seconds(20));
  void UntilConnected(bus::Client* client, absl::Duration limit = absl::Seconds(20));
  // On the strand, and through.
  void On(const std::function<void()>& action);
  void Send(bus::Client* client, const std::string& destination, const std::string& body,
            absl::Duration lifetime = absl::Minutes(1));
  // The broker's answer.
  absl::Status SendConfirmed(bus::Client* client, const std::string& destination,
                             const std::string& body, absl::Duration lifetime = absl::Minutes(1));

  std::string Request() const { return names_.Request(kCollective); }
  std::string NodeTopic(int number) const {
    return names_.Node(kCollective, BrokerUnderTest::NodeName(number));
  }
  std::string Reply(const std::string& controller = "controller") const {
    return names_.Reply(kCollective, controller);
  }
  std::string Presence() const { return names_.Presence(kCollective); }

  base::asio::io_context io_;
  base::Strand strand_{io_.get_executor()};
  const bus::Destinations names_{g_broker->flavour(), "orch"};
  std::vector<std::unique_ptr<bus::Client>> clients_;
  size_t started_ = 0;
};

}  // namespace orch::integration
