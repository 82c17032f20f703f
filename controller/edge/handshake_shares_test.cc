// SPDX-License-Identifier: Apache-2.0
#include "controller/edge/handshake_shares.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orch::controller {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr HandshakeShares::Limits kLimits{.all = 8,
                                          .of_address = 3,
                                          .grace = absl::Milliseconds(500),
                                          .time = absl::Seconds(10),
                                          .silent_time = absl::Seconds(1)};

class HandshakeSharesTest : public ::testing::Test {
 protected:
  HandshakeShares::Added Add(absl::string_view host) { return shares_.Add(host, now_); }
  absl::Duration now_ = absl::Seconds(100);
  HandshakeShares shares_{kLimits};
};

TEST_F(HandshakeSharesTest, AboveAnAddresssShareItsOldestSilentOneEnds) {
  const auto first = Add("a").id;
  const auto second = Add("a").id;
  EXPECT_EQ(Add("a").victim, std::nullopt);
  shares_.OnProgress(first);
  now_ += kLimits.grace;
  EXPECT_EQ(Add("a").victim, second);
  EXPECT_EQ(Add("b").victim, std::nullopt) << "another address is not asked";
}

TEST_F(HandshakeSharesTest, WhereAllHaveComeFurtherTheOldestEnds) {
  const auto first = Add("a").id;
  shares_.OnProgress(first);
  for (int i = 0; i < 2; ++i) shares_.OnProgress(Add("a").id);
  now_ += kLimits.grace;
  EXPECT_EQ(Add("a").victim, first);
}

TEST_F(HandshakeSharesTest, ManyAtOnceOfOneAddressAreSparedWhileThereIsRoom) {
  for (size_t i = 0; i < kLimits.all; ++i) EXPECT_EQ(Add("a").victim, std::nullopt) << i;
  EXPECT_NE(Add("b").victim, std::nullopt);
}

TEST_F(HandshakeSharesTest, WhenAllAreTooManyTheGreediestAddressPays) {
  const auto greedy = Add("greedy").id;
  for (int i = 0; i < 2; ++i) (void)Add("greedy");
  for (const char* host : {"b", "c", "d", "e", "f"}) EXPECT_EQ(Add(host).victim, std::nullopt);
  EXPECT_EQ(Add("g").victim, greedy);
}

TEST_F(HandshakeSharesTest, ANewcomerIsNeverItsOwnVictim) {
  HandshakeShares shares({.all = 1,
                          .of_address = 1,
                          .grace = absl::Seconds(1),
                          .time = kLimits.time,
                          .silent_time = kLimits.silent_time});
  const auto first = shares.Add("a", now_);
  const auto second = shares.Add("a", now_);
  EXPECT_EQ(second.victim, first.id);
}

TEST_F(HandshakeSharesTest, DeadlinesAreShorterUnderPressure) {
  const auto first = Add("a").id;
  EXPECT_EQ(shares_.NextDeadline(), now_ + kLimits.time);
  const auto second = Add("b").id;
  EXPECT_THAT(shares_.Overdue(now_ + absl::Seconds(2)), IsEmpty());
  const auto third = Add("c").id;
  shares_.OnProgress(second);
  EXPECT_EQ(shares_.NextDeadline(), now_ + kLimits.silent_time);
  EXPECT_THAT(shares_.Overdue(now_ + absl::Seconds(1)), ElementsAre(first, third));
  EXPECT_THAT(shares_.Overdue(now_ + absl::Seconds(10)), ElementsAre(first, second, third));
}

TEST_F(HandshakeSharesTest, WhatHasEndedCountsNoMore) {
  for (int i = 0; i < 100; ++i) {
    const auto added = Add("a");
    EXPECT_EQ(added.victim, std::nullopt);
    shares_.Remove(added.id);
    shares_.Remove(added.id);
  }
  EXPECT_EQ(shares_.size(), 0u);
  EXPECT_EQ(shares_.NextDeadline(), absl::InfiniteDuration());
}

}  // namespace
}  // namespace orch::controller
