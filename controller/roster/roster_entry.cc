// SPDX-License-Identifier: Apache-2.0
#include "controller/roster/roster_entry.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/json.h"
#include "api/names.h"
#include "base/gzip.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "target/known_calls.h"

namespace orch::controller {

bool RosterEntry::IsNewerThanKnown(const orch::bus::v1::Presence& presence) const {
  const absl::Time known = ToTime(presence_.start_time());
  const absl::Time start = ToTime(presence.start_time());
  if (start != known) return start > known;
  return presence.sequence() > presence_.sequence();
}

bool RosterEntry::IsOtherStart(const orch::bus::v1::Presence& presence) const {
  return ToTime(presence.start_time()) != ToTime(presence_.start_time());
}

bool RosterEntry::InCollective(absl::string_view collective) const {
  return std::binary_search(collectives_.begin(), collectives_.end(), collective);
}

bool RosterEntry::facts_current() const {
  return facts_known_ && facts_digest_ == presence_.facts_digest();
}

void RosterEntry::Update(const orch::bus::v1::Presence& presence, absl::Time certificate_end,
                         std::vector<std::string> chain) {
  orch::bus::v1::Presence next = presence;
  next.clear_facts();
  const bool same = actions_known_ && presence.actions_digest() == presence_.actions_digest();
  if (presence.actions().empty() && same) *next.mutable_actions() = presence_.actions();
  actions_known_ = same || !presence.actions().empty();
  TakePresence(next);
  if (presence.has_facts()) TakeFacts(presence.facts(), presence.facts_digest());
  certificate_end_ = certificate_end;
  if (!chain.empty()) chain_ = std::move(chain);
}

void RosterEntry::TakePresence(const orch::bus::v1::Presence& presence) {
  presence_ = presence;
  action_names_.clear();
  for (const orch::v1::NodeAction& action : presence_.actions()) {
    action_names_.push_back(action.name());
  }
  std::sort(action_names_.begin(), action_names_.end());
  collectives_.assign(presence_.collectives().begin(), presence_.collectives().end());
  std::sort(collectives_.begin(), collectives_.end());
}

void RosterEntry::TakeFacts(orch::bus::v1::Facts facts, const std::string& digest) {
  DropParsed();
  facts_ = std::move(facts);
  facts_digest_ = digest;
  facts_known_ = true;
  classes_.assign(facts_.classes().begin(), facts_.classes().end());
  std::sort(classes_.begin(), classes_.end());
}

void RosterEntry::DropParsed() const {
  budget_->bytes -= parsed_bytes_;
  parsed_bytes_ = 0;
  parsed_.reset();
}

const nlohmann::json* RosterEntry::facts() const {
  if (!facts_known_) return nullptr;
  if (parsed_ != nullptr) return parsed_.get();
  // Levels above the bound are left out while reading: what walks through facts calls itself for
  // each level, and a hostile node could send a hundred thousand.
  bool too_deep = false;
  const auto watch = [&too_deep](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    too_deep |= depth > kFactsDepthMax;
    return depth <= kFactsDepthMax;
  };
  std::string unpacked;
  if (!facts_.json_gzip().empty()) {
    unpacked = base::Gunzip(facts_.json_gzip(), kFactsBytesMax).value_or("");
  }
  const std::string& text = facts_.json_gzip().empty() ? facts_.json() : unpacked;
  auto json = nlohmann::json::parse(text, watch, /*allow_exceptions=*/false);
  // Signed by the node, so it harms only itself: no facts are better than wrong ones.
  if (too_deep || !json.is_object()) json = nlohmann::json::object();
  auto parsed = std::make_unique<const nlohmann::json>(std::move(json));
  if (budget_->bytes + text.size() > kParsedFactsBytesMax) {
    budget_->overflow = std::move(parsed);
    return budget_->overflow.get();
  }
  parsed_ = std::move(parsed);
  parsed_bytes_ = text.size();
  budget_->bytes += parsed_bytes_;
  return parsed_.get();
}

StoredNode RosterEntry::ToStored() const {
  StoredNode row;
  row.set_presence(presence_.SerializeAsString());
  row.set_actions_known(actions_known_);
  if (facts_known_) {
    row.set_facts(facts_.SerializeAsString());
    row.set_facts_digest(facts_digest_);
  }
  for (const std::string& certificate : chain_) row.add_certificate_chain(certificate);
  row.set_last_seen_ms(absl::ToUnixMillis(last_seen));
  row.set_certificate_end_ms(absl::ToUnixMillis(certificate_end_));
  row.set_gone(state == orch::v1::ROSTER_STATE_GONE);
  row.set_clock_skew_ms(absl::ToInt64Milliseconds(clock_skew));
  return row;
}

void RosterEntry::FromStored(const StoredNode& row) {
  orch::bus::v1::Presence presence;
  if (presence.ParseFromString(row.presence())) TakePresence(presence);
  actions_known_ = row.actions_known();
  orch::bus::v1::Facts facts;
  if (!row.facts().empty() && facts.ParseFromString(row.facts())) {
    TakeFacts(std::move(facts), row.facts_digest());
  }
  chain_.assign(row.certificate_chain().begin(), row.certificate_chain().end());
  last_seen = absl::FromUnixMillis(row.last_seen_ms());
  certificate_end_ = absl::FromUnixMillis(row.certificate_end_ms());
  clock_skew = absl::Milliseconds(row.clock_skew_ms());
  state = row.gone() ? orch::v1::ROSTER_STATE_GONE : orch::v1::ROSTER_STATE_PRESENT;
}

orch::v1::Node RosterEntry::ToNode(bool with_facts) const {
  orch::v1::Node node;
  node.set_name(api::NodeName(identity_));
  node.set_identity(identity_);
  node.set_state(state);
  *node.mutable_last_seen() = ToTimestamp(last_seen);
  node.set_version(presence_.version());
  node.set_protocol_min(presence_.protocol_min());
  node.set_protocol_max(presence_.protocol_max());
  for (const std::string& collective : collectives_) node.add_collectives(collective);
  *node.mutable_actions() = presence_.actions();
  if (presence_.has_puppet()) *node.mutable_puppet() = presence_.puppet();
  *node.mutable_clock_skew() = ToProtoDuration(clock_skew);
  *node.mutable_fact_errors() = presence_.fact_errors();
  *node.mutable_controller_refusals() = presence_.controller_refusals();
  if (presence_.has_deaf_time()) *node.mutable_deaf_time() = presence_.deaf_time();
  if (certificate_end_ != absl::InfinitePast()) {
    *node.mutable_certificate_end_time() = ToTimestamp(certificate_end_);
  }
  if (!facts_known_) return node;
  *node.mutable_facts_time() = facts_.time();
  if (!with_facts) return node;
  *node.mutable_facts() = api::ToStruct(*facts());
  for (const std::string& name : classes_) node.add_classes(name);
  return node;
}

absl::StatusOr<nlohmann::json> RosterView::Answer(const target::Call& call) const {
  ORCH_RETURN_IF_ERROR(target::CheckCall(call));
  const auto unavailable = [&call] {
    return absl::UnavailableError(absl::StrCat(call.name, "() is answered by the node only"));
  };
  if (call.name != "puppet" || !entry_.presence().has_puppet() ||
      entry_.state != orch::v1::ROSTER_STATE_PRESENT) {
    return unavailable();
  }
  const orch::v1::PuppetStatusResult& puppet = entry_.presence().puppet();
  if (call.field == "enabled") return nlohmann::json(puppet.enabled());
  if (call.field == "applying") return nlohmann::json(puppet.applying());
  if (call.field == "daemon_present") return nlohmann::json(puppet.daemon_present());
  if (call.field == "idling") return nlohmann::json(puppet.idling());
  if (call.field == "disable_message") return nlohmann::json(puppet.disable_message());
  if (call.field == "status") return nlohmann::json(puppet.status());
  if (puppet.has_last_run() && call.field == "lastrun") {
    return nlohmann::json(puppet.last_run().seconds());
  }
  if (puppet.has_last_run() && call.field == "since_lastrun") {
    const absl::Duration age = now_.wall - ToTime(puppet.last_run());
    return nlohmann::json(absl::ToInt64Seconds(age));
  }
  return unavailable();
}

}  // namespace orch::controller
