// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <mutex>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/random.h"

// Makes and checks identifiers, among them those that become part of a destination and may
// therefore have few characters only. Thread-safe.

namespace orch::base {

// 16 random bytes from the kernel: request ids, stream ids. Aborts if the kernel gives none.
std::string RandomBytes16();

// Makes ULIDs (https://github.com/ulid/spec): 26 characters of Crockford base32, 48 bits of a time
// in milliseconds, 80 random bits. What one maker makes sorts in the order in which it was made.
class Ulids {
 public:
  explicit Ulids(Random* random) : random_(random) {}
  std::string Next(absl::Time time);

 private:
  std::mutex mutex_;
  Random* const random_;  // under mutex_
  uint64_t last_ms_ = 0;
  std::string last_random_;
};
// Of one maker for the whole process, with the kernel's dice.
std::string NewUlid(absl::Time time);
// Whether `text` is a ULID in its canonical upper-case form.
bool IsUlid(absl::string_view text);
// When a ULID was made, to the millisecond. InfinitePast for what is none.
absl::Time UlidTime(absl::string_view text);

// Node and controller identities: `[a-z0-9._-]{1,253}`, and not beginning with '-' or '.'.
bool IsIdentity(absl::string_view text);
// Collectives: `[a-z0-9_-]{1,32}`.
bool IsCollective(absl::string_view text);
// A canonical principal `kind=name[/name]`: `cert=<CN>`, `jwt=<issuer>/<sub>`, `local=insecure`,
// `uid=500`; each part
// `[A-Za-z0-9._@:-]{1,128}`.
bool IsCaller(absl::string_view text);

// Lower-case hex of any bytes.
std::string Hex(absl::string_view bytes);

}  // namespace orch::base
