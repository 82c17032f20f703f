// SPDX-License-Identifier: Apache-2.0
#include "controller/run/sent_requests.h"

#include <gtest/gtest.h>

namespace orch::controller {
namespace {

using Verdict = SentRequests::Verdict;

class SentRequestsTest : public testing::Test {
 protected:
  SentRequestsTest() {
    JobSetup setup;
    setup.id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    setup.mutating = true;
    setup.run_timeout = absl::Minutes(10);
    setup.spec.mutable_action()->mutable_puppet_run();
    std::vector<JobNodeStart> nodes;
    for (const char* name : {"a", "b", "c"}) nodes.push_back({.node = name});
    job_ = std::make_unique<Job>(setup, nodes, std::vector<std::string>{}, now());
    job_->OnPublishing(job_->TakeStarts(500, now()), now().wall + absl::Seconds(60), now());
    sent_.Add({.request_id = "r1",
               .digest = "d1",
               .envelope = std::make_shared<const std::string>("bytes"),
               .nodes = {"c", "a", "b"},
               .expires = now().wall + absl::Seconds(60),
               .published = now().steady},
              /*watched=*/true);
  }
  base::Now now() const { return clock_.Read(); }
  orch::bus::v1::Reply Reply(const std::string& node) {
    orch::bus::v1::Reply reply;
    reply.set_request_id("r1");
    reply.set_request_digest("d1");
    reply.set_node(node);
    reply.mutable_accepted();
    return reply;
  }
  std::vector<SentRequests::Owed> Owed(const absl::flat_hash_set<std::string>* only = nullptr) {
    return sent_.FindOwed(*job_, only, now());
  }

  base::FakeClock clock_;
  std::unique_ptr<Job> job_;
  SentRequests sent_;
};

TEST_F(SentRequestsTest, OnlyWhatAnswersARequestIsOurs) {
  orch::bus::v1::Reply reply = Reply("b");
  EXPECT_EQ(sent_.Judge(reply), Verdict::kOurs);
  reply.set_node("x");
  EXPECT_EQ(sent_.Judge(reply), Verdict::kWrongNode);
  reply.set_request_digest("other");
  EXPECT_EQ(sent_.Judge(reply), Verdict::kWrongDigest);
  reply.set_request_id("r2");
  EXPECT_EQ(sent_.Judge(reply), Verdict::kUnknownRequest);
}

TEST_F(SentRequestsTest, AQuerysDigestIsGoodOnlyForNotKnowing) {
  sent_.AddQuery("q");
  orch::bus::v1::Reply reply = Reply("a");
  reply.set_request_digest("q");
  EXPECT_EQ(sent_.Judge(reply), Verdict::kWrongDigest);
  reply.mutable_unknown_request();
  EXPECT_EQ(sent_.Judge(reply), Verdict::kOurs);
  for (size_t i = 0; i < kQueriesKept; ++i) sent_.AddQuery(std::to_string(i));
  EXPECT_EQ(sent_.Judge(reply), Verdict::kWrongDigest) << "forgotten";
}

TEST_F(SentRequestsTest, WhoeverMatchesMayAnswerABroadcast) {
  sent_.Add(
      {.request_id = "all", .digest = "d", .envelope = nullptr, .nodes = {}, .expires = now().wall},
      false);
  orch::bus::v1::Reply reply = Reply("stranger");
  reply.set_request_id("all");
  reply.set_request_digest("d");
  EXPECT_EQ(sent_.Judge(reply), Verdict::kOurs);
  EXPECT_EQ(sent_.Age("all", now().steady), std::nullopt) << "by an earlier process";
  EXPECT_EQ(sent_.Age("r1", now().steady + absl::Seconds(3)), absl::Seconds(3));
}

TEST_F(SentRequestsTest, TheUnheardHearAgainTheOthersAreAsked) {
  job_->Apply(Reply("a"), now());
  ASSERT_EQ(Owed().size(), 1u);
  EXPECT_EQ(Owed()[0].republish, (std::vector<std::string>{"b", "c"}));
  EXPECT_EQ(Owed()[0].query, std::vector<std::string>{"a"});
  const absl::flat_hash_set<std::string> only = {"c"};
  EXPECT_EQ(Owed(&only)[0].republish, std::vector<std::string>{"c"});
  EXPECT_TRUE(Owed(&only)[0].query.empty());
}

TEST_F(SentRequestsTest, AJobThatStopsStartsNobody) {
  job_->Cancel("cert=op", "", now());
  EXPECT_TRUE(Owed()[0].republish.empty());
  EXPECT_EQ(Owed()[0].query.size(), 3u);
}

TEST_F(SentRequestsTest, WhatIsVoidIsGivenOnceAndItsBytesAreForgotten) {
  EXPECT_EQ(sent_.NextDeadline(now()), now().steady + absl::Seconds(60) + kAfterExpiry);
  EXPECT_FALSE(sent_.TakeExpired(*job_, now()).has_value());
  clock_.Advance(absl::Seconds(60) + kAfterExpiry);
  const auto expired = sent_.TakeExpired(*job_, now());
  ASSERT_TRUE(expired.has_value());
  EXPECT_EQ(expired->query.size(), 3u);
  EXPECT_EQ(expired->request->envelope, nullptr);
  EXPECT_FALSE(sent_.TakeExpired(*job_, now()).has_value());
  EXPECT_FALSE(sent_.NextDeadline(now()).has_value());
  EXPECT_EQ(sent_.Judge(Reply("a")), Verdict::kOurs) << "late answers are still known";
}

}  // namespace
}  // namespace orch::controller
