// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bus/stomp/config.pb.h"

// What a BusConfig means: its rules and its defaults. Thread-safe.

namespace orch::bus {

inline constexpr int kBrokersMax = 64;

// InvalidArgument, beginning with the field's name, for what can't work or would be unsafe: plain
// STOMP without a login is only for loopback and by `insecure_loopback`; with a login beyond
// loopback only by `allow_plaintext`. Looks at no file and no name server.
absl::Status ValidateBusConfig(const BusConfig& config);

// Whether connections to brokers are TLS (the default).
bool UsesTls(const BusConfig& config);

struct BusTimes {
  absl::Duration heart_beat = absl::Seconds(30);
  absl::Duration reconnect_min = absl::Milliseconds(500);
  absl::Duration reconnect_max = absl::Seconds(30);
  absl::Duration reconnect_spread = absl::Seconds(10);
};
BusTimes TimesOf(const BusConfig& config);

// The passcode: the file's content without the line end behind it. Read at each connect, so that it
// can be changed without a restart. PermissionDenied: others may read the file; NotFound;
// InvalidArgument: empty, over kPasscodeMax bytes, or more than one line.
inline constexpr size_t kPasscodeMax = 1024;
absl::StatusOr<std::string> ReadPasscode(const std::string& path);

}  // namespace orch::bus
