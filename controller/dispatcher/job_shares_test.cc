// SPDX-License-Identifier: Apache-2.0
#include "controller/dispatcher/job_shares.h"

#include <gtest/gtest.h>

#include "api/errors.h"

namespace orch::controller {
namespace {

constexpr size_t kMost = 100;

absl::Status Check(const NamesHeld& wanted, const JobsHeld& held, bool mutating = true) {
  return CheckShare(wanted, mutating, "cert=a", held, kMost);
}

TEST(JobShares, TheLastPlacesAreForChanges) {
  JobsHeld held;
  for (size_t i = 0; i < kMost - kMost / kChangesShare; ++i) held.Add({}, /*own=*/false);
  EXPECT_FALSE(Check({}, held, /*mutating=*/false).ok());
  EXPECT_TRUE(Check({}, held).ok());
  while (held.jobs < kMost) held.Add({}, false);
  EXPECT_FALSE(Check({}, held).ok());
}

TEST(JobShares, OneCallerLeavesPlacesToOthers) {
  JobsHeld held;
  for (size_t i = 0; i < kMost / kCallerShare; ++i) held.Add({}, /*own=*/true);
  EXPECT_EQ(Check({}, held).code(), absl::StatusCode::kResourceExhausted);
  held.own_jobs = 0;  // as another caller sees it
  EXPECT_TRUE(Check({}, held).ok());
}

TEST(JobShares, OneCallersNamesLeaveRoomForOthers) {
  const NamesHeld large = {.names = 49'000, .bytes = 49'000 * 80};
  JobsHeld held;
  ASSERT_TRUE(Check(large, held).ok());
  held.Add(large, true);
  ASSERT_TRUE(Check(large, held).ok());
  held.Add(large, true);
  const absl::Status refused = Check(large, held);
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(api::ReasonOf(refused), "TOO_MANY_NAMES");
  EXPECT_TRUE(Check({}, held).ok()) << "a target without names needs none of the share";
  held.own_names = {};
  held.own_jobs = 0;
  EXPECT_TRUE(Check(large, held).ok()) << "another caller has its own";
}

TEST(JobShares, BytesCountAsNamesDo) {
  JobsHeld held;
  held.Add({.names = 10, .bytes = kCallerNameBytesMax}, true);
  EXPECT_FALSE(Check({.names = 1, .bytes = 1}, held).ok());
  JobsHeld all;
  all.Add({.names = kNamesHeldMax, .bytes = 1}, false);
  EXPECT_FALSE(Check({.names = 1, .bytes = 1}, all).ok());
}

}  // namespace
}  // namespace orch::controller
