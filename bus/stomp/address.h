// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// `host:port` as configurations write it. Pure.

namespace orch::bus {

struct Address {
  std::string host;  // a name or an address, IPv6 without its brackets
  uint16_t port = 0;
};

// Parses `broker1:61614`, `127.0.0.1:61613` or `[::1]:61613`. Port 0 is accepted, because a server
// may listen on it. InvalidArgument names the text and what is wrong with it.
absl::StatusOr<Address> ParseAddress(absl::string_view text);

// Whether `host` can only mean this machine: `localhost`, 127.0.0.0/8 or ::1. Nothing is looked up.
bool IsLoopback(absl::string_view host);

// Who of `10.0.0.1:4711`, `[2001:db8:1:2::5]:4711` counts as one party where addresses have shares:
// `10.0.0.1`, `2001:db8:1:2::/64`, the /64 being what one machine gets. Other texts stay as they
// are.
std::string NetworkOf(absl::string_view peer);

}  // namespace orch::bus
