// SPDX-License-Identifier: Apache-2.0
#include "controller/job/job_log.h"

#include <gtest/gtest.h>

namespace orch::controller {
namespace {

std::vector<JobLog::Event> Events(uint64_t from, uint64_t to, size_t bytes = 10) {
  std::vector<JobLog::Event> events;
  for (uint64_t sequence = from; sequence <= to; ++sequence) {
    auto event = std::make_shared<orch::v1::JobEvent>();
    event->set_sequence(sequence);
    event->mutable_node()->set_message(std::string(bytes, 'x'));
    events.push_back(event);
  }
  return events;
}

TEST(JobLog, ShowsOnlyWhatIsDurable) {
  JobLog log(0);
  log.Append(Events(1, 5));
  EXPECT_TRUE(log.Read(0, 1 << 20)->empty());
  log.OnDurable(3);
  EXPECT_EQ(log.Read(0, 1 << 20)->size(), 3u);
  EXPECT_EQ(log.Read(2, 1 << 20)->front()->sequence(), 3u);
  EXPECT_TRUE(log.Read(3, 1 << 20)->empty());
  EXPECT_TRUE(log.Read(99, 1 << 20)->empty());
}

TEST(JobLog, ReadsInPieces) {
  JobLog log(0);
  log.Append(Events(1, 10, 1000));
  log.OnDurable(10);
  EXPECT_EQ(log.Read(0, 1)->size(), 1u);
  EXPECT_EQ(log.Read(0, 3500)->size(), 3u);
}

TEST(JobLog, ForgetsTheOldestDurableOnes) {
  JobLog log(0);
  log.Append(Events(1, 10, 1 << 20));
  EXPECT_TRUE(log.Read(0, 1)->empty());
  log.OnDurable(9);
  EXPECT_FALSE(log.Read(0, 1).has_value());
  EXPECT_FALSE(log.Read(4, 1).has_value());
  EXPECT_EQ(log.Read(7, 1)->front()->sequence(), 8u);
  log.OnDurable(10);
  EXPECT_EQ(log.Read(9, 1)->front()->sequence(), 10u);
}

TEST(JobLog, GoesOnAfterTheStore) {
  JobLog log(7);
  EXPECT_EQ(log.durable(), 7u);
  EXPECT_FALSE(log.Read(6, 1).has_value());
  EXPECT_TRUE(log.Read(7, 1)->empty());
  log.Append(Events(8, 8));
  log.OnDurable(8);
  EXPECT_EQ(log.Read(7, 1)->size(), 1u);
}

}  // namespace
}  // namespace orch::controller
