// SPDX-License-Identifier: Apache-2.0
#include "base/worker.h"

#include <gtest/gtest.h>

#include <future>
#include <thread>
#include <vector>

namespace orch::base {
namespace {

TEST(ThreadWorkerTest, WorksInOrderOnOneThreadOfItsOwn) {
  std::vector<int> done;
  std::thread::id first, last;
  {
    const std::unique_ptr<Worker> worker = NewThreadWorker();
    std::promise<void> delayed;
    worker->PostAfter(absl::Milliseconds(1), [&] { delayed.set_value(); });
    worker->Post([&] { first = std::this_thread::get_id(); });
    for (int i = 0; i < 100; ++i) worker->Post([&done, i] { done.push_back(i); });
    worker->Post([&] { last = std::this_thread::get_id(); });
    delayed.get_future().wait();
    worker->PostAfter(absl::Hours(1), [&] { done.push_back(-1); });
    worker->Stop();
    worker->Post([&] { done.push_back(-2); });
  }
  EXPECT_EQ(first, last);
  EXPECT_NE(first, std::this_thread::get_id());
  ASSERT_EQ(done.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(done[i], i);
}

TEST(InlineWorkerTest, WorksAtOnceAndGoesByTheClock) {
  FakeClock clock;
  std::vector<int> done;
  InlineWorker worker(&clock);
  worker.Post([&] {
    worker.Post([&] { done.push_back(2); });
    done.push_back(1);
  });
  EXPECT_EQ(done, (std::vector<int>{1, 2}));
  worker.PostAfter(absl::Seconds(2), [&] { done.push_back(3); });
  clock.Advance(absl::Seconds(1));
  EXPECT_EQ(done.size(), 2u);
  clock.Advance(absl::Seconds(1));
  EXPECT_EQ(done.size(), 3u);
  worker.PostAfter(absl::Seconds(1), [&] { done.push_back(4); });
  worker.Stop();
  clock.Advance(absl::Seconds(1));
  EXPECT_EQ(done.size(), 3u);
}

}  // namespace
}  // namespace orch::base
