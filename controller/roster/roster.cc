// SPDX-License-Identifier: Apache-2.0

// The roster is a cache of what nodes said and may be wrong in both directions; it must never cause
// a run on a node that would not agree, and never leave one out silently. So what it can't tell is
// `maybe` and is asked, and named nodes are kept even if nobody has heard of them. A presence
// counts only if it is newer than the last one by the node's own start and sequence, which a
// replayed one is not; a node whose clock was put back is believed after it has been silent for
// long. Ages are steady times, so that a step of the controller's clock makes no node stale. Each
// change is remembered twice, for watchers and for the store, because each takes its list at its
// own pace.

#include "controller/roster/roster.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/ids.h"
#include "base/proto_time.h"
#include "base/version.h"

namespace orch::controller {
namespace {

// The identities of a target that consists of exact ones; empty where it doesn't.
std::vector<std::string> ExactIdentities(const orch::v1::Target& target) {
  std::vector<std::string> names;
  for (const std::string& identity : target.identities()) {
    if (!base::IsIdentity(identity)) return {};  // a /regex/
    names.push_back(identity);
  }
  return names;
}

}  // namespace

Roster::Heard Roster::OnPresence(const orch::bus::v1::Presence& presence,
                                 absl::Time certificate_end, std::vector<std::string> chain,
                                 base::Now now) {
  auto it = entries_.find(presence.node());
  const bool first = it == entries_.end();
  if (first) {
    if (entries_.size() >= kRosterNodesMax) return {};
    auto entry = std::make_unique<RosterEntry>(presence.node(), &budget_);
    it = entries_.emplace(presence.node(), std::move(entry)).first;
  }
  RosterEntry& entry = *it->second;
  const absl::Duration skew = ToTime(presence.time()) - now.wall;
  if (!first && !entry.IsNewerThanKnown(presence)) {
    // A node whose clock was put back starts "earlier" than before: believed once it has been
    // silent for long, and if it speaks of now, which a replayed presence does not.
    const bool believable = entry.state != orch::v1::ROSTER_STATE_PRESENT &&
                            entry.IsOtherStart(presence) && absl::AbsDuration(skew) < stale_after_;
    if (!believable) return {};
  }
  Heard heard;
  heard.fresh = true;
  heard.back =
      first || entry.state != orch::v1::ROSTER_STATE_PRESENT || entry.IsOtherStart(presence);
  if (heard.back) newest_at_ = now.steady;
  entry.Update(presence, certificate_end, std::move(chain));
  entry.state = presence.leaving() ? orch::v1::ROSTER_STATE_GONE : orch::v1::ROSTER_STATE_PRESENT;
  entry.last_seen = now.wall;
  entry.last_heard = now.steady;
  entry.clock_skew = skew;
  heard.wants_details = !presence.leaving() && (!entry.facts_current() || !entry.actions_known());
  Changed(presence.node());
  return heard;
}

void Roster::OnHeard(const std::string& node, base::Now now) {
  auto it = entries_.find(node);
  if (it == entries_.end()) return;
  it->second->last_seen = now.wall;
  it->second->last_heard = now.steady;
  if (it->second->state != orch::v1::ROSTER_STATE_STALE) return;
  it->second->state = orch::v1::ROSTER_STATE_PRESENT;
  Changed(node);
}

void Roster::OnAsked(base::Now now) { asked_at_ = std::min(asked_at_, now.steady); }

bool Roster::Settled(base::Now now) {
  const absl::Duration asked = now.steady - asked_at_;
  settled_ = settled_ || asked >= kSettleMax ||
             (asked >= kSettleMin && now.steady - newest_at_ >= kSettleQuiet);
  return settled_;
}

void Roster::OnTime(base::Now now) {
  for (auto it = entries_.begin(); it != entries_.end();) {
    RosterEntry& entry = *it->second;
    const absl::Duration silent = now.steady - entry.last_heard;
    if (silent >= kForgetAfter) {
      Changed(it->first);
      it = entries_.erase(it);
      continue;
    }
    if (silent >= stale_after_ && entry.state == orch::v1::ROSTER_STATE_PRESENT) {
      entry.state = orch::v1::ROSTER_STATE_STALE;
      Changed(it->first);
    }
    ++it;
  }
}

Resolved Roster::Resolve(const target::Target& target, const orch::v1::Target& proto,
                         const std::vector<std::string>& names, base::Now now) const {
  Resolved resolved;
  const auto consider = [&](const RosterEntry& entry) {
    if (!entry.InCollective(target.collective())) return;
    switch (target.Evaluate(RosterView(entry, now)).truth) {
      case target::Truth::kTrue:
        resolved.expected.push_back(entry.identity());
        break;
      case target::Truth::kUnknown:
        resolved.maybe.push_back(entry.identity());
        break;
      case target::Truth::kFalse:
        break;
    }
  };
  std::vector<std::string> exact = names.empty() ? ExactIdentities(proto) : names;
  if (exact.empty()) {
    for (const auto& [name, entry] : entries_) {
      if (entry->state == orch::v1::ROSTER_STATE_PRESENT) {
        consider(*entry);
      } else if (entry->InCollective(target.collective()) &&
                 target.Evaluate(RosterView(*entry, now)).truth == target::Truth::kTrue) {
        resolved.absent.push_back(name);
      }
    }
    return resolved;
  }
  resolved.exact = true;
  std::sort(exact.begin(), exact.end());
  exact.erase(std::unique(exact.begin(), exact.end()), exact.end());
  for (const std::string& name : exact) {
    auto it = entries_.find(name);
    if (it != entries_.end()) {
      consider(*it->second);
    } else {
      resolved.unknown.push_back(name);
    }
  }
  return resolved;
}

std::optional<std::string> Roster::WhyUnable(const std::string& node, absl::string_view action,
                                             absl::string_view schema_digest) const {
  const RosterEntry* entry = Find(node);
  if (entry == nullptr) return std::nullopt;
  const orch::bus::v1::Presence& presence = entry->presence();
  const uint32_t protocol = base::kProtocol;
  if (presence.protocol_min() > protocol || presence.protocol_max() < protocol) {
    return absl::StrCat("the node speaks protocols ", presence.protocol_min(), " to ",
                        presence.protocol_max(), ", this controller ", protocol);
  }
  if (!entry->actions_known()) return std::nullopt;
  for (const orch::v1::NodeAction& offered : presence.actions()) {
    if (offered.name() != action) continue;
    if (schema_digest.empty() || offered.schema_digest() == schema_digest) return std::nullopt;
    return absl::StrCat("the node offers another version of ", action);
  }
  return absl::StrCat("the node does not offer ", action);
}

const RosterEntry* Roster::Find(const std::string& node) const {
  auto it = entries_.find(node);
  return it == entries_.end() ? nullptr : it->second.get();
}

std::vector<orch::v1::Node> Roster::List(const target::Target& target, bool with_facts,
                                         base::Now now) const {
  std::vector<orch::v1::Node> nodes;
  for (const auto& [name, entry] : entries_) {
    if (!entry->InCollective(target.collective())) continue;
    if (!target.empty() &&
        target.Evaluate(RosterView(*entry, now)).truth == target::Truth::kFalse) {
      continue;
    }
    nodes.push_back(entry->ToNode(with_facts));
  }
  return nodes;
}

ExplainedTarget Roster::Explain(const target::Target& target, const std::string& node,
                                base::Now now) const {
  ExplainedTarget out;
  for (const auto& [name, entry] : entries_) {
    if (entry->state != orch::v1::ROSTER_STATE_PRESENT) continue;
    if (!entry->InCollective(target.collective())) continue;
    out.nodes.push_back(CountClauses(target, RosterView(*entry, now)));
  }
  if (const RosterEntry* asked = Find(node); asked != nullptr) {
    out.asked = ExplainOnNode(target, RosterView(*asked, now), asked->state);
  }
  return out;
}

size_t Roster::present(absl::string_view collective) const {
  return std::count_if(entries_.begin(), entries_.end(), [collective](const auto& item) {
    return item.second->state == orch::v1::ROSTER_STATE_PRESENT &&
           item.second->InCollective(collective);
  });
}

Roster::Counts Roster::counts() const {
  Counts counts;
  for (const auto& [name, entry] : entries_) {
    counts.present += entry->state == orch::v1::ROSTER_STATE_PRESENT;
    counts.stale += entry->state == orch::v1::ROSTER_STATE_STALE;
    counts.gone += entry->state == orch::v1::ROSTER_STATE_GONE;
    counts.facts_known += entry->facts_known();
  }
  return counts;
}

std::vector<std::string> Roster::TakeChanged() {
  std::vector<std::string> names(changed_.begin(), changed_.end());
  changed_.clear();
  return names;
}

std::vector<std::pair<std::string, StoredNode>> Roster::TakeUnstored(size_t most) {
  std::vector<std::pair<std::string, StoredNode>> rows;
  while (rows.size() < most && !unstored_.empty()) {
    const std::string name = *unstored_.begin();
    unstored_.erase(unstored_.begin());
    const RosterEntry* entry = Find(name);
    rows.emplace_back(name, entry == nullptr ? StoredNode() : entry->ToStored());
  }
  return rows;
}

void Roster::Restore(const std::string& node, const StoredNode& row, base::Now now) {
  if (entries_.size() >= kRosterNodesMax || !base::IsIdentity(node)) return;
  auto entry = std::make_unique<RosterEntry>(node, &budget_);
  entry->FromStored(row);
  const absl::Duration age = std::max(now.wall - entry->last_seen, absl::ZeroDuration());
  entry->last_heard = now.steady - age;
  if (age >= stale_after_ && entry->state == orch::v1::ROSTER_STATE_PRESENT) {
    entry->state = orch::v1::ROSTER_STATE_STALE;
  }
  // Somebody who was there a moment ago is expected, whether or not others have come since.
  settled_ = settled_ || entry->state == orch::v1::ROSTER_STATE_PRESENT;
  entries_[node] = std::move(entry);
}

void Roster::Changed(const std::string& node) {
  changed_.insert(node);
  unstored_.insert(node);
}

}  // namespace orch::controller
