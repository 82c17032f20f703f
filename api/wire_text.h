// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <google/protobuf/message.h>

#include <string>

#include "absl/strings/string_view.h"

// Serialised messages whose text may be anything: what a node signed, what a store holds.
//
// Protobuf's `string` is UTF-8. A message with one other byte in one of its strings can be written,
// and is refused whole where it is read: one such text makes everything around it unreadable. So
// what comes from outside is read here, and what is kept is written here. Pure; blocks nobody.

namespace orch::api {

enum class Parsed {
  kWhole,   // as it was written
  kHealed,  // in one text at least, bytes that were no UTF-8 are replaced by U+FFFD
  kBroken,  // it is no such message; `*out` is empty
};

// Reads `bytes` into `out`, whatever the bytes of its texts are. A healed text is at most three
// times as long as what was sent.
Parsed ParseHealing(absl::string_view bytes, google::protobuf::Message* out);

// `message` in a form that can be read back: its texts are made UTF-8 where they were not.
std::string SerializeHealing(const google::protobuf::Message& message);

}  // namespace orch::api
