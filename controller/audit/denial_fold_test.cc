// SPDX-License-Identifier: Apache-2.0
#include "controller/audit/denial_fold.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace orch::controller {
namespace {

using orch::v1::AuditRecord;

AuditRecord Denial(const std::string& caller, const std::string& action = "puppet.run") {
  AuditRecord record;
  record.set_kind("decision");
  record.set_decision("deny");
  record.set_caller(caller);
  record.set_action(action);
  record.set_rule("default deny");
  record.set_target("role=web");
  record.set_job("jobs/x");
  return record;
}

TEST(DenialFoldTest, TheFirstOfAKindIsWrittenAndTheRestCounted) {
  DenialFold fold;
  const absl::Duration start = absl::Seconds(100);
  EXPECT_EQ(fold.NextDeadline(), absl::InfiniteDuration());
  EXPECT_TRUE(fold.Admit(Denial("cert=eve"), start));
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(fold.Admit(Denial("cert=eve"), start));
  EXPECT_TRUE(fold.Admit(Denial("cert=eve", "puppet.enable"), start + absl::Seconds(1)));
  EXPECT_TRUE(fold.Admit(Denial("cert=bob"), start + absl::Seconds(1)));
  EXPECT_EQ(fold.NextDeadline(), start + kFoldTime);
  EXPECT_TRUE(fold.TakeEnded(start + absl::Seconds(59)).empty());
  const std::vector<AuditRecord> ended = fold.TakeEnded(start + kFoldTime);
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].caller(), "cert=eve");
  EXPECT_EQ(ended[0].action(), "puppet.run");
  EXPECT_EQ(ended[0].decision(), "deny");
  EXPECT_EQ(ended[0].reason(), "1000 more like it within a minute");
  EXPECT_EQ(ended[0].target() + ended[0].job(), "") << "what each of them had of its own";
  EXPECT_TRUE(fold.Admit(Denial("cert=eve"), start + kFoldTime)) << "a new minute";
}

TEST(DenialFoldTest, WhatIsAllowedIsNeverCounted) {
  DenialFold fold;
  AuditRecord record = Denial("cert=eve");
  record.set_decision("allow");
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(fold.Admit(record, absl::ZeroDuration()));
  record.clear_decision();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(fold.Admit(record, absl::ZeroDuration()));
  EXPECT_EQ(fold.NextDeadline(), absl::InfiniteDuration());
}

TEST(DenialFoldTest, NamesThatAreMadeUpAreNoWayAroundIt) {
  DenialFold fold;
  size_t written = 0;
  for (int i = 0; i < 5000; ++i) {
    written += fold.Admit(Denial("cert=eve", absl::StrCat("a.b", i)), absl::ZeroDuration());
  }
  EXPECT_EQ(written, kKindsOfACaller + 1);
  for (size_t i = 0; i < 3 * kFoldedCallersMax; ++i) {
    written += fold.Admit(Denial(absl::StrCat("cert=u", i)), absl::ZeroDuration());
  }
  EXPECT_LE(written, kKindsOfACaller + 1 + kFoldedCallersMax + 1);
  // Nothing is lost: each was written or is counted.
  uint64_t counted = 0;
  for (const AuditRecord& record : fold.TakeEnded(absl::ZeroDuration(), /*everything=*/true)) {
    counted += std::stoull(record.reason());
  }
  EXPECT_EQ(written + counted, 5000 + 3 * kFoldedCallersMax);
  EXPECT_EQ(fold.NextDeadline(), absl::InfiniteDuration());
}

}  // namespace
}  // namespace orch::controller
