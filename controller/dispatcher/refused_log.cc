// SPDX-License-Identifier: Apache-2.0
#include "controller/dispatcher/refused_log.h"

#include "absl/strings/str_cat.h"

namespace orch::controller {

void RefusedLog::Count(const RefusedEnvelope& refused, DispatcherMetrics* metrics) {
  switch (refused.why) {
    case RefusedEnvelope::Why::kTrust:
      ++metrics->refused[static_cast<size_t>(refused.refusal)];
      break;
    case RefusedEnvelope::Why::kMalformed:
      ++(refused.presence ? metrics->presences_malformed : metrics->replies_malformed);
      break;
    case RefusedEnvelope::Why::kWrongNode:
      ++metrics->replies_wrong_node;
      break;
  }
}

void RefusedLog::Tell(const RefusedEnvelope& refused, base::Now now) {
  const std::string key = refused.key.empty() ? "unverified" : refused.key;
  if (bad_keys_.size() < kBadKeysMax || bad_keys_.contains(key)) ++bad_keys_[key];
  uint64_t suppressed = 0;
  if (!limiter_.Admit(absl::StrCat("refused ", key), now, &suppressed)) return;
  base::LogWarning(refused.presence ? "refused a presence" : "refused a reply",
                   {{"why", refused.text},
                    {"certificate", key},
                    {"of_this_certificate", bad_keys_[key]},
                    {"not_logged", suppressed}});
}

}  // namespace orch::controller
