// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/agent/presence.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/wire_text.h"
#include "base/gzip.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/proto_time.h"
#include "base/sha256.h"
#include "base/version.h"

namespace orch::nodeagent {
Presence::Presence(PresenceParts parts) : parts_(std::move(parts)) {}

void Presence::OnConnected() {
  connected_ = true;
  repeated_ = false;
  Send(/*whole=*/true, /*with_facts=*/false, /*leaving=*/false);
}

void Presence::OnBeacon() {
  if (std::exchange(repeated_, true)) return;
  next_ = std::min(
      next_, parts_.clock->Read().steady + kPresenceRepeatSpread * parts_.random->Uniform(0, 1));
}

void Presence::AskForCrls() {
  const absl::Duration now = parts_.clock->Read().steady;
  if (now - crls_asked_ < kCrlAskInterval) return;
  crls_asked_ = now;
  behind_crls_ = true;
  next_ = std::min(next_, now + kPresenceRepeatSpread * parts_.random->Uniform(0, 1));
}

void Presence::OnTick() {
  if (!connected_) return;
  const base::Now now = parts_.clock->Read();
  if (now.steady >= next_) {
    return Send(now.steady - last_whole_ >= kPresenceWholeInterval, false, false);
  }
  if (now.steady - last_look_ >= kPuppetLookInterval) changed_ = true;
  SendIfChanged(now);
}

void Presence::SendIfChanged(base::Now now) {
  if (!changed_ || now.steady - last_sent_ < kPresenceChangeMin) return;
  changed_ = false;
  last_look_ = now.steady;
  if (Fingerprint() != last_fingerprint_) Send(false, false, false);
}

void Presence::Answer(bool with_facts, bool with_certificates) {
  // Facts that are not read yet are owed: none would be taken for "this node has none".
  facts_owed_ = with_facts && !FactsRead();
  Send(with_certificates, with_facts && !facts_owed_, false);
}

void Presence::OnChange() {
  changed_ = true;
  if (!connected_) return;
  // The first change in a while is told at once, those that follow it together.
  if (!facts_owed_ || !FactsRead()) return SendIfChanged(parts_.clock->Read());
  facts_owed_ = false;
  Send(false, true, false);
}

bool Presence::FactsRead() const { return parts_.facts->read_time() > absl::InfinitePast(); }

void Presence::SendLeaving() {
  if (connected_) Send(false, false, /*leaving=*/true);
}

std::string Presence::Fingerprint() const {
  const orch::v1::PuppetStatusResult puppet = parts_.actions->PuppetState();
  std::string print = absl::StrCat(base::Hex(parts_.facts->digest()), " ", puppet.applying(),
                                   puppet.enabled(), puppet.daemon_present(), " ",
                                   puppet.last_run().seconds(), " ", puppet.disable_message());
  for (const auto& error : parts_.facts->errors()) absl::StrAppend(&print, "\n", error.source());
  for (const auto& refusal : parts_.stops->controller_refusals(parts_.clock->Read().wall)) {
    absl::StrAppend(&print, "\n", refusal.controller(), " ", refusal.reason());
  }
  for (const auto& action : parts_.actions->Offered()) {
    absl::StrAppend(&print, "\n", action.name(), " ", base::Hex(action.schema_digest()));
  }
  return print;
}

orch::bus::v1::Presence Presence::Compose(bool whole) const {
  orch::bus::v1::Presence presence;
  presence.set_protocol(base::kProtocol);
  presence.set_node(parts_.identity);
  *presence.mutable_time() = ToTimestamp(parts_.clock->Read().wall);
  *presence.mutable_start_time() = ToTimestamp(parts_.start_time);
  presence.set_version(base::kVersion);
  presence.set_protocol_min(base::kProtocol);
  presence.set_protocol_max(base::kProtocol);
  for (const std::string& collective : parts_.collectives) presence.add_collectives(collective);
  std::string actions;
  for (orch::v1::NodeAction& action : parts_.actions->Offered()) {
    absl::StrAppend(&actions, action.name(), "\n", action.schema_digest(), action.mutates(), "\n");
    if (whole) *presence.add_actions() = std::move(action);
  }
  presence.set_actions_digest(base::Sha256(actions));
  presence.set_facts_digest(parts_.facts->digest());
  *presence.mutable_puppet() = parts_.actions->PuppetState();
  for (orch::v1::FactSourceError& error : parts_.facts->errors()) {
    *presence.add_fact_errors() = std::move(error);
  }
  *presence.mutable_certificate_end_time() = ToTimestamp(parts_.credentials->certificate_end());
  for (auto& refusal : parts_.stops->controller_refusals(parts_.clock->Read().wall)) {
    *presence.add_controller_refusals() = std::move(refusal);
  }
  if (deaf_time_ > absl::InfinitePast()) *presence.mutable_deaf_time() = ToTimestamp(deaf_time_);
  return presence;
}

void Presence::AddFacts(orch::bus::v1::Presence* presence) const {
  static const std::vector<std::string> kNone;
  const std::string& json = parts_.facts->json();
  const std::vector<std::string>& classes =
      parts_.facts->classes() == nullptr ? kNone : *parts_.facts->classes();
  size_t classes_size = 0;
  for (const std::string& name : classes) classes_size += name.size() + 2;
  const size_t size = json.size() + classes_size;
  std::string packed;
  if (size > kPresenceFactsMax) packed = base::Gzip(json);
  if (!packed.empty() && packed.size() + classes_size > kPresenceFactsMax) {
    auto* error = presence->add_fact_errors();
    error->set_source("bus");
    error->set_message(absl::StrCat("facts and classes have ", size,
                                    " bytes, packed more than the ", kPresenceFactsMax,
                                    " that fit into a message"));
    return;
  }
  if (packed.empty()) {
    presence->mutable_facts()->set_json(json);
  } else {
    presence->mutable_facts()->set_json_gzip(packed);
  }
  for (const std::string& name : classes) presence->mutable_facts()->add_classes(name);
  *presence->mutable_facts()->mutable_time() = ToTimestamp(parts_.facts->read_time());
}

void Presence::Send(bool whole, bool with_facts, bool leaving) {
  const base::Now now = parts_.clock->Read();
  orch::bus::v1::Presence presence = Compose(whole || with_facts);
  presence.set_sequence(++sequence_);
  presence.set_leaving(leaving);
  presence.set_behind_crls(behind_crls_);
  if (with_facts) AddFacts(&presence);
  const auto envelope =
      parts_.credentials->Sign(trust::Domain::kPresence, api::SerializeHealing(presence), whole);
  if (!envelope.ok()) {
    base::LogError("sign a presence", {{"error", envelope.status().ToString()}});
    return;
  }
  const std::string body = envelope->SerializeAsString();
  for (const std::string& collective : parts_.collectives) {
    parts_.client->Send(parts_.destinations.Presence(collective), body,
                        now.wall + 2 * parts_.interval);
  }
  last_fingerprint_ = Fingerprint();
  changed_ = behind_crls_ = false;
  last_sent_ = last_look_ = now.steady;
  if (whole) last_whole_ = now.steady;
  // Give or take a tenth: a fleet that was started at once does not stay in step.
  next_ = now.steady + parts_.interval * parts_.random->Uniform(0.9, 1.1);
}

}  // namespace orch::nodeagent
