// SPDX-License-Identifier: Apache-2.0
#include "controller/store/job_record.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "google/protobuf/util/message_differencer.h"

namespace orch::controller {
namespace {

// Nothing in it is what it would be by default.
JobSetup Full() {
  JobSetup setup;
  setup.id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
  setup.caller = "cert=operator";
  setup.controller = "c1";
  setup.spec.mutable_action()->mutable_puppet_run()->set_noop(true);
  setup.spec.mutable_target()->add_identities("web1");
  setup.mutating = true;
  setup.roster_known = true;
  setup.nobody = true;
  setup.listing = true;
  setup.create_time = absl::FromUnixMillis(1'796'081'006'123);
  setup.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  setup.answer_timeout = absl::Milliseconds(2500);
  setup.strict_timeout = true;
  setup.run_timeout = absl::Minutes(61);
  setup.rollout = {.canary = 1,
                   .canary_wait = absl::Seconds(7),
                   .concurrency = 2,
                   .batch_size = 3,
                   .batch_sleep = absl::Seconds(4),
                   .max_failures = 5};
  setup.note = "3 nodes stayed silent";
  setup.not_asked.Add()->set_node("web3");
  setup.not_asked_count = 1;
  setup.limit_rule = "policy.yaml:12";
  return setup;
}

// Takes both apart: a field that is added to either struct makes this fail to compile, and is then
// compared, set in Full, and mapped.
void ExpectSame(const JobSetup& one, const JobSetup& other) {
  const auto& [id, caller, controller, spec, mutating, roster_known, nobody, listing, create_time,
               traceparent, answer_timeout, strict_timeout, run_timeout, rollout, note, plants,
               not_asked, not_asked_count, limit_rule] = one;
  (void)plants;  // a simulation's, which sets it anew
  EXPECT_EQ(id, other.id);
  EXPECT_EQ(caller, other.caller);
  EXPECT_EQ(controller, other.controller);
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(spec, other.spec));
  EXPECT_EQ(mutating, other.mutating);
  EXPECT_EQ(roster_known, other.roster_known);
  EXPECT_EQ(nobody, other.nobody);
  EXPECT_EQ(listing, other.listing);
  EXPECT_EQ(create_time, other.create_time);
  EXPECT_EQ(traceparent, other.traceparent);
  EXPECT_EQ(answer_timeout, other.answer_timeout);
  EXPECT_EQ(strict_timeout, other.strict_timeout);
  EXPECT_EQ(run_timeout, other.run_timeout);
  const auto& [canary, canary_wait, concurrency, batch_size, batch_sleep, max_failures] = rollout;
  EXPECT_EQ(canary, other.rollout.canary);
  EXPECT_EQ(canary_wait, other.rollout.canary_wait);
  EXPECT_EQ(concurrency, other.rollout.concurrency);
  EXPECT_EQ(batch_size, other.rollout.batch_size);
  EXPECT_EQ(batch_sleep, other.rollout.batch_sleep);
  EXPECT_EQ(max_failures, other.rollout.max_failures);
  EXPECT_EQ(note, other.note);
  EXPECT_EQ(not_asked.size(), other.not_asked.size());
  for (int i = 0; i < std::min(not_asked.size(), other.not_asked.size()); ++i) {
    EXPECT_EQ(not_asked[i].node(), other.not_asked[i].node());
  }
  EXPECT_EQ(not_asked_count, other.not_asked_count);
  EXPECT_EQ(limit_rule, other.limit_rule);
}

TEST(JobRecord, EveryFieldComesBack) {
  StoredJob record;
  SetupInto(Full(), &record);
  StoredJob read;
  ASSERT_TRUE(read.ParseFromString(record.SerializeAsString()));
  ExpectSame(Full(), SetupFrom(read));
}

TEST(JobRecord, EmptyComesBackToo) {
  JobSetup empty;
  empty.create_time = absl::UnixEpoch();
  StoredJob record;
  SetupInto(empty, &record);
  ExpectSame(empty, SetupFrom(record));
}

// A field of the record is either the setup's, and then set above, or known to be another's.
TEST(JobRecord, EveryFieldOfTheRecordIsMapped) {
  StoredJob record;
  SetupInto(Full(), &record);
  const std::set<std::string> others = {"request", "sensitive"};
  std::vector<const google::protobuf::FieldDescriptor*> set;
  StoredJob::GetReflection()->ListFields(record, &set);
  for (int i = 0; i < StoredJob::descriptor()->field_count(); ++i) {
    const auto* field = StoredJob::descriptor()->field(i);
    const bool mapped = std::find(set.begin(), set.end(), field) != set.end();
    EXPECT_EQ(mapped, !others.contains(field->name())) << field->name();
  }
}

}  // namespace
}  // namespace orch::controller
