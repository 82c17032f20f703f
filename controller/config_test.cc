// SPDX-License-Identifier: Apache-2.0
#include "controller/config.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/config.h"

namespace orch::controller {
namespace {

constexpr char kLeast[] = R"(
trust: {certificate: c.pem, private_key: k.pem, ca: ca.pem, crl: crl.pem}
policy: {file: policy.yaml}
)";

absl::StatusOr<ControllerConfig> Read(absl::string_view more) {
  ControllerConfig config;
  absl::Status status = base::ParseYaml(absl::StrCat(kLeast, more), "test.yaml", &config);
  if (status.ok()) status = CompleteConfig("test.yaml", &config);
  if (!status.ok()) return status;
  return config;
}

// What is wrong with it, or "ok".
std::string Wrong(absl::string_view more) {
  const absl::StatusOr<ControllerConfig> config = Read(more);
  return config.ok() ? "ok" : std::string(config.status().message());
}

TEST(ConfigTest, FillsInEveryDefault) {
  const absl::StatusOr<ControllerConfig> config = Read("");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->grpc().listen(), "127.0.0.1:7443");
  EXPECT_EQ(config->grpc().roles(0), "orch-user");
  EXPECT_EQ(config->http().listen(), "127.0.0.1:7480");
  EXPECT_EQ(config->collectives(0), "main");
  EXPECT_TRUE(HasOwnBroker(*config));
  EXPECT_EQ(config->bus().destination_prefix(), "orch");
  EXPECT_EQ(config->broker().destination_prefix(), "orch");
  EXPECT_EQ(StorePath(*config), "/var/lib/orch/orch.db");
  EXPECT_EQ(AuditPath(*config), "/var/lib/orch/audit.jsonl");
  EXPECT_EQ(config->jobs().confirm_above(), 50u);
  EXPECT_EQ(config->jobs().request_ttl().seconds(), 60);
  EXPECT_EQ(config->roster().stale_after().seconds(), 900);
  EXPECT_EQ(config->limits().watchers(), 1000u);
}

TEST(ConfigTest, StaleFollowsThePresenceInterval) {
  const absl::StatusOr<ControllerConfig> config = Read("roster: {presence_interval: 10s}\n");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->roster().stale_after().seconds(), 30);
}

TEST(ConfigTest, InsecureOnlyOnLoopback) {
  EXPECT_EQ(Wrong("grpc: {listen: '127.0.0.1:0', insecure_loopback: true}\n"), "ok");
  EXPECT_EQ(Wrong("grpc: {listen: '[::1]:0', insecure_loopback: true}\n"), "ok");
  EXPECT_EQ(Wrong("grpc: {listen: '0.0.0.0:7443', insecure_loopback: true}\n"),
            "test.yaml: grpc.listen: insecure_loopback permits 127.0.0.1, ::1 and localhost, not "
            "0.0.0.0");
  EXPECT_TRUE(absl::StrContains(Wrong("broker: {listen: '10.0.0.1:1', insecure_loopback: true}\n"),
                                "broker.listen: insecure_loopback"));
}

TEST(ConfigTest, NamesWhatIsWrong) {
  EXPECT_TRUE(absl::StrContains(Wrong("grpc: {listen: nonsense}\n"), "test.yaml: grpc.listen: "));
  EXPECT_TRUE(absl::StrContains(Wrong("http: {listen: '127.0.0.1:99999'}\n"), "http.listen: "));
  EXPECT_EQ(Wrong("http: {listen: none}\n"), "ok");
  EXPECT_TRUE(absl::StrContains(Wrong("grpc: {roles: [node]}\n"), "grpc.roles: `node`"));
  EXPECT_TRUE(absl::StrContains(Wrong("collectives: [Main]\n"), "collectives: `Main`"));
  EXPECT_TRUE(absl::StrContains(Wrong("collectives: [a, a]\n"), "given twice"));
  EXPECT_TRUE(absl::StrContains(Wrong("state_dir: state\n"),
                                "test.yaml: state_dir: `state` is not absolute"));
  EXPECT_TRUE(absl::StrContains(Wrong("jobs: {request_ttl: 1h}\n"), "jobs.request_ttl: is above"));
  EXPECT_TRUE(absl::StrContains(Wrong("roster: {beacon_interval: 31s}\n"),
                                "roster.beacon_interval: is above 30s: nodes that hear no beacon"));
  EXPECT_TRUE(Read("roster: {beacon_interval: 30s}\n").ok());
  EXPECT_TRUE(absl::StrContains(Wrong("colectives: [a]\n"), "did you mean `collectives`"));
  EXPECT_TRUE(absl::StrContains(Wrong("bus: {flavour: activemq}\n"), "bus.brokers: is missing"));
  EXPECT_TRUE(
      absl::StrContains(Wrong("bus: {destination_prefix: a}\nbroker: {destination_prefix: b}\n"),
                        "not that of the bus"));
  EXPECT_TRUE(absl::StrContains(
      Wrong("bus: {brokers: ['b:61614']}\nbroker: {listen: '127.0.0.1:1'}\n"), "one or the other"));
}

TEST(ConfigTest, TrustAndPolicyAreRequired) {
  ControllerConfig config;
  EXPECT_EQ(CompleteConfig("x", &config).message(), "x: trust.certificate: is missing");
  config.mutable_trust()->set_certificate("c");
  config.mutable_trust()->set_private_key("k");
  config.mutable_trust()->set_ca("a");
  EXPECT_TRUE(absl::StrContains(CompleteConfig("x", &config).message(), "no_crl: true"));
  config.mutable_trust()->set_no_crl(true);
  EXPECT_TRUE(absl::StrContains(CompleteConfig("x", &config).message(), "policy.file: is missing"));
  config.mutable_policy()->set_action_policy_dir("d");
  EXPECT_TRUE(CompleteConfig("x", &config).ok());
}

TEST(ConfigTest, AMissingFileIsNamed) {
  const absl::StatusOr<ControllerConfig> config = LoadConfig("/nonexistent/controller.yaml");
  ASSERT_FALSE(config.ok());
  EXPECT_TRUE(absl::StrContains(config.status().message(), "/nonexistent/controller.yaml"));
}

TEST(ConfigTest, TheShippedExampleLoads) {
  const absl::StatusOr<ControllerConfig> config = LoadConfig("deploy/controller.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_FALSE(config->grpc().insecure_loopback());
}

}  // namespace
}  // namespace orch::controller
