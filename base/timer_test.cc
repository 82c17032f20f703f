// SPDX-License-Identifier: Apache-2.0
#include "base/timer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/asio.h"
#include "base/random.h"

namespace orch::base {
namespace {

class TimerTest : public testing::Test {
 protected:
  void Wait(Timer* timer, const std::string& name) {
    timer->async_wait([this, name](boost::system::error_code error) {
      ORCH_CHECK_ON(strand_);
      log_.push_back(error ? name + " cancelled" : name);
    });
  }
  void Run() {
    io_.restart();
    io_.poll();
  }

  asio::io_context io_;
  Strand strand_{io_.get_executor()};
  FakeClock clock_;
  std::vector<std::string> log_;
};

TEST_F(TimerTest, GoesByTheFakeClockAndNoOther) {
  Timer late(strand_, &clock_), soon(strand_, &clock_);
  late.expires_after(absl::Hours(2));
  Wait(&late, "late");
  soon.expires_after(absl::Hours(1));
  Wait(&soon, "soon");
  EXPECT_EQ(clock_.timers()->Next(), clock_.Read().steady + absl::Hours(1));
  EXPECT_EQ(clock_.Advance(absl::Minutes(59)), 0u);
  Run();
  EXPECT_TRUE(log_.empty());
  EXPECT_EQ(clock_.Advance(absl::Minutes(61)), 2u);
  Run();
  EXPECT_EQ(log_, (std::vector<std::string>{"soon", "late"}));
  EXPECT_EQ(clock_.timers()->Next(), std::nullopt);
}

TEST_F(TimerTest, CancelsLikeAsios) {
  Timer timer(strand_, &clock_);
  timer.expires_after(absl::Seconds(1));
  Wait(&timer, "first");
  timer.expires_after(absl::Seconds(5));
  Wait(&timer, "second");
  clock_.Advance(absl::Seconds(2));
  Run();
  EXPECT_EQ(log_, std::vector<std::string>{"first cancelled"});
  // Due is due, even if it is cancelled before it could be told.
  clock_.Advance(absl::Seconds(3));
  timer.cancel();
  Run();
  EXPECT_EQ(log_.back(), "second");
  timer.expires_after(absl::Seconds(1));
  clock_.Advance(absl::Seconds(1));
  Wait(&timer, "after it was due");
  Run();
  EXPECT_EQ(log_.back(), "after it was due");
  {
    Timer gone(strand_, &clock_);
    gone.expires_after(absl::Seconds(1));
    Wait(&gone, "gone");
  }
  clock_.Advance(absl::Seconds(1));
  Run();
  EXPECT_EQ(log_.back(), "gone cancelled");
}

TEST_F(TimerTest, IsAwaitableOnTheSystemsClock) {
  Timer timer(strand_, &SystemClock());
  bool done = false;
  asio::co_spawn(
      strand_,
      [](Timer* waited, bool* out) -> Awaitable<void> {
        waited->expires_after(absl::Milliseconds(1));
        auto [error] = co_await waited->async_wait(kTuple);
        *out = !error;
      }(&timer, &done),
      asio::detached);
  io_.run();
  EXPECT_TRUE(done);
}

TEST(RandomTest, ASeedRepeats) {
  SeededRandom one(7), same(7), other(8);
  const std::string bytes = one.Bytes(20);
  EXPECT_EQ(bytes, same.Bytes(20));
  EXPECT_NE(bytes, other.Bytes(20));
  for (int i = 0; i < 1000; ++i) {
    const double drawn = one.Uniform(2, 3);
    ASSERT_TRUE(drawn >= 2 && drawn < 3) << drawn;
  }
  EXPECT_NE(SystemRandom()->Bytes(600), SystemRandom()->Bytes(600));
}

}  // namespace
}  // namespace orch::base
