// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/agent/beacons.h"

#include <gtest/gtest.h>

namespace orch::nodeagent {
namespace {

constexpr int64_t kStart = 1'799'999'000;

orch::bus::v1::Request Beacon(uint64_t sequence, absl::Time issued, int64_t start = kStart,
                              const std::string& controller = "c1") {
  orch::bus::v1::Request request;
  request.set_controller(controller);
  request.mutable_issue_time()->set_seconds(absl::ToUnixSeconds(issued));
  request.mutable_beacon()->set_sequence(sequence);
  request.mutable_beacon()->mutable_start_time()->set_seconds(start);
  return request;
}

TEST(Beacons, TakeOnlyWhatIsNewer) {
  base::FakeClock clock;
  Beacons beacons;
  EXPECT_TRUE(beacons.OnBeacon(Beacon(5, clock.Read().wall), clock.Read()));
  EXPECT_FALSE(beacons.OnBeacon(Beacon(5, clock.Read().wall), clock.Read()));
  EXPECT_FALSE(beacons.OnBeacon(Beacon(4, clock.Read().wall), clock.Read()));
  EXPECT_TRUE(beacons.OnBeacon(Beacon(6, clock.Read().wall), clock.Read()));
  // A restarted controller counts anew; its former life does not come back.
  EXPECT_TRUE(beacons.OnBeacon(Beacon(1, clock.Read().wall, kStart + 9), clock.Read()));
  EXPECT_FALSE(beacons.OnBeacon(Beacon(7, clock.Read().wall), clock.Read()));
}

TEST(Beacons, AControllerWhoseClockWasAheadIsHeardAgain) {
  base::FakeClock clock;
  Beacons beacons;
  const auto soon = absl::FromUnixSeconds(kStart) + absl::Hours(5);
  const int64_t ahead = absl::ToUnixSeconds(soon);
  // It started five hours ahead, went on until its clock was set right, and was restarted.
  const auto recorded = Beacon(4, soon, ahead);
  ASSERT_TRUE(beacons.OnBeacon(recorded, clock.Read()));
  const absl::Time first = clock.Read().wall;
  EXPECT_FALSE(beacons.OnBeacon(Beacon(1, first), clock.Read())) << "the other may still be there";
  clock.Advance(absl::Seconds(90));
  EXPECT_FALSE(beacons.OnBeacon(Beacon(2, first), clock.Read())) << "recorded a while ago";
  ASSERT_TRUE(beacons.OnBeacon(Beacon(4, clock.Read().wall), clock.Read()));
  EXPECT_EQ(beacons.Skew("c1", clock.Read()), absl::ZeroDuration());
  // Neither of its lives comes back from a recording.
  EXPECT_FALSE(beacons.OnBeacon(recorded, clock.Read()));
  EXPECT_FALSE(beacons.OnBeacon(Beacon(2, first), clock.Read()));
  clock.Advance(absl::Minutes(10));
  EXPECT_FALSE(beacons.OnBeacon(recorded, clock.Read()));
  EXPECT_FALSE(beacons.OnBeacon(Beacon(9, first, kStart - 100), clock.Read()));
  EXPECT_TRUE(beacons.OnBeacon(Beacon(24, clock.Read().wall), clock.Read()));
  EXPECT_TRUE(beacons.OnBeacon(Beacon(1, clock.Read().wall, ahead + 9), clock.Read()));
}

TEST(Beacons, ABeaconIssuedAfterTheKnownOneIsBelievedAtOnce) {
  base::FakeClock clock;
  Beacons beacons;
  ASSERT_TRUE(beacons.OnBeacon(Beacon(4, clock.Read().wall, kStart + 5000), clock.Read()));
  clock.Advance(absl::Seconds(5));
  EXPECT_TRUE(beacons.OnBeacon(Beacon(1, clock.Read().wall), clock.Read()));
  EXPECT_FALSE(beacons.OnBeacon(Beacon(1, clock.Read().wall), clock.Read()));
}

TEST(Beacons, MeasureTheClockAlsoAfterAStep) {
  base::FakeClock clock;
  Beacons beacons;
  EXPECT_FALSE(beacons.Skew("c1", clock.Read()));
  beacons.OnBeacon(Beacon(1, clock.Read().wall - absl::Seconds(2)), clock.Read());
  EXPECT_EQ(beacons.Skew("c1", clock.Read()), absl::Seconds(2));
  clock.Advance(absl::Minutes(10));
  EXPECT_EQ(beacons.Skew("c1", clock.Read()), absl::Seconds(2));
  clock.StepWall(-absl::Minutes(5));
  EXPECT_EQ(beacons.Skew("c1", clock.Read()), absl::Seconds(-298));
  EXPECT_FALSE(beacons.Skew("c2", clock.Read()));
}

TEST(Beacons, WidestSkewIsThatOfAnyController) {
  base::FakeClock clock;
  Beacons beacons;
  EXPECT_FALSE(beacons.WidestSkew(clock.Read()));
  beacons.OnBeacon(Beacon(1, clock.Read().wall - absl::Seconds(2)), clock.Read());
  beacons.OnBeacon(Beacon(1, clock.Read().wall + absl::Seconds(40), kStart, "c2"), clock.Read());
  EXPECT_EQ(beacons.WidestSkew(clock.Read()), absl::Seconds(-40));
}

TEST(Beacons, ThreeMissedMeanDeaf) {
  base::FakeClock clock;
  Beacons beacons;
  beacons.OnConnected(clock.Read());
  clock.Advance(absl::Hours(1));
  EXPECT_FALSE(beacons.NextDeafness(clock.Read(), false));  // never heard one: there may be none
  beacons.OnBeacon(Beacon(1, clock.Read().wall), clock.Read());
  clock.Advance(absl::Seconds(89));
  EXPECT_FALSE(beacons.NextDeafness(clock.Read(), false));
  clock.Advance(absl::Seconds(1));
  EXPECT_EQ(beacons.NextDeafness(clock.Read(), false), "deaf: no controller's beacon for 90 s");
  EXPECT_EQ(beacons.times_deaf(), 1u);
  EXPECT_EQ(beacons.deaf_time(), clock.Read().wall);
  EXPECT_FALSE(beacons.NextDeafness(clock.Read(), false));  // it reconnects just now
}

TEST(Beacons, WithAnotherBrokerThereMayBeAControllerThere) {
  base::FakeClock clock;
  Beacons beacons;
  beacons.OnConnected(clock.Read());
  clock.Advance(absl::Seconds(89));
  EXPECT_FALSE(beacons.NextDeafness(clock.Read(), true));
  clock.Advance(absl::Seconds(1));
  EXPECT_FALSE(beacons.NextDeafness(clock.Read(), false));
  EXPECT_TRUE(beacons.NextDeafness(clock.Read(), true));
  beacons.OnConnected(clock.Read());
  clock.Advance(absl::Seconds(179));
  EXPECT_FALSE(beacons.NextDeafness(clock.Read(), true));
  clock.Advance(absl::Seconds(1));
  EXPECT_TRUE(beacons.NextDeafness(clock.Read(), true));
}

TEST(Beacons, DeafAgainWaitsLonger) {
  base::FakeClock clock;
  Beacons beacons;
  beacons.OnConnected(clock.Read());
  beacons.OnBeacon(Beacon(1, clock.Read().wall), clock.Read());
  clock.Advance(absl::Seconds(90));
  ASSERT_TRUE(beacons.NextDeafness(clock.Read(), false));
  beacons.OnConnected(clock.Read());
  clock.Advance(absl::Seconds(179));
  EXPECT_FALSE(beacons.NextDeafness(clock.Read(), false));
  clock.Advance(absl::Seconds(1));
  EXPECT_TRUE(beacons.NextDeafness(clock.Read(), false));
  beacons.OnConnected(clock.Read());
  beacons.OnBeacon(Beacon(2, clock.Read().wall), clock.Read());  // heard: as at first
  clock.Advance(absl::Seconds(90));
  EXPECT_TRUE(beacons.NextDeafness(clock.Read(), false));
}

TEST(Beacons, OneOfTwoControllersIsEnough) {
  base::FakeClock clock;
  Beacons beacons;
  beacons.OnConnected(clock.Read());
  beacons.OnBeacon(Beacon(1, clock.Read().wall), clock.Read());
  beacons.OnBeacon(Beacon(1, clock.Read().wall, kStart, "c2"), clock.Read());
  clock.Advance(absl::Seconds(80));
  beacons.OnBeacon(Beacon(2, clock.Read().wall, kStart, "c2"), clock.Read());
  clock.Advance(absl::Seconds(80));
  EXPECT_FALSE(beacons.NextDeafness(clock.Read(), false));
}

TEST(Beacons, WhileDisconnectedThereIsNothingToHear) {
  base::FakeClock clock;
  Beacons beacons;
  beacons.OnConnected(clock.Read());
  beacons.OnBeacon(Beacon(1, clock.Read().wall), clock.Read());
  beacons.OnDisconnected();
  clock.Advance(absl::Hours(1));
  EXPECT_FALSE(beacons.NextDeafness(clock.Read(), false));
  beacons.OnConnected(clock.Read());
  EXPECT_FALSE(beacons.NextDeafness(clock.Read(), false));
}

}  // namespace
}  // namespace orch::nodeagent
