// SPDX-License-Identifier: Apache-2.0
// Watches over all jobs and over the roster: what changed since a cursor, each once, as it is now.
#include <gtest/gtest.h>

#include <set>

#include "api/names.h"
#include "controller/dispatcher/dispatcher_fixture.h"

namespace orch::controller {
namespace {

using orch::testing::SimNodeOptions;

class WatchTest : public DispatcherTest {
 protected:
  JobChangesPart Jobs(WatchCursor after) {
    auto part = Await<absl::StatusOr<JobChangesPart>>(
        [&](auto done) { Post([=](Dispatcher& there) { there.ReadJobChanges(1, after, done); }); });
    EXPECT_TRUE(part.ok()) << part.status();
    return *std::move(part);
  }
  // Reads on until the job is told of in one of these states.
  WatchCursor Until(WatchCursor after, const std::string& id,
                    const std::set<orch::v1::JobState>& states) {
    while (true) {
      const JobChangesPart part = Jobs(after);
      EXPECT_FALSE(part.reset);
      after = part.cursor;
      for (const auto& job : part.jobs) {
        if (job->name() == api::JobName(id) && states.count(job->state()) > 0) return after;
      }
    }
  }
  struct Heard {
    std::map<std::string, orch::v1::RosterState> nodes;
    std::set<std::string> gone;
    WatchCursor cursor;
    int calls = 0;
    bool reset = false;
  };
  std::shared_ptr<Heard> Roster(WatchCursor after, orch::v1::Target target = {}) {
    auto heard = std::make_shared<Heard>();
    Post([heard, after, target, id = ++reader_](Dispatcher& there) {
      there.WatchNodes(id, target, after, [heard](NodeChanges changes) {
        ++heard->calls;
        for (const orch::v1::Node& one : changes.nodes) heard->nodes[one.identity()] = one.state();
        heard->gone.insert(changes.gone.begin(), changes.gone.end());
        heard->cursor = changes.cursor;
        heard->reset = heard->reset || changes.reset;
      });
    });
    DispatcherTest::Until([&] { return heard->calls > 0; });
    return heard;
  }

  uint64_t reader_ = 100;
};

TEST_F(WatchTest, JobsFromTheirStartToTheirEnd) {
  AddNode("a", SimNodeOptions{.identity = {}, .hold = true});
  const JobChangesPart none = Jobs({});
  EXPECT_TRUE(none.jobs.empty());
  EXPECT_FALSE(none.reset);
  const std::string id = Run(PuppetRun());
  const WatchCursor cursor = Until(none.cursor, id, {orch::v1::JOB_STATE_RUNNING});
  ASSERT_TRUE(Cancel(id).ok());
  // What comes close together is told once, as it is then.
  Until(cursor, id, {orch::v1::JOB_STATE_STOPPING, orch::v1::JOB_STATE_CANCELLED});
  // Who begins now hears of it, too.
  const JobChangesPart now = Jobs({});
  ASSERT_EQ(now.jobs.size(), 1u);
  EXPECT_EQ(now.jobs[0]->name(), api::JobName(id));
}

TEST_F(WatchTest, AnEndedJobIsToldToWhoComesBackAndToWhoBegins) {
  AddNode("a");
  const WatchCursor before = Jobs({}).cursor;
  const std::string id = Run(Ping());
  End(id);
  Until(before, id, {orch::v1::JOB_STATE_SUCCEEDED});
  EXPECT_EQ(Jobs({}).jobs.size(), 1u);
  // Another process knows nothing of the cursor, but what ended a moment ago is in its store.
  KillController();
  StartController();
  const JobChangesPart again = Jobs(before);
  EXPECT_TRUE(again.reset);
  ASSERT_EQ(again.jobs.size(), 1u);
  EXPECT_EQ(again.jobs[0]->state(), orch::v1::JOB_STATE_SUCCEEDED);
}

TEST_F(WatchTest, AReaderOfJobsThatGoesAwayIsForgotten) {
  AddNode("a");
  const WatchCursor cursor = Jobs({}).cursor;
  bool called = false;
  Post([&](Dispatcher& there) {
    there.ReadJobChanges(7, cursor, [&called](absl::StatusOr<JobChangesPart>) { called = true; });
  });
  Post([](Dispatcher& there) { there.ForgetRead(7); });
  const std::string id = Run(Ping());
  Until(cursor, id, {orch::v1::JOB_STATE_SUCCEEDED});
  EXPECT_FALSE(called);
}

TEST_F(WatchTest, NodesThatChangeAreTold) {
  const auto heard = Roster({});
  AddNode("w");
  DispatcherTest::Until([&] { return heard->nodes.count("w") > 0; });
}

TEST_F(WatchTest, WhoComesBackHearsOnlyWhatChanged) {
  AddNode("a");
  const auto first = Roster({});
  AddNode("b");
  DispatcherTest::Until([&] { return first->nodes.count("b") > 0; });
  const auto second = Roster(first->cursor);
  EXPECT_FALSE(second->reset);
  EXPECT_EQ(second->nodes.count("a"), 0u);
  const auto third = Roster({first->cursor.process, 0});
  EXPECT_EQ(third->nodes.count("a"), 1u);
  EXPECT_EQ(third->nodes.count("b"), 1u);
  const auto strange = Roster({first->cursor.process + 2, 1});
  EXPECT_TRUE(strange->reset);
}

TEST_F(WatchTest, ANodeThatDoesNotMatchIsGone) {
  orch::v1::Target target;
  target.add_identities("a");
  const auto heard = Roster({}, target);
  AddNode("b");
  AddNode("a");
  DispatcherTest::Until([&] { return heard->nodes.count("a") > 0; });
  EXPECT_EQ(heard->nodes.count("b"), 0u);
  DispatcherTest::Until([&] { return heard->gone.count("b") > 0; });
}

}  // namespace
}  // namespace orch::controller
