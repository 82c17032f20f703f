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

// The most nodes of the roster; presences of further nodes are ignored.
inline constexpr size_t kRosterNodesMax = 100'000;
// A node that was silent for this long is forgotten.
inline constexpr absl::Duration kForgetAfter = absl::Hours(24 * 30);
// After the start every node is asked for its presence. Unless the store has brought back nodes
// that were present a moment ago, the roster counts as settled only kSettleMin after that, if no
// node has newly appeared for kSettleQuiet, and kSettleMax after it in any case.
inline constexpr absl::Duration kSettleMin = absl::Seconds(2);
inline constexpr absl::Duration kSettleQuiet = absl::Milliseconds(300);
inline constexpr absl::Duration kSettleMax = absl::Seconds(30);

// The nodes that a target and a list of names mean, as far as the roster can tell. Each list is
// sorted, and no node is in two of them.
struct Resolved {
  std::vector<std::string> expected = {};  // nodes that match, and are present or named
  std::vector<std::string> maybe =
      {};  // nodes of which only they themselves can tell whether they match
  std::vector<std::string> unknown = {};  // names that were never heard of
  std::vector<std::string> absent = {};   // that match, but are not present and not named
  bool exact = false;                     // no other node can be meant, because nodes were named
  size_t size() const { return expected.size() + maybe.size() + unknown.size(); }
};

// What the nodes of the fleet said of themselves in signed presences. It is a cache of the network
// and never the authority: what a node does is decided on the node.
//
// Pure: no bus, no store, no clock. Lives on: the dispatcher's strand.
class Roster {
 public:
  explicit Roster(absl::Duration stale_after) : stale_after_(stale_after) {}

  // What a presence has changed.
  struct Heard {
    bool fresh = false;          // it is newer than what was known and was taken over
    bool wants_details = false;  // the node's facts or actions of now are not known here
    bool back = false;           // the node was not present before, or has restarted since
  };
  // Takes a verified presence, whose signer's CN is `presence.node()`. `certificate_end` and
  // `chain` (DER, may be empty) are the signer's. A presence that is not newer than the last one,
  // such as a replayed one, changes nothing.
  Heard OnPresence(const orch::bus::v1::Presence& presence, absl::Time certificate_end,
                   std::vector<std::string> chain, base::Now now);
  // Takes a verified reply of the node for a sign of life.
  void OnHeard(const std::string& node, base::Now now);
  // To be called when all nodes are asked for their presence; the first call begins the time until
  // the roster is settled.
  void OnAsked(base::Now now);
  // Whether the roster is settled (see kSettleMin). Once true it stays true.
  bool Settled(base::Now now);
  // Makes nodes stale that have been silent for `stale_after`, and forgets those that have been for
  // kForgetAfter.
  void OnTime(base::Now now);

  // Which nodes of the target's collective are meant. Without names all present nodes are
  // considered. With names, or a target that consists of exact identities, these are considered and
  // no others, whether they are present or not.
  Resolved Resolve(const target::Target& target, const orch::v1::Target& proto,
                   const std::vector<std::string>& names, base::Now now) const;
  // Why the node can't do this action, by what it announced. Nullopt: it can, or nothing is known
  // of it. An empty `schema_digest` accepts any version of the action.
  std::optional<std::string> WhyUnable(const std::string& node, absl::string_view action,
                                       absl::string_view schema_digest) const;
  // What is known of the node; null: nothing.
  const RosterEntry* Find(const std::string& node) const;
  // The nodes of the target's collective that match or may match, present or not, by name.
  std::vector<orch::v1::Node> List(const target::Target& target, bool with_facts,
                                   base::Now now) const;
  // How the clauses narrow down the present nodes, and what each clause comes to on `node`, if that
  // is known.
  ExplainedTarget Explain(const target::Target& target, const std::string& node,
                          base::Now now) const;
  // The number of present nodes of a collective.
  size_t present(absl::string_view collective) const;

  struct Counts {
    uint64_t present = 0, stale = 0, gone = 0, facts_known = 0;
  };
  Counts counts() const;
  size_t size() const { return entries_.size(); }

  // The nodes that have changed for a watcher since the last call, sorted.
  std::vector<std::string> TakeChanged();
  // At most `most` of the rows that have changed since they were taken last, for the store. An
  // empty row: the node was forgotten.
  std::vector<std::pair<std::string, StoredNode>> TakeUnstored(size_t most);
  // Takes a row from the store, at the start.
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
