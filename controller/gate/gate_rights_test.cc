// SPDX-License-Identifier: Apache-2.0
// Who calls, and whether it may still do what it once began.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "controller/gate/authenticator.h"
#include "controller/gate/gate_fixture.h"

namespace orch::controller {
namespace {

TEST_F(GateTest, OwnJobsMayBeChangedOthersByRight) {
  dispatcher_.PostAddJob(TestUlid(7), "cert=pinger");
  const auto change = [&](const std::string& who, JobChange what) {
    return Await<orch::v1::Job>(
        [&](auto done) { gate_->PostChangeJob(As(who), what, TestUlid(7), "enough", done); });
  };
  EXPECT_TRUE(change("pinger", JobChange::kPause).ok());
  EXPECT_TRUE(change("pinger", JobChange::kResume).ok());
  EXPECT_TRUE(change("admin", JobChange::kCancel).ok());
  EXPECT_EQ(change("operator", JobChange::kCancel).status().code(),
            absl::StatusCode::kPermissionDenied)
      << "sees it by job.get, but may not cancel it";
  EXPECT_EQ(change("stranger", JobChange::kCancel).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Seen().changes,
            (std::vector<std::string>{absl::StrCat("pause ", TestUlid(7), " cert=pinger"),
                                      absl::StrCat("resume ", TestUlid(7), " cert=pinger"),
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
  // A call behind it on the gate's strand: once that is answered the dispatcher has heard.
  const auto pause = [&](auto done) {
    gate_->PostChangeJob(As("admin"), JobChange::kPause, TestUlid(9), "", done);
  };
  EXPECT_FALSE(Await<orch::v1::Job>(pause).ok());
  EXPECT_TRUE(Seen().judge("cert=admin", PuppetRun().spec, false).denied_outright());
}

TEST_F(GateTest, AConditionalDenialBeforeTheDefaultIsAPlainOne) {
  const auto policy = policy::Policy::ParseNative(
      "rules:\n"
      "  - {effect: deny, callers: ['*'], actions: ['puppet.*', job.cancel], where: frozen}\n"
      "  - {effect: allow, callers: [cert=operator], actions: ['puppet.*', rollout.unlimited]}\n",
      "policy.yaml");
  ASSERT_TRUE(policy.ok()) << policy.status();
  gate_->PostSetPolicy(*policy, "policy.yaml");
  const absl::Status denied = Create(As("bob"), PuppetRun()).status();
  EXPECT_EQ(denied.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_TRUE(absl::StrContains(denied.message(),
                                "no rule allows cert=bob to do puppet.run (default deny)"))
      << denied;
  EXPECT_EQ(audit_.back().decision(), "deny");
  EXPECT_EQ(audit_.back().rule(), "default deny");
  orch::v1::ExplainPolicyRequest question;
  question.set_action("puppet.run");
  const auto explained =
      Await<Explained>([&](auto done) { gate_->PostExplain(As("bob"), question, done); });
  ASSERT_TRUE(explained.ok()) << explained.status();
  EXPECT_TRUE(explained->decision.conditions.empty());
  EXPECT_TRUE(explained->decision.denied_outright());
  // A right that is about no node as well.
  const auto permitted =
      Await<Caller>([&](auto done) { gate_->PostPermit(As("bob"), "job.cancel", done); });
  EXPECT_TRUE(absl::StrContains(permitted.status().message(),
                                "no rule allows cert=bob to do job.cancel (default deny)"))
      << permitted.status();
  ASSERT_TRUE(Create(As("operator"), PuppetRun()).ok());
  EXPECT_EQ(Seen().admitted.back().decision.conditions.size(), 1u) << "the deny travels";
}

TEST_F(GateTest, AFurtherRightThatDependsOnNodesIsRefusedInWords) {
  const auto policy = policy::Policy::ParseNative(
      "rules:\n"
      "  - {effect: deny, callers: ['*'], actions: [rollout.unlimited], where: frozen}\n"
      "  - {effect: allow, callers: [cert=operator], actions: ['*']}\n",
      "policy.yaml");
  ASSERT_TRUE(policy.ok()) << policy.status();
  gate_->PostSetPolicy(*policy, "policy.yaml");
  JobRequest unlimited = PuppetRun();
  unlimited.spec.mutable_rollout()->set_unlimited(true);
  const absl::Status denied = Create(As("operator"), unlimited).status();
  EXPECT_EQ(denied.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_TRUE(absl::StrContains(denied.message(),
                                "the rule policy.yaml:2 depends on a node, so it can't allow "
                                "rollout.unlimited, which is about none (policy.yaml:2)"))
      << denied;
  EXPECT_TRUE(absl::StrContains(Create(As("bob"), unlimited).status().message(),
                                "no rule allows cert=bob to do puppet.run (default deny)"));
}

Caller Named(const std::string& principal) {
  return {.principal = principal, .certificate_serial = "", .peer = ""};
}

// Knows callers by what is no certificate, and only when the test says so.
class SlowAuthenticator : public Authenticator {
 public:
  void Authenticate(CallerEvidence who, Done done) override {
    waiting.emplace_back(who.certificate_pem, std::move(done));
  }
  std::vector<std::pair<std::string, Done>> waiting;
};

TEST_F(GateTest, WhoCallsMayTakeItsTimeToBeKnown) {
  const auto authenticator = std::make_shared<SlowAuthenticator>();
  authenticator_ = authenticator;
  MakeGate();
  absl::StatusOr<CreatedJob> created = absl::UnknownError("no answer");
  const auto take = [&created](absl::StatusOr<CreatedJob> answer) { created = std::move(answer); };
  gate_->PostCreateJob({.certificate_pem = "a token", .peer = "127.0.0.1:1"}, PuppetRun(), take);
  Run();
  EXPECT_TRUE(Seen().admitted.empty());
  ASSERT_EQ(authenticator->waiting.size(), 1u);
  EXPECT_EQ(authenticator->waiting[0].first, "a token");
  authenticator->waiting[0].second(Named("token=robot"));
  Run();
  EXPECT_EQ(created.status().code(), absl::StatusCode::kPermissionDenied) << "no rule knows it";
  gate_->PostCreateJob({.certificate_pem = "another", .peer = ""}, PuppetRun(), take);
  Run();
  authenticator->waiting[1].second(Named("cert=admin"));
  Run();
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_EQ(Seen().admitted.back().caller, "cert=admin");
  gate_->PostCreateJob({.certificate_pem = "a bad one", .peer = ""}, PuppetRun(), take);
  Run();
  authenticator->waiting[2].second(absl::UnauthenticatedError("the token has ended"));
  Run();
  EXPECT_EQ(created.status().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(gate_->counts().unauthenticated, 1u);
}

TEST_F(GateTest, ACallerWithoutAConnectionIsJudgedLikeOthers) {
  const auto create = [&](const std::string& principal) {
    return Await<CreatedJob>(
        [&](auto done) { gate_->PostCreateJobAs(Named(principal), PuppetRun(), done); });
  };
  EXPECT_TRUE(create("cert=admin").ok());
  EXPECT_EQ(create("cert=guest").status().code(), absl::StatusCode::kPermissionDenied);
  ASSERT_EQ(audit_.size(), 2u);
  EXPECT_EQ(audit_[0].caller(), "cert=admin");
  EXPECT_EQ(audit_[1].decision(), "deny");
}

}  // namespace
}  // namespace orch::controller
