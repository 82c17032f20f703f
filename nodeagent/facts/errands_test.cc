// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/facts/errands.h"

#include <gtest/gtest.h>

#include <future>
#include <string>
#include <thread>

namespace orch::nodeagent {
namespace {

class ErrandsTest : public testing::Test {
 protected:
  bool Until(const std::function<bool()>& condition) {
    const absl::Time limit = absl::Now() + absl::Seconds(20);
    while (!condition()) {
      if (absl::Now() > limit) return false;
      io_.restart();
      io_.run_for(std::chrono::milliseconds(2));
    }
    return true;
  }

  base::asio::io_context io_;
  base::Strand strand_{io_.get_executor()};
  std::string order_;
};

TEST_F(ErrandsTest, AreDoneInTurnBesideTheStrand) {
  Errands errands(strand_);
  const std::thread::id here = std::this_thread::get_id();
  for (const char name : {'a', 'b', 'c'}) {
    errands.Post({[here] { EXPECT_NE(std::this_thread::get_id(), here); },
                  [this, name, here] {
                    EXPECT_EQ(std::this_thread::get_id(), here);
                    order_ += name;
                  },
                  [] { FAIL() << "nothing is late"; }});
  }
  EXPECT_EQ(order_, "") << "never from within";
  EXPECT_TRUE(Until([&] { return order_.size() == 3; }));
  EXPECT_EQ(order_, "abc");
}

TEST_F(ErrandsTest, OneThatHangsIsOvertakenAndToldOf) {
  std::promise<void> release;
  std::shared_future<void> released = release.get_future().share();
  Errands errands(strand_);
  bool late = false;
  errands.Post({[released] { released.wait(); }, [this] { order_ += 'a'; }, [&] { late = true; }});
  errands.Post({[] {}, [this] { order_ += 'b'; }, nullptr});
  EXPECT_TRUE(Until([&] { return order_ == "b"; }));
  EXPECT_FALSE(late);
  EXPECT_TRUE(Until([&] { return late; }));
  errands.Post({[] {}, [this] { order_ += 'c'; }, nullptr});
  EXPECT_TRUE(Until([&] { return order_ == "bc"; }));
  release.set_value();
  EXPECT_TRUE(Until([&] { return order_ == "bca"; })) << "back after all";
}

TEST_F(ErrandsTest, TheEndWaitsForWhatIsUnderWay) {
  bool worked = false;
  {
    Errands errands(strand_);
    errands.Post(
        {[&worked] { worked = true; }, [] { FAIL() << "nobody is there any more"; }, nullptr});
  }
  EXPECT_TRUE(worked);
  io_.run();
}

}  // namespace
}  // namespace orch::nodeagent
