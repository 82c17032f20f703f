// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/puppet/change_set.h"

#include "base/sha256.h"

namespace orch::nodeagent {
namespace {

absl::string_view WordFor(orch::v1::ResourceChangeStatus status) {
  if (status == orch::v1::RESOURCE_CHANGE_STATUS_CHANGED) return "changed";
  return status == orch::v1::RESOURCE_CHANGE_STATUS_FAILED ? "failed" : "noop";
}

std::string DigestOf(const std::set<std::string>& digests) {
  if (digests.empty()) return "";
  std::string all;
  for (const std::string& digest : digests) all += digest;
  return base::Sha256(all);
}

}  // namespace

void AppendCounted(absl::string_view text, std::string* out) {
  for (int shift = 56; shift >= 0; shift -= 8) {
    out->push_back(static_cast<char>(static_cast<uint64_t>(text.size()) >> shift & 0xff));
  }
  out->append(text.data(), text.size());
}

void ChangeSetMaker::Add(const ChangedProperty& changed) {
  std::string tuple;
  AppendCounted(changed.resource, &tuple);
  AppendCounted(changed.property, &tuple);
  AppendCounted(changed.desired, &tuple);
  AppendCounted(WordFor(changed.status), &tuple);
  properties_.insert(base::Sha256(tuple));
  AppendCounted(changed.previous, &tuple);
  values_.insert(base::Sha256(tuple));
  incomparable_ |= changed.redacted;
}

orch::v1::ChangeSet ChangeSetMaker::Make() const {
  orch::v1::ChangeSet set;
  set.set_digest(DigestOf(properties_));
  set.set_values_digest(DigestOf(values_));
  set.set_size(static_cast<uint32_t>(properties_.size()));
  set.set_incomparable(incomparable_);
  set.set_refreshes(refreshes_);
  return set;
}

}  // namespace orch::nodeagent
