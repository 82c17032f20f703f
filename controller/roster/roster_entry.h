// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/clock.h"
#include "controller/store/stored.pb.h"
#include "orch/bus/v1/presence.pb.h"
#include "orch/v1/node.pb.h"
#include "target/node_view.h"

namespace orch::controller {

// The most bytes of facts, as JSON, whose parsed form is kept in memory, over all nodes; the parsed
// form takes about five times as much. Facts beyond it are parsed at each use.
inline constexpr size_t kParsedFactsBytesMax = 256 << 20;

// How much of kParsedFactsBytesMax is used. All entries of a roster share one.
struct ParsedFactsBudget {
  size_t bytes = 0;
  // The parsed facts that were used last and found no room.
  std::unique_ptr<const nlohmann::json> overflow;
};

// What the roster knows of one node.
//
// Pure. Lives on: the dispatcher's strand.
class RosterEntry {
 public:
  RosterEntry(std::string identity, ParsedFactsBudget* budget)
      : identity_(std::move(identity)), budget_(budget) {}
  ~RosterEntry() { DropParsed(); }
  RosterEntry(const RosterEntry&) = delete;
  RosterEntry& operator=(const RosterEntry&) = delete;

  // Takes over a newer presence. A presence may leave the actions out; those that are known stay if
  // its digest says that they are still the same.
  void Update(const orch::bus::v1::Presence& presence, absl::Time certificate_end,
              std::vector<std::string> chain);
  // Whether the presence is newer than the one that is known: by the node's start time, then by its
  // sequence.
  bool IsNewerThanKnown(const orch::bus::v1::Presence& presence) const;
  bool IsOtherStart(const orch::bus::v1::Presence& presence) const;
  bool InCollective(absl::string_view collective) const;
  // Whether facts and classes, and actions, are known as the node has them now.
  bool facts_current() const;
  bool actions_known() const { return actions_known_; }
  bool facts_known() const { return facts_known_; }

  const std::string& identity() const { return identity_; }
  const orch::bus::v1::Presence& presence() const { return presence_; }
  const std::vector<std::string>& action_names() const { return action_names_; }
  const std::vector<std::string>& collectives() const { return collectives_; }
  const std::vector<std::string>& classes() const { return classes_; }
  // The facts. Null: they are not known. An empty object: they are not what a node agent sends, for
  // example nested more than kFactsDepthMax levels deep. The pointer is valid until the facts of
  // any entry are asked for or changed.
  static constexpr int kFactsDepthMax = 24;
  // Of facts that came packed, unpacked; nodes send no more.
  static constexpr size_t kFactsBytesMax = 1 << 20;
  const nlohmann::json* facts() const;

  StoredNode ToStored() const;
  void FromStored(const StoredNode& row);
  orch::v1::Node ToNode(bool with_facts) const;

  // Kept by the roster.
  orch::v1::RosterState state = orch::v1::ROSTER_STATE_PRESENT;
  absl::Time last_seen = absl::InfinitePast();  // wall
  absl::Duration last_heard;                    // steady
  absl::Duration clock_skew;                    // its clock minus ours

 private:
  void TakePresence(const orch::bus::v1::Presence& presence);
  void TakeFacts(orch::bus::v1::Facts facts, const std::string& digest);
  void DropParsed() const;

  const std::string identity_;
  ParsedFactsBudget* const budget_;
  orch::bus::v1::Presence presence_;  // with actions, without facts
  absl::Time certificate_end_ = absl::InfinitePast();
  std::vector<std::string> chain_;
  bool actions_known_ = false;
  std::vector<std::string> action_names_;
  std::vector<std::string> collectives_;
  bool facts_known_ = false;
  std::string facts_digest_;  // the digest that came with facts_
  orch::bus::v1::Facts facts_;
  std::vector<std::string> classes_;
  mutable std::unique_ptr<const nlohmann::json> parsed_;  // made at the first use
  mutable size_t parsed_bytes_ = 0;                       // what it takes of budget_
};

// A roster entry as targets see it at one moment. The entry must outlive it and must not change
// meanwhile.
class RosterView : public target::NodeView {
 public:
  RosterView(const RosterEntry& entry, base::Now now) : entry_(entry), now_(now) {}
  absl::string_view identity() const override { return entry_.identity(); }
  const nlohmann::json* facts() const override { return entry_.facts(); }
  const std::vector<std::string>* classes() const override {
    return entry_.facts_known() ? &entry_.classes() : nullptr;
  }
  const std::vector<std::string>* actions() const override {
    return entry_.actions_known() ? &entry_.action_names() : nullptr;
  }
  const std::vector<std::string>& collectives() const override { return entry_.collectives(); }
  // `puppet()` of a present node, from its last presence; NotFound for what no node could answer;
  // everything else is Unavailable: only the node itself could.
  absl::StatusOr<nlohmann::json> Answer(const target::Call& call) const override;

 private:
  const RosterEntry& entry_;
  const base::Now now_;
};

}  // namespace orch::controller
