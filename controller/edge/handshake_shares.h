// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace orch::controller {

// Which of the handshakes that are under way ends when there are too many. Anybody who reaches a
// port can begin handshakes, so each address has a share of them, and above it those go that
// progress least. Nobody waits outside for that: a connection of another address is always taken.
// Callers that begin many at once from one address are not the target: who began a moment ago is
// spared until all together are too many.
//
// Pure; lives where its owner does.
class HandshakeShares {
 public:
  using Id = uint64_t;

  struct Limits {
    size_t all;
    size_t of_address;
    // Below this age nobody ends for the sake of an address's share.
    absl::Duration grace;
    // From its first moment to its end.
    absl::Duration time;
    // Above a quarter of `all`, for those to whom we have not answered anything yet.
    absl::Duration silent_time;
  };

  explicit HandshakeShares(Limits limits) : limits_(limits) {}

  struct Added {
    Id id;
    std::optional<Id> victim;  // to be ended and removed; never `id`
  };
  // `host` is of bus::NetworkOf.
  Added Add(absl::string_view host, absl::Duration now);
  // It has come further: its ClientHello was answered.
  void OnProgress(Id id);
  // It is over. Unknown ids are ignored.
  void Remove(Id id);

  // Those whose time is up, oldest first.
  std::vector<Id> Overdue(absl::Duration now) const;
  // When to ask again; infinite: not before the next Add.
  absl::Duration NextDeadline() const;
  size_t size() const { return pending_.size(); }

 private:
  struct Pending {
    std::string host;
    absl::Duration began;
    bool answered = false;
  };

  bool crowded() const { return pending_.size() > limits_.all / 4; }
  // The oldest of `host` that began by `latest`; those that were answered last.
  std::optional<Id> VictimOf(const std::string& host, Id newcomer, absl::Duration latest) const;

  const Limits limits_;
  std::map<Id, Pending> pending_;  // by age
  absl::flat_hash_map<std::string, size_t> hosts_;
  Id next_ = 1;
};

}  // namespace orch::controller
