// SPDX-License-Identifier: Apache-2.0
#include "controller/gate/gate.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "api/errors.h"
#include "base/config.h"
#include "controller/gate/fake_dispatcher.h"
#include "controller/policy_source.h"
#include "google/rpc/error_details.pb.h"
#include "test/testing/test_ca.h"

namespace orch::controller {
namespace {

constexpr char kPolicy[] = R"(
groups:
  operators: [cert=operator]
rules:
  - {effect: allow, callers: [operators], actions: [puppet.run, node.ping, job.get]}
  - {effect: allow, callers: [cert=admin], actions: ['*']}
  - {effect: allow, callers: [cert=web], actions: [node.list, node.ping], where: role=web}
  - {effect: allow, callers: [cert=reader], actions: [node.list, audit.list]}
)";

// The gate over fakes, on a context driven by hand.
class GateTest : public ::testing::Test {
 protected:
  using Names = std::vector<std::string>;

  GateTest() { MakeGate(); }

  void MakeGate() {
    const auto policy = policy::Policy::ParseNative(kPolicy, "policy.yaml");
    EXPECT_TRUE(policy.ok()) << policy.status();
    GateParts parts{
        .strand = base::Strand(io_.get_executor()),
        .dispatcher = dispatcher_.port(),
        .credentials = orch::testing::NewCredentials(&ca_, "controller", trust::Role::kController),
        .audit = [this](orch::v1::AuditRecord record, auto done) {
          audit_.push_back(std::move(record));
          done(audit_status_);
        }};
    if (puppetdb_.has_value()) {
      parts.puppetdb = [this](const std::string&, auto done) {
        ++asked_;
        done(*puppetdb_);
      };
    }
    GateOptions options;
    options.controller = "controller";
    options.watchers_max = 3;
    options.watchers_per_caller_max = 2;
    gate_ = std::make_shared<Gate>(std::move(parts), options, *policy);
  }

  CallerEvidence As(const std::string& name, trust::Role role = trust::Role::kUser) {
    return {ca_.Issue(name, role).pem, "127.0.0.1:4711"};
  }
  void Run() {
    io_.restart();
    io_.run();
  }
  // Calls `post(callback)` and gives what it answered.
  template <typename T, typename Post>
  absl::StatusOr<T> Await(Post post) {
    absl::StatusOr<T> out = absl::UnknownError("no answer");
    int answers = 0;
    post([&](absl::StatusOr<T> result) {
      out = std::move(result);
      ++answers;
    });
    Run();
    EXPECT_EQ(answers, 1);
    return out;
  }
  static JobRequest Ping() {
    JobRequest request;
    request.spec.mutable_action()->mutable_node_ping();
    return request;
  }
  static JobRequest PuppetRun() {
    JobRequest request;
    request.spec.mutable_action()->mutable_puppet_run();
    return request;
  }
  absl::StatusOr<CreatedJob> Create(CallerEvidence who, JobRequest request) {
    return Await<CreatedJob>([&](auto done) { gate_->PostCreateJob(who, request, done); });
  }
  FakeDispatcher::Seen Seen() {
    FakeDispatcher::Seen out;
    dispatcher_.PostSeen([&](FakeDispatcher::Seen seen) { out = std::move(seen); });
    Run();
    return out;
  }
  static std::string FieldOf(const absl::Status& status) {
    google::rpc::BadRequest bad;
    const auto payload = status.GetPayload(absl::StrCat(api::kTypeUrlPrefix, "BadRequest"));
    if (!payload.has_value() || !bad.ParseFromString(std::string(*payload))) return "";
    return bad.field_violations(0).field();
  }

  orch::testing::TestCa ca_;
  boost::asio::io_context io_;
  FakeDispatcher dispatcher_{base::Strand(io_.get_executor())};
  std::vector<orch::v1::AuditRecord> audit_;
  absl::Status audit_status_;
  std::optional<absl::StatusOr<Names>> puppetdb_;  // what it answers; none: not configured
  int asked_ = 0;
  std::shared_ptr<Gate> gate_;
};

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

TEST_F(GateTest, OwnJobsMayBeChangedOthersByRight) {
  dispatcher_.PostAddJob(TestUlid(7), "cert=guest");
  const auto change = [&](const std::string& who, JobChange what) {
    return Await<orch::v1::Job>(
        [&](auto done) { gate_->PostChangeJob(As(who), what, TestUlid(7), "enough", done); });
  };
  EXPECT_TRUE(change("guest", JobChange::kPause).ok());
  EXPECT_TRUE(change("guest", JobChange::kResume).ok());
  EXPECT_TRUE(change("admin", JobChange::kCancel).ok());
  EXPECT_EQ(change("operator", JobChange::kCancel).status().code(),
            absl::StatusCode::kPermissionDenied)
      << "sees it by job.get, but may not cancel it";
  EXPECT_EQ(change("stranger", JobChange::kCancel).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Seen().changes,
            (std::vector<std::string>{absl::StrCat("pause ", TestUlid(7), " cert=guest"),
                                      absl::StrCat("resume ", TestUlid(7), " cert=guest"),
                                      absl::StrCat("cancel ", TestUlid(7), " cert=admin")}));
  ASSERT_EQ(audit_.size(), 4u);
  EXPECT_EQ(audit_[0].rule(), "own job");
  EXPECT_EQ(audit_[2].action(), "job.cancel");
  EXPECT_EQ(audit_[2].job(), absl::StrCat("jobs/", TestUlid(7)));
  EXPECT_EQ(audit_[2].reason(), "enough");
  EXPECT_EQ(audit_[3].decision(), "deny");
}

TEST_F(GateTest, AResumeIsJudgedAsTheActionWouldBe) {
  dispatcher_.PostAddJob(TestUlid(7), "cert=guest", PuppetRun().spec);
  const auto change = [&](const std::string& who, JobChange what) {
    return Await<orch::v1::Job>(
        [&](auto done) { gate_->PostChangeJob(As(who), what, TestUlid(7), "", done); });
  };
  EXPECT_TRUE(change("guest", JobChange::kPause).ok());
  const absl::Status denied = change("guest", JobChange::kResume).status();
  EXPECT_EQ(denied.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_TRUE(absl::StrContains(denied.message(), "puppet.run")) << denied;
  EXPECT_EQ(audit_.back().action(), "job.resume");
  EXPECT_EQ(audit_.back().decision(), "deny");
  EXPECT_TRUE(change("guest", JobChange::kCancel).ok()) << "a stop needs no right to start";
  EXPECT_TRUE(change("admin", JobChange::kResume).ok());
}

TEST_F(GateTest, TheDispatcherJudgesByThePolicyInForce) {
  const JobJudge before = Seen().judge;
  ASSERT_NE(before, nullptr);
  EXPECT_TRUE(before("cert=guest", PuppetRun().spec, false).denied_outright());
  EXPECT_FALSE(before("cert=admin", PuppetRun().spec, false).denied_outright());
  JobRequest unlimited = PuppetRun();
  unlimited.spec.mutable_rollout()->set_unlimited(true);
  EXPECT_TRUE(before("cert=operator", unlimited.spec, false).denied_outright());
  const auto none = policy::Policy::ParseNative(
      "rules:\n  - {effect: deny, callers: ['*'], actions: ['*']}\n", "none.yaml");
  ASSERT_TRUE(none.ok()) << none.status();
  gate_->PostSetPolicy(*none, "none.yaml");
  EXPECT_TRUE(Seen().judge("cert=admin", PuppetRun().spec, false).denied_outright());
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
  write(kPolicy);
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
