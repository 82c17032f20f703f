// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bus/stomp/config.pb.h"

// The rules and defaults of a BusConfig, the `bus:` part of configurations. Thread-safe.

namespace orch::bus {

inline constexpr int kBrokersMax = 64;

// Checks a configuration without looking at files or name servers. InvalidArgument, beginning with
// the field's name, for what can't work or would be unsafe: STOMP without TLS and without a login
// is only for loopback and must be allowed by `insecure_loopback`; with a login it is for other
// hosts too and must then be allowed by `allow_plaintext`.
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

// Reads a passcode: the file's content without the line end behind it. It is read at each connect,
// so that it can be changed without a restart. PermissionDenied: others may read the file.
// NotFound: there is no such file. InvalidArgument: it is empty, over kPasscodeMax bytes, or has
// more than one line.
inline constexpr size_t kPasscodeMax = 1024;
absl::StatusOr<std::string> ReadPasscode(const std::string& path);

}  // namespace orch::bus
