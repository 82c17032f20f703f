// SPDX-License-Identifier: Apache-2.0
#include "controller/dispatcher/pending_keys.h"

#include <gtest/gtest.h>

#include "api/errors.h"

namespace orch::controller {
namespace {

class PendingKeysTest : public ::testing::Test {
 protected:
  PendingKeys::Done Take() {
    return [this](absl::StatusOr<CreatedJob> answer) { answers_.push_back(std::move(answer)); };
  }
  static CreatedJob Created(const std::string& name) {
    CreatedJob created;
    created.job.set_name(name);
    return created;
  }
  PendingKeys keys_;
  std::vector<absl::StatusOr<CreatedJob>> answers_;
};

TEST_F(PendingKeysTest, AllGetTheAnswerOfTheFirst) {
  EXPECT_TRUE(keys_.IsFirst("cert=a", "k", "body", Take()));
  EXPECT_FALSE(keys_.IsFirst("cert=a", "k", "body", Take()));
  EXPECT_TRUE(answers_.empty());
  keys_.Answer("cert=a", "k", Created("jobs/1"));
  ASSERT_EQ(answers_.size(), 2u);
  EXPECT_EQ(answers_[0]->job.name(), "jobs/1");
  EXPECT_EQ(answers_[1]->job.name(), "jobs/1");
  EXPECT_TRUE(keys_.IsFirst("cert=a", "k", "body", Take())) << "decided, so the next is first";
}

TEST_F(PendingKeysTest, AKeyIsItsCallersOwn) {
  EXPECT_TRUE(keys_.IsFirst("cert=a", "k", "body", Take()));
  EXPECT_TRUE(keys_.IsFirst("cert=b", "k", "other", Take()));
}

TEST_F(PendingKeysTest, AnotherBodyIsRefusedAtOnce) {
  EXPECT_TRUE(keys_.IsFirst("cert=a", "k", "body", Take()));
  EXPECT_FALSE(keys_.IsFirst("cert=a", "k", "other", Take()));
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_EQ(api::ReasonOf(answers_[0].status()), "IDEMPOTENCY_KEY_REUSED");
}

TEST_F(PendingKeysTest, WaitersAreBounded) {
  for (size_t i = 0; i < kKeyWaitersMax; ++i) keys_.IsFirst("cert=a", "k", "body", Take());
  EXPECT_TRUE(answers_.empty());
  EXPECT_FALSE(keys_.IsFirst("cert=a", "k", "body", Take()));
  EXPECT_EQ(api::ReasonOf(answers_.at(0).status()), "TOO_MANY_JOBS");
  keys_.Answer("cert=a", "k", absl::UnavailableError("gone"));
  EXPECT_EQ(answers_.size(), kKeyWaitersMax + 1);
}

TEST(BodyDigest, IsOfEverythingThatTheCallerSaid) {
  orch::v1::JobSpec spec;
  spec.mutable_action()->mutable_node_ping();
  const std::string digest = BodyDigest(spec);
  EXPECT_EQ(BodyDigest(spec), digest);
  spec.set_reason("why");
  EXPECT_NE(BodyDigest(spec), digest);
}

}  // namespace
}  // namespace orch::controller
