// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "bus/config.pb.h"

// The STOMP addresses of the bus, by collective and broker flavour: the one file that knows how brokers differ.
// Identities and collectives are checked (base/ids.h) before they come here. Pure.

namespace orch::bus {

struct Destinations {
  Flavour flavour = FLAVOUR_EMBEDDED;
  std::string prefix = "orch";

  std::string Request(absl::string_view collective) const;                                // broadcast
  std::string Node(absl::string_view collective, absl::string_view identity) const;       // directed
  std::string Reply(absl::string_view collective, absl::string_view controller) const;    // to one controller
  std::string Presence(absl::string_view collective) const;
};

}  // namespace orch::bus
