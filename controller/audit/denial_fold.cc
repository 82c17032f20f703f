// SPDX-License-Identifier: Apache-2.0
#include "controller/audit/denial_fold.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace orch::controller {
namespace {

constexpr char kOtherKinds[] = "others";

}  // namespace

// A kind of its own, or the one that all others of this caller, or of all further callers, share.
DenialFold::Key DenialFold::KeyOf(const orch::v1::AuditRecord& record) const {
  const std::string what = absl::StrCat(record.kind(), "\n", record.action(), "\n", record.rule(),
                                        record.validate_only() ? "\ndry run" : "");
  Key key(record.caller(), what);
  if (kinds_.count(key) > 0) return key;
  const auto caller = callers_.find(record.caller());
  if (caller == callers_.end()) {
    return callers_.size() < kFoldedCallersMax ? key : Key("", kOtherKinds);
  }
  return caller->second < kKindsOfACaller ? key : Key(record.caller(), kOtherKinds);
}

bool DenialFold::Admit(const orch::v1::AuditRecord& record, absl::Duration now) {
  if (record.decision() != "deny") return true;
  const Key key = KeyOf(record);
  auto [found, is_new] = kinds_.try_emplace(key);
  Kind& kind = found->second;
  if (!is_new) {
    ++kind.more;
    return false;
  }
  kind.end = now + kFoldTime;
  kind.first = record;
  if (key.second == kOtherKinds) {
    kind.first.clear_action();
    kind.first.clear_rule();
    if (key.first.empty()) kind.first.clear_caller();
  }
  ++callers_[key.first];
  return true;
}

std::vector<orch::v1::AuditRecord> DenialFold::TakeEnded(absl::Duration now, bool everything) {
  std::vector<orch::v1::AuditRecord> out;
  for (auto it = kinds_.begin(); it != kinds_.end();) {
    if (it->second.end > now && !everything) {
      ++it;
      continue;
    }
    if (it->second.more > 0) {
      orch::v1::AuditRecord record = std::move(it->second.first);
      record.clear_peer();
      record.clear_argument_digest();
      record.clear_arguments();
      record.clear_target();
      record.clear_resolved();
      record.clear_job();
      record.set_reason(absl::StrCat(it->second.more, " more like it within a minute"));
      out.push_back(std::move(record));
    }
    const auto caller = callers_.find(it->first.first);
    if (--caller->second == 0) callers_.erase(caller);
    it = kinds_.erase(it);
  }
  return out;
}

absl::Duration DenialFold::NextDeadline() const {
  absl::Duration out = absl::InfiniteDuration();
  for (const auto& [key, kind] : kinds_) out = std::min(out, kind.end);
  return out;
}

}  // namespace orch::controller
