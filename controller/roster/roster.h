// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "controller/roster/explained_target.h"
#include "controller/roster/roster_entry.h"
#include "controller/store/stored.pb.h"
#include "orch/bus/v1/presence.pb.h"
#include "orch/v1/node.pb.h"
#include "target/target.h"

namespace orch::controller {

// Nodes of the roster; presences of further ones are ignored.
inline constexpr size_t kRosterNodesMax = 100'000;
// Silent for so long, a node is forgotten.
inline constexpr absl::Duration kForgetAfter = absl::Hours(24 * 30);
// A roster that has just begun to ask who is there is believed after so long, if by then nobody new
// has spoken for kSettleQuiet, and at the latest after kSettleMax.
inline constexpr absl::Duration kSettleMin = absl::Seconds(2);
inline constexpr absl::Duration kSettleQuiet = absl::Milliseconds(300);
inline constexpr absl::Duration kSettleMax = absl::Seconds(30);

// Who is meant by a target and a list of names, as far as the roster can tell. Each list is sorted;
// none overlap.
struct Resolved {
  std::vector<std::string> expected = {};  // present and matching, or named and matching
  std::vector<std::string> maybe = {};     // what they'd answer is known to themselves only
  std::vector<std::string> unknown = {};   // named, but never heard of
  bool exact = false;                      // nobody but these can be meant
  size_t size() const { return expected.size() + maybe.size() + unknown.size(); }
};

// The nodes, as they said of themselves in signed presences: a cache of the network, never the
// authority.
//
// Pure: no bus, no store, no clock. Lives on: the dispatcher's strand.
class Roster {
 public:
  explicit Roster(absl::Duration stale_after) : stale_after_(stale_after) {}

  // What a presence told.
  struct Heard {
    bool fresh = false;          // newer than what was known, and taken over
    bool wants_details = false;  // its facts or actions are not known here as they are now
    bool back = false;           // it was not here, or it restarted
  };
  // A verified presence: the signer's CN is `presence.node()`. `certificate_end` and `chain` (DER,
  // may be empty) are the signer's.
  Heard OnPresence(const orch::bus::v1::Presence& presence, absl::Time certificate_end,
                   std::vector<std::string> chain, base::Now now);
  // A verified reply is a sign of life too.
  void OnHeard(const std::string& node, base::Now now);
  // Everybody is being asked who is there: first when the bus is, after the start.
  void OnAsked(base::Now now);
  // Whether who is there is known by now; stays so.
  bool Settled(base::Now now);
  // Nodes that have been silent for too long become stale, then are forgotten.
  void OnTime(base::Now now);

  // Nodes of the target's collective: those that are present, or with names (or a target that
  // consists of exact identities) these and no others, present or not.
  Resolved Resolve(const target::Target& target, const orch::v1::Target& proto,
                   const std::vector<std::string>& names, base::Now now) const;
  // Why the node can't do this action, if it announced that it can't; nullopt also for nodes that
  // are not known.
  std::optional<std::string> WhyUnable(const std::string& node, absl::string_view action,
                                       absl::string_view schema_digest) const;
  // Null if not known.
  const RosterEntry* Find(const std::string& node) const;
  // Nodes that match as far as is known, by name.
  std::vector<orch::v1::Node> List(const target::Target& target, bool with_facts,
                                   base::Now now) const;
  // What the clauses leave of the present nodes, by name, and what they come to on `node`, if it is
  // known.
  ExplainedTarget Explain(const target::Target& target, const std::string& node,
                          base::Now now) const;
  // The number of present nodes of a collective.
  size_t present(absl::string_view collective) const;

  struct Counts {
    uint64_t present = 0, stale = 0, gone = 0, facts_known = 0;
  };
  Counts counts() const;
  size_t size() const { return entries_.size(); }

  // Nodes that changed in a way a watcher sees since the last time; sorted.
  std::vector<std::string> TakeChanged();
  // Rows to write since the last time, at most `most`; an empty row means that the node is
  // forgotten.
  std::vector<std::pair<std::string, StoredNode>> TakeUnstored(size_t most);
  // A row from the store.
  void Restore(const std::string& node, const StoredNode& row, base::Now now);

 private:
  void Changed(const std::string& node);

  const absl::Duration stale_after_;
  bool settled_ = false;
  absl::Duration asked_at_ = absl::InfiniteDuration();  // steady
  absl::Duration newest_at_ = absl::ZeroDuration();     // the last that was new, or new again
  ParsedFactsBudget budget_;                            // outlives entries_
  std::map<std::string, std::unique_ptr<RosterEntry>> entries_;
  std::set<std::string> changed_;
  std::set<std::string> unstored_;
};

}  // namespace orch::controller
