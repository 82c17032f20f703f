// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "base/clock.h"
#include "orch/bus/v1/request.pb.h"

namespace orch::nodeagent {

inline constexpr absl::Duration kBeaconInterval = absl::Seconds(30);
inline constexpr int kBeaconsMissedMax = 3;
// A node further off refuses mutating requests: its expiry can't be relied on.
inline constexpr absl::Duration kClockSkewMax = absl::Seconds(30);
// How long a deaf node waits at most before it reconnects again; each time that doesn't help
// doubles the wait.
inline constexpr absl::Duration kDeafWaitMax = absl::Minutes(30);

// What the controllers' signs of life tell: that the bus still brings us messages, how far our
// clock is off, and whether mutating actions are frozen. Pure.
class Beacons {
 public:
  struct Seen {
    base::Now at;                                    // when the newest came, by our clocks
    absl::Time issue_time;                           // by the controller's
    absl::Time start_time;                           // of the controller
    absl::Time latest_start = absl::InfinitePast();  // of all that were heard
    uint64_t sequence = 0;
    bool frozen = false;
    std::map<std::string, std::string> crl_numbers;
  };

  // A beacon of `controller` whose signature held. False: it is not newer than what is known (the
  // bus repeated or delayed it), and nothing changes. Beacons don't pass the time window: they are
  // what measures it.
  //
  // A controller that started with its clock ahead and was restarted with a right one seems to be
  // an older self. It is believed if the beacon was issued now by our clock, which no recorded one
  // was, and after the newest that is known, or once that self has been silent for three beacons'
  // time.
  bool OnBeacon(const orch::bus::v1::Request& request, base::Now now);

  // Our clock minus the controller's as of now, also after a step of our clock since the beacon;
  // includes the way over the bus. Nullopt: never heard.
  std::optional<absl::Duration> Skew(const std::string& controller, base::Now now) const;
  // The widest over all controllers.
  std::optional<absl::Duration> WidestSkew(base::Now now) const;

  // The bus connected (again): silence counts from here.
  void OnConnected(base::Now now) { connected_ = now.steady; }
  void OnDisconnected() { connected_.reset(); }
  // Asked every few seconds. Why to reconnect, if no controller at all was heard for three beacons'
  // time though one had been before, or there are `other_brokers` that may know one; a single
  // silent controller is its own trouble.
  std::optional<std::string> NextDeafness(base::Now now, bool other_brokers);

  const std::map<std::string, Seen>& seen() const { return seen_; }
  uint64_t times_deaf() const { return times_deaf_; }
  // When it was last noticed; InfinitePast: never.
  absl::Time deaf_time() const { return deaf_time_; }

 private:
  // Whether a controller's beacon that `started` at another time than what is `seen` of it counts.
  static bool Succeeds(const Seen& seen, absl::Time started, absl::Time issued, base::Now now);

  std::map<std::string, Seen> seen_;  // by controller: at most as many as are configured
  std::optional<absl::Duration> connected_;
  absl::Duration wait_ = kBeaconsMissedMax * kBeaconInterval;
  uint64_t times_deaf_ = 0;
  absl::Time deaf_time_ = absl::InfinitePast();
};

}  // namespace orch::nodeagent
