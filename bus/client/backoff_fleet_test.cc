// SPDX-License-Identifier: Apache-2.0
// Ten thousand nodes at once: how many reach a broker in any one second, by simulation over the
// pure Backoff and the real defaults.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <queue>
#include <random>
#include <vector>

#include "bus/client/backoff.h"
#include "bus/client/session.h"
#include "bus/stomp/bus_config.h"

namespace orch::bus {
namespace {

constexpr size_t kNodes = 10'000;
// Uniform over the default spread a second sees a tenth of the fleet; half as much again is room
// for chance (ten standard deviations).
constexpr size_t kPerSecondMax = kNodes * 3 / 20;
constexpr size_t kOnlyPerSecondMax = kNodes * 3 / 10;

struct Broker {
  std::function<bool(absl::Duration)> up;  // whether it accepts then
};

// Nodes that try brokers until one accepts. Failed attempts cost no time, as "connection refused":
// the worst case for keeping apart.
class Fleet {
 public:
  Fleet(std::vector<Broker> brokers, Backoff::Order order, bool spread_start) : brokers_(brokers) {
    const BusTimes times = TimesOf(BusConfig());
    for (size_t i = 0; i < kNodes; ++i) {
      nodes_.emplace_back(
          brokers.size(), order,
          Backoff::Times{times.reconnect_spread, times.reconnect_min, times.reconnect_max},
          spread_start, random_());
    }
    at_.assign(kNodes, brokers.size());
  }

  // Those that are connected to it lose it at that moment, all others go on trying from then on.
  void LoseAt(size_t broker, absl::Duration now) {
    for (size_t i = 0; i < kNodes; ++i) {
      if (at_[i] != broker) continue;
      nodes_[i].OnLost(absl::Hours(1));
      Plan(i, now);
    }
  }
  void StartAt(absl::Duration now) {
    for (size_t i = 0; i < kNodes; ++i) Plan(i, now);
  }

  // Runs until everybody is connected, or `end`.
  void Run(absl::Duration end) {
    while (!due_.empty() && due_.top().time <= end) {
      const Attempt attempt = due_.top();
      due_.pop();
      Count(&attempts_[attempt.broker], attempt.time);
      if (!brokers_[attempt.broker].up(attempt.time)) {
        Plan(attempt.node, attempt.time);
        continue;
      }
      at_[attempt.node] = attempt.broker;
      last_ = std::max(last_, attempt.time);
      Count(&arrivals_[attempt.broker], attempt.time);
    }
  }

  // The most in any second, whole seconds from any tenth on.
  size_t MostArrivals(size_t broker) const { return Most(arrivals_[broker]); }
  size_t MostAttempts(size_t broker) const { return Most(attempts_[broker]); }
  size_t connected_to(size_t broker) const {
    return static_cast<size_t>(std::count(at_.begin(), at_.end(), broker));
  }
  absl::Duration last() const { return last_; }
  void Forget() {
    for (auto& tenths : arrivals_) tenths.clear();
    for (auto& tenths : attempts_) tenths.clear();
  }

 private:
  struct Attempt {
    absl::Duration time;
    size_t node, broker;
    bool operator<(const Attempt& other) const { return time > other.time; }  // earliest on top
  };

  void Plan(size_t node, absl::Duration now) {
    at_[node] = brokers_.size();
    const Backoff::Attempt next = nodes_[node].Next(random_());
    due_.push({now + next.wait, node, next.broker});
  }
  static void Count(std::vector<size_t>* tenths, absl::Duration time) {
    const auto tenth = static_cast<size_t>(absl::ToDoubleSeconds(time) * 10);
    if (tenths->size() <= tenth) tenths->resize(tenth + 1);
    ++(*tenths)[tenth];
  }
  static size_t Most(const std::vector<size_t>& tenths) {
    size_t most = 0;
    for (size_t i = 0; i < tenths.size(); ++i) {
      size_t second = 0;
      for (size_t k = i; k < std::min(i + 10, tenths.size()); ++k) second += tenths[k];
      most = std::max(most, second);
    }
    return most;
  }

  std::mt19937_64 random_{20250301};
  std::vector<Broker> brokers_;
  std::vector<Backoff> nodes_;
  std::vector<size_t> at_;  // the broker; as many as there are: none
  std::priority_queue<Attempt> due_;
  std::vector<size_t> arrivals_[3], attempts_[3];
  absl::Duration last_;
};

bool Always(absl::Duration) { return true; }
bool Never(absl::Duration) { return false; }

TEST(BackoffFleetTest, PowerReturns) {
  Fleet fleet({{Always}}, Backoff::Order::kPriority, /*spread_start=*/true);
  fleet.StartAt(absl::ZeroDuration());
  fleet.Run(absl::Hours(1));
  EXPECT_EQ(fleet.connected_to(0), kNodes);
  EXPECT_LE(fleet.MostArrivals(0), kPerSecondMax);
  EXPECT_LE(fleet.last(), absl::Seconds(10));
}

TEST(BackoffFleetTest, OneOfTwoBrokersDies) {
  for (const auto order : {Backoff::Order::kPriority, Backoff::Order::kRandom}) {
    absl::Duration died = absl::InfiniteDuration();
    Fleet fleet({{[&died](absl::Duration now) { return now < died; }}, {Always}}, order, true);
    fleet.StartAt(absl::ZeroDuration());
    fleet.Run(absl::Seconds(60));
    const size_t before = fleet.connected_to(0);
    if (order == Backoff::Order::kPriority) {
      EXPECT_EQ(before, kNodes);
    } else {
      EXPECT_NEAR(static_cast<double>(before), kNodes / 2.0, kNodes / 20.0);
    }
    fleet.Forget();
    died = absl::Seconds(100);
    fleet.LoseAt(0, died);
    fleet.Run(absl::Hours(1));
    EXPECT_EQ(fleet.connected_to(1), kNodes);
    EXPECT_LE(fleet.MostArrivals(1), kPerSecondMax);
    // The dead one is not tried where the other lives, and everybody has arrived within the spread.
    EXPECT_EQ(fleet.MostAttempts(0), 0u);
    EXPECT_LE(fleet.last(), died + absl::Seconds(10));
  }
}

TEST(BackoffFleetTest, TheNextBrokerIsDeadToo) {
  Fleet fleet({{[](absl::Duration now) { return now < absl::Seconds(100); }}, {Never}, {Always}},
              Backoff::Order::kPriority, true);
  fleet.StartAt(absl::ZeroDuration());
  fleet.Run(absl::Seconds(60));
  fleet.Forget();
  fleet.LoseAt(0, absl::Seconds(100));
  fleet.Run(absl::Hours(1));
  EXPECT_EQ(fleet.connected_to(2), kNodes);
  EXPECT_LE(fleet.MostArrivals(2), kPerSecondMax);
  EXPECT_LE(fleet.last(), absl::Seconds(110)) << "a dead broker in between costs no wait";
}

// However long the only broker was away, they don't come back together. Those that failed early try
// again beside those that try for the first time: at the end of the spread that adds up to e times
// as many as at its begin.
TEST(BackoffFleetTest, TheOnlyBrokerRestarts) {
  for (const int away_s : {0, 1, 3, 9, 20, 60, 300, 3600}) {
    const absl::Duration lost = absl::Seconds(100);
    const absl::Duration back = lost + absl::Seconds(away_s);
    Fleet fleet({{[&](absl::Duration now) { return now < lost || now >= back; }}},
                Backoff::Order::kPriority, true);
    fleet.StartAt(absl::ZeroDuration());
    fleet.Run(absl::Seconds(60));
    fleet.Forget();
    fleet.LoseAt(0, lost);
    fleet.Run(absl::Hours(3));
    EXPECT_EQ(fleet.connected_to(0), kNodes) << away_s;
    EXPECT_LE(fleet.MostArrivals(0), kOnlyPerSecondMax) << away_s;
    EXPECT_LE(fleet.last(), back + absl::Seconds(40)) << away_s;
    EXPECT_LE(fleet.MostAttempts(0), kOnlyPerSecondMax) << away_s;
    RecordProperty("most_in_a_second_after_" + std::to_string(away_s),
                   static_cast<int>(fleet.MostArrivals(0)));
  }
}

// What the two pure halves promise together: a broker that falls silent is left, and the next one
// tried, within two heart-beats, whatever the heart-beat is.
TEST(BackoffFleetTest, TheNextBrokerIsTriedWithinTwoHeartBeats) {
  for (const int beat_s : {1, 2, 10, 20, 30, 60, 3600}) {
    BusConfig config;
    config.mutable_heart_beat()->set_seconds(beat_s);
    const absl::Duration beat = absl::Seconds(beat_s);
    base::FakeClock clock;
    Session::Options options;
    options.heart_beat = beat;
    Session session(options, clock.Read());
    session.TakeBatch(clock.Read());
    session.OnWritten(clock.Read());
    // As our own broker promises: what was asked for.
    const std::string half = std::to_string(beat_s * 500);
    session.OnBytes(Encode({"CONNECTED", {{"version", "1.2"}, {"heart-beat", half + ",0"}}, ""}),
                    clock.Read());
    const absl::Duration noticed = session.next_deadline() - clock.Read().steady;
    EXPECT_GE(noticed, beat) << "a late beat is no loss";
    Backoff backoff(2, Backoff::Order::kPriority,
                    {TimesOf(config).reconnect_spread, absl::Seconds(1), absl::Seconds(30)}, false,
                    1);
    backoff.Next(0);
    backoff.OnLost(absl::Hours(1));
    EXPECT_LE(noticed + backoff.ceiling(), 2 * beat) << beat_s;
  }
}

}  // namespace
}  // namespace orch::bus
