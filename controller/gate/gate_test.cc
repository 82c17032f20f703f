// SPDX-License-Identifier: Apache-2.0
#include "controller/gate/gate.h"

#include <gtest/gtest.h>

#include "base/config.h"
#include "controller/gate/gate_fixture.h"
#include "controller/policy_source.h"

namespace orch::controller {
namespace {

TEST_F(GateTest, APermittedJobIsAuditedAndCreated) {
  JobRequest request = PuppetRun();
  request.spec.mutable_target()->add_facts("os.family=Debian");
  request.spec.set_reason("a change");
  const auto created = Create(As("operator"), request);
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_EQ(created->job.caller(), "cert=operator");
  ASSERT_EQ(audit_.size(), 1u);
  EXPECT_EQ(audit_[0].kind(), "decision");
  EXPECT_EQ(audit_[0].decision(), "allow");
  EXPECT_EQ(audit_[0].caller(), "cert=operator");
  EXPECT_EQ(audit_[0].action(), "puppet.run");
  EXPECT_EQ(audit_[0].peer(), "127.0.0.1:4711");
  EXPECT_EQ(audit_[0].reason(), "a change");
  EXPECT_TRUE(absl::StrContains(audit_[0].target(), "os.family")) << audit_[0].target();
  EXPECT_FALSE(audit_[0].certificate_serial().empty());
  EXPECT_TRUE(absl::StartsWith(audit_[0].rule(), "policy.yaml:")) << audit_[0].rule();
  ASSERT_EQ(Seen().admitted.size(), 1u);
  EXPECT_EQ(Seen().admitted[0].spec.target().collective(), "main");
}

TEST_F(GateTest, ADeniedJobIsAuditedAndGoesNoFurther) {
  const auto created = Create(As("guest"), PuppetRun());
  EXPECT_EQ(created.status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(api::ReasonOf(created.status()), "POLICY_DENIED");
  EXPECT_TRUE(absl::StrContains(created.status().message(), "cert=guest")) << created.status();
  ASSERT_EQ(audit_.size(), 1u);
  EXPECT_EQ(audit_[0].decision(), "deny");
  EXPECT_TRUE(Seen().admitted.empty());
  EXPECT_EQ(gate_->counts().denied, 1u);
}

TEST_F(GateTest, ADryRunIsAuditedToo) {
  JobRequest request = Ping();
  request.validate_only = true;
  ASSERT_TRUE(Create(As("operator"), request).ok());
  ASSERT_EQ(audit_.size(), 1u);
  EXPECT_TRUE(audit_[0].validate_only());
  EXPECT_TRUE(Seen().admitted.at(0).validate_only);
}

TEST_F(GateTest, WithoutAnAuditNothingHappens) {
  audit_status_ = absl::UnavailableError("disk full");
  const auto created = Create(As("operator"), Ping());
  EXPECT_EQ(created.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(api::ReasonOf(created.status()), "AUDIT_UNAVAILABLE");
  EXPECT_TRUE(Seen().admitted.empty());
  const auto denied = Create(As("guest"), Ping());
  EXPECT_EQ(api::ReasonOf(denied.status()), "AUDIT_UNAVAILABLE");
}

TEST_F(GateTest, CertificatesAreVerifiedOnEveryCall) {
  EXPECT_EQ(Create({"", "127.0.0.1:1"}, Ping()).status().code(),
            absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(Create({"nonsense", "127.0.0.1:1"}, Ping()).status().code(),
            absl::StatusCode::kUnauthenticated);
  for (const trust::Role role : {trust::Role::kNode, trust::Role::kController}) {
    EXPECT_EQ(Create(As("operator", role), Ping()).status().code(),
              absl::StatusCode::kUnauthenticated);
  }
  orch::testing::TestCa other;
  EXPECT_EQ(Create({other.Issue("operator", trust::Role::kUser).pem, ""}, Ping()).status().code(),
            absl::StatusCode::kUnauthenticated);
  EXPECT_TRUE(audit_.empty());
  EXPECT_EQ(gate_->counts().unauthenticated, 5u);
}

TEST_F(GateTest, BadRequestsNameTheField) {
  const CallerEvidence who = As("operator");
  JobRequest request = Ping();
  request.spec.mutable_target()->add_select("role=web and or");
  absl::Status status = Create(who, request).status();
  EXPECT_EQ(FieldOf(status), "spec.target.select") << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "column")) << status;
  request = Ping();
  request.idempotency_key = "a b";
  EXPECT_EQ(FieldOf(Create(who, request).status()), "idempotency_key");
  request = Ping();
  request.spec.mutable_target()->set_collective("elsewhere");
  EXPECT_EQ(FieldOf(Create(who, request).status()), "spec.target.collective");
  EXPECT_EQ(FieldOf(Create(who, JobRequest()).status()), "spec.action");
  EXPECT_TRUE(audit_.empty()) << "nothing was decided";
}

TEST_F(GateTest, NoWindowAtAllNeedsARightOfItsOwn) {
  JobRequest request = PuppetRun();
  request.spec.mutable_rollout()->set_unlimited(true);
  const absl::Status denied = Create(As("operator"), request).status();
  EXPECT_EQ(denied.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_TRUE(absl::StrContains(denied.message(), "rollout.unlimited")) << denied;
  EXPECT_EQ(audit_.at(0).decision(), "deny");
  EXPECT_TRUE(Create(As("admin"), request).ok());
}

TEST_F(GateTest, AWindowAsGoodAsNoneNeedsTheSameRight) {
  JobRequest request = PuppetRun();
  request.spec.mutable_rollout()->set_concurrency(1001);
  const absl::Status denied = Create(As("operator"), request).status();
  EXPECT_EQ(denied.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_TRUE(absl::StrContains(denied.message(), "rollout.unlimited")) << denied;
  EXPECT_TRUE(Create(As("admin"), request).ok());
  request.spec.mutable_rollout()->set_concurrency(1000);
  EXPECT_TRUE(Create(As("operator"), request).ok());
}

TEST_F(GateTest, VisibilityFollowsJobGet) {
  const auto of = [&](const std::string& who) {
    return Await<JobVisibility>([&](auto done) { gate_->PostVisibility(As(who), done); });
  };
  EXPECT_TRUE(of("operator")->everybody);
  EXPECT_FALSE(of("guest")->everybody);
  EXPECT_EQ(of("guest")->caller, "cert=guest");
}

TEST_F(GateTest, WatchersAreLimitedAndGiveTheirSlotsBack) {
  const auto watch = [&](const std::string& who) {
    return Await<Watcher>([&](auto done) { gate_->PostWatch(As(who), done); });
  };
  auto first = watch("operator"), second = watch("operator"), third = watch("operator");
  EXPECT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(third.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(api::ReasonOf(third.status()), "TOO_MANY_WATCHERS");
  EXPECT_TRUE(
      third.status().GetPayload(absl::StrCat(api::kTypeUrlPrefix, "RetryInfo")).has_value());
  auto fourth = watch("guest");
  EXPECT_TRUE(fourth.ok());
  EXPECT_FALSE(watch("admin").ok()) << "three over all";
  first = absl::CancelledError("");
  Run();
  EXPECT_TRUE(watch("admin").ok());
}

TEST_F(GateTest, ReadingVerbsAreAuditedOnlyWhenRefused) {
  const auto permit = [&](const std::string& who) {
    return Await<Caller>([&](auto done) { gate_->PostPermit(As(who), "audit.list", done); });
  };
  EXPECT_TRUE(permit("reader").ok());
  EXPECT_TRUE(audit_.empty());
  EXPECT_EQ(permit("web").status().code(), absl::StatusCode::kPermissionDenied);
  ASSERT_EQ(audit_.size(), 1u);
  EXPECT_EQ(audit_[0].action(), "audit.list");
}

TEST_F(GateTest, ADiscoveryGoesUnderTheConditionsOfNodeList) {
  orch::v1::DiscoverNodesRequest request;
  request.add_nodes("b");
  request.add_nodes("a");
  const auto discover = [&](const std::string& who) {
    return Await<CreatedJob>([&](auto done) { gate_->PostDiscover(As(who), request, "", done); });
  };
  EXPECT_TRUE(discover("web").ok());
  const AdmittedJob job = Seen().admitted.at(0);
  EXPECT_TRUE(job.spec.action().has_node_ping());
  ASSERT_EQ(job.spec.nodes_size(), 2);
  EXPECT_EQ(job.spec.nodes(0), "a");
  ASSERT_EQ(job.decision.conditions.size(), 1u);
  EXPECT_EQ(job.decision.conditions[0].where, "role=web");
  EXPECT_TRUE(job.listing);
  EXPECT_EQ(discover("operator").status().code(), absl::StatusCode::kPermissionDenied)
      << "may ping, but not list";
}

TEST_F(GateTest, APuppetDbQueryNamesTheNodes) {
  JobRequest request = Ping();
  request.spec.set_pql("nodes[certname]{}");
  EXPECT_EQ(api::ReasonOf(Create(As("admin"), request).status()), "NO_PUPPETDB");
  puppetdb_ = Names{"a", "b", "c"};
  MakeGate();
  ASSERT_TRUE(Create(As("admin"), request).ok());
  EXPECT_EQ(Seen().admitted.at(0).names, (Names{"a", "b", "c"}));
  EXPECT_EQ(audit_.back().target(), "pql \"nodes[certname]{}\" (PuppetDB gave 3)");
  request.spec.add_nodes("c");
  request.spec.add_nodes("x");
  ASSERT_TRUE(Create(As("admin"), request).ok());
  EXPECT_EQ(Seen().admitted.at(1).names, Names{"c"});
  puppetdb_ = Names{};
  ASSERT_TRUE(Create(As("admin"), request).ok());
  EXPECT_EQ(Seen().admitted.at(2).names, Names{}) << "nobody, rather than everybody";
  EXPECT_EQ(asked_, 3);
}

TEST_F(GateTest, WhoeverLeavesWhilePuppetDbIsAskedHasNoJob) {
  puppetdb_ = Names{"a"};
  MakeGate();
  JobRequest request = PuppetRun();
  request.spec.set_pql("nodes[certname]{}");
  auto abandoned = std::make_shared<std::atomic<bool>>(false);
  request.abandoned = abandoned;
  ASSERT_TRUE(Create(As("admin"), request).ok());
  *abandoned = true;
  EXPECT_EQ(Create(As("admin"), request).status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(Seen().admitted.size(), 1u);
  EXPECT_EQ(audit_.back().target(),
            "pql \"nodes[certname]{}\" (PuppetDB gave 1) (the caller had left: no job)");
}

TEST_F(GateTest, APuppetDbQueryNeedsARightOfItsOwn) {
  puppetdb_ = Names{"a"};
  MakeGate();
  JobRequest request = Ping();
  request.spec.set_pql("nodes[certname]{}");
  const absl::Status denied = Create(As("operator"), request).status();
  EXPECT_EQ(denied.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_TRUE(absl::StrContains(denied.message(), "puppetdb.query")) << denied;
  EXPECT_EQ(asked_, 0);
}

TEST_F(GateTest, WhatPuppetDbSaysOfAQueryIsAboutItsField) {
  puppetdb_ = absl::InvalidArgumentError("PuppetDB p: PQL parse error");
  MakeGate();
  JobRequest request = Ping();
  request.spec.set_pql("nodes(");
  EXPECT_EQ(FieldOf(Create(As("admin"), request).status()), "spec.pql");
  EXPECT_EQ(audit_.back().target(), "pql \"nodes(\" (PuppetDB gave no names)");
  orch::v1::DiscoverNodesRequest discover;
  discover.set_pql("nodes(");
  EXPECT_EQ(FieldOf(Await<CreatedJob>([&](auto done) {
                      gate_->PostDiscover(As("admin"), discover, "", done);
                    }).status()),
            "pql");
  EXPECT_TRUE(Seen().admitted.empty());
}

TEST_F(GateTest, NodesAreShownByTheirFacts) {
  for (const char* role : {"web", "db"}) {
    orch::v1::Node node;
    node.set_identity(absl::StrCat(role, "1"));
    node.add_collectives("main");
    node.mutable_facts_time()->set_seconds(1);
    (*node.mutable_facts()->mutable_fields())["role"].set_string_value(role);
    dispatcher_.PostNode(node);
  }
  const auto get = [&](const std::string& who, const std::string& node) {
    return Await<orch::v1::Node>([&](auto done) { gate_->PostGetNode(As(who), node, done); });
  };
  EXPECT_TRUE(get("reader", "db1").ok());
  EXPECT_TRUE(get("web", "web1").ok());
  EXPECT_EQ(get("web", "db1").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(api::ReasonOf(get("web", "db1").status()), "NODE_NOT_FOUND");
  EXPECT_EQ(get("guest", "db1").status().code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(GateTest, ANewPolicyDecidesFromNowOn) {
  EXPECT_FALSE(Create(As("guest"), Ping()).ok());
  gate_->PostSetPolicy(
      *policy::Policy::ParseNative("rules: [{effect: allow, callers: ['*'], actions: [node.ping]}]",
                                   "new.yaml"),
      "new.yaml");
  EXPECT_TRUE(Create(As("guest"), Ping()).ok());
  ASSERT_EQ(audit_.size(), 3u);
  EXPECT_EQ(audit_[1].kind(), "policy");
  gate_->PostPolicyRefused("new.yaml:3: rules: oh");
  EXPECT_TRUE(Create(As("guest"), Ping()).ok()) << "the old one stays";
  EXPECT_EQ(audit_[3].decision(), "deny");
}

TEST_F(GateTest, OthersAreExplainedOnlyWithTheRight) {
  orch::v1::ExplainPolicyRequest question;
  question.set_action("puppet.run");
  const auto explain = [&](const std::string& who) {
    return Await<Explained>([&](auto done) { gate_->PostExplain(As(who), question, done); });
  };
  auto own = explain("operator");
  ASSERT_TRUE(own.ok()) << own.status();
  EXPECT_EQ(own->decision.otherwise, policy::Effect::kAllow);
  EXPECT_FALSE(own->decision.steps.empty());
  question.set_caller("cert=guest");
  EXPECT_EQ(explain("operator").status().code(), absl::StatusCode::kPermissionDenied);
  ASSERT_TRUE(explain("admin").ok());
  EXPECT_TRUE(explain("admin")->decision.denied_outright());
  question.set_action("no action");
  EXPECT_EQ(FieldOf(explain("admin").status()), "action");
}

TEST_F(GateTest, SaysWhoSomebodyIs) {
  const auto who =
      Await<orch::v1::WhoAmIResponse>([&](auto done) { gate_->PostWhoAmI(As("operator"), done); });
  ASSERT_TRUE(who.ok()) << who.status();
  EXPECT_EQ(who->caller(), "cert=operator");
  ASSERT_EQ(who->groups_size(), 1);
  EXPECT_EQ(who->groups(0), "operators");
  EXPECT_EQ(who->controller(), "controller");
}

TEST(PolicySourceTest, SeesChangesAndKeepsQuietOtherwise) {
  const std::string path = orch::testing::NewTestDirectory() + "/policy.yaml";
  const auto write = [&](const std::string& text) {
    ASSERT_TRUE(base::WriteFileAtomically(path, text, 0600).ok());
  };
  PolicyConfig config;
  config.set_file(path);
  PolicySource source(config);
  EXPECT_TRUE(absl::StrContains(source.Load().status().message(), path)) << "missing";
  write(kGatePolicy);
  EXPECT_TRUE(source.Changed());
  EXPECT_TRUE(source.Load().ok());
  EXPECT_FALSE(source.Changed());
  write("rules: [oh]");
  EXPECT_TRUE(source.Changed());
  EXPECT_FALSE(source.Load().ok());
  EXPECT_FALSE(source.Changed()) << "a bad file is complained of once";
}

TEST(PolicySourceTest, WhatIsBeingWrittenIsNotReadYet) {
  const std::string path = absl::StrCat(getenv("TEST_TMPDIR"), "/settling.yaml");
  ASSERT_TRUE(base::WriteFileAtomically(path, "rules: []\nend: true\n", 0600).ok());
  PolicyConfig config;
  config.set_file(path);
  PolicySource source(config);
  ASSERT_TRUE(source.Load().ok());
  EXPECT_FALSE(source.Settled(absl::Now()));
  EXPECT_TRUE(source.Settled(absl::Now() + absl::Seconds(2)));
  // It was cut: the policy in force had its end marked.
  ASSERT_TRUE(base::WriteFileAtomically(path, "rules: []\n", 0600).ok());
  EXPECT_TRUE(source.Changed());
  EXPECT_FALSE(source.Load().ok());
  ASSERT_TRUE(base::WriteFileAtomically(path, "groups: {}\nrules: []\nend: true\n", 0600).ok());
  EXPECT_TRUE(source.Load().ok());
  config.set_require_end(true);
  EXPECT_TRUE(PolicySource(config).Load().ok());
  ASSERT_TRUE(base::WriteFileAtomically(path, "rules: []\n", 0600).ok());
  EXPECT_FALSE(PolicySource(config).Load().ok());
}

TEST(PolicySourceTest, TheShippedExampleLoads) {
  PolicyConfig config;
  config.set_file("deploy/policy.yaml");
  const auto policy = PolicySource(config).Load();
  ASSERT_TRUE(policy.ok()) << policy.status();
  EXPECT_EQ((*policy)->GroupsOf("cert=operator"), std::vector<std::string>{"operators"});
}

}  // namespace
}  // namespace orch::controller
