// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/agent/beacons.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/proto_time.h"

namespace orch::nodeagent {

bool Beacons::Succeeds(const Seen& seen, absl::Time started, absl::Time issued, base::Now now) {
  if (started > seen.latest_start) return true;
  if (absl::AbsDuration(now.wall - issued) > kClockSkewMax) return false;
  return issued > seen.issue_time ||
         now.steady - seen.at.steady >= kBeaconsMissedMax * kBeaconInterval;
}

bool Beacons::OnBeacon(const orch::bus::v1::Request& request, base::Now now) {
  const orch::bus::v1::Beacon& beacon = request.beacon();
  const absl::Time started = ToTime(beacon.start_time());
  Seen& seen = seen_[request.controller()];
  const absl::Time issued = ToTime(request.issue_time());
  const bool known = seen.sequence > 0;
  if (known && (started == seen.start_time ? beacon.sequence() <= seen.sequence
                                           : !Succeeds(seen, started, issued, now))) {
    return false;
  }
  seen.at = now;
  seen.issue_time = issued;
  seen.start_time = started;
  seen.latest_start = std::max(seen.latest_start, started);
  seen.sequence = std::max<uint64_t>(beacon.sequence(), 1);
  seen.frozen = beacon.frozen();
  seen.crl_numbers.clear();
  for (const auto& [issuer, number] : beacon.crl_numbers()) seen.crl_numbers[issuer] = number;
  wait_ = kBeaconsMissedMax * kBeaconInterval;
  return true;
}

std::optional<absl::Duration> Beacons::Skew(const std::string& controller, base::Now now) const {
  const auto found = seen_.find(controller);
  if (found == seen_.end()) return std::nullopt;
  const Seen& seen = found->second;
  const absl::Duration stepped = (now.wall - seen.at.wall) - (now.steady - seen.at.steady);
  return (seen.at.wall - seen.issue_time) + stepped;
}

std::optional<absl::Duration> Beacons::WidestSkew(base::Now now) const {
  std::optional<absl::Duration> widest;
  for (const auto& [controller, seen] : seen_) {
    const absl::Duration skew = *Skew(controller, now);
    if (!widest || absl::AbsDuration(skew) > absl::AbsDuration(*widest)) widest = skew;
  }
  return widest;
}

std::optional<std::string> Beacons::NextDeafness(base::Now now, bool other_brokers) {
  if (!connected_ || (seen_.empty() && !other_brokers)) return std::nullopt;
  absl::Duration heard = *connected_;
  for (const auto& [controller, seen] : seen_) heard = std::max(heard, seen.at.steady);
  const absl::Duration silence = now.steady - heard;
  if (silence < wait_) return std::nullopt;
  wait_ = std::min(2 * wait_, kDeafWaitMax);
  connected_.reset();
  ++times_deaf_;
  deaf_time_ = now.wall;
  return absl::StrCat("deaf: no controller's beacon for ", absl::ToInt64Seconds(silence), " s");
}

}  // namespace orch::nodeagent
