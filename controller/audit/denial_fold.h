// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "orch/v1/audit_service.pb.h"

namespace orch::controller {

// How long denials of one kind are counted before the count is written.
inline constexpr absl::Duration kFoldTime = absl::Minutes(1);
// Kinds of denials of one caller that are told apart at once; of further ones only their number.
inline constexpr size_t kKindsOfACaller = 20;
// Callers that are told apart at once; what others are denied counts together.
inline constexpr size_t kFoldedCallersMax = 1000;

// Keeps a caller who may do nothing from filling the disk with denials: the first of a kind
// (caller, action, rule, dry run) is written in full, those that follow within a minute are
// counted, and the count is written at the end of that minute as one record more. Pure; times are
// steady.
class DenialFold {
 public:
  // Whether a record is to be written as it is; else it is counted. Records that deny nothing
  // always are.
  bool Admit(const orch::v1::AuditRecord& record, absl::Duration now);
  // The counts whose minute is over, as records: the first of their kind, with `reason` saying how
  // many more there were and without what they differ in. `everything`: also those whose minute is
  // not over.
  std::vector<orch::v1::AuditRecord> TakeEnded(absl::Duration now, bool everything = false);
  // When to ask TakeEnded next; InfiniteDuration: there is nothing to wait for.
  absl::Duration NextDeadline() const;

 private:
  struct Kind {
    absl::Duration end;
    uint64_t more = 0;
    orch::v1::AuditRecord first;
  };
  using Key = std::pair<std::string, std::string>;  // caller, what

  Key KeyOf(const orch::v1::AuditRecord& record) const;

  std::map<Key, Kind> kinds_;
  std::map<std::string, size_t> callers_;  // → their kinds
};

}  // namespace orch::controller
