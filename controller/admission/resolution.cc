// SPDX-License-Identifier: Apache-2.0
#include "controller/admission/resolution.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "api/catalog.h"
#include "base/proto_time.h"

namespace orch::controller {
namespace {

// What the policy's conditions say of a node; unknown: the node decides, and names itself or stays
// unnamed.
class Sight {
 public:
  Sight(const policy::Decision& sees, const Roster& roster, base::Now now)
      : decider_(sees.conditions, sees.otherwise), roster_(roster), now_(now) {}
  policy::NodeDecision Decide(const std::string& node) const {
    const RosterEntry* entry = roster_.Find(node);
    if (entry != nullptr) return decider_.Decide(RosterView(*entry, now_));
    policy::NodeDecision unheard;
    unheard.unknown = true;
    return unheard;
  }

 private:
  const policy::NodeDecider decider_;
  const Roster& roster_;
  const base::Now now_;
};

// Leaves out of the sorted `names` those that are in the sorted `cut`.
void Cut(const std::vector<std::string>& cut, Resolution* whom) {
  std::vector<std::string> left;
  std::set_difference(whom->names.begin(), whom->names.end(), cut.begin(), cut.end(),
                      std::back_inserter(left));
  whom->names = std::move(left);
  whom->unheard = cut.size();
}

// Leaves at most kUnheardNamesMax of those that nobody ever heard of.
void CutUnheard(Resolution* whom) {
  std::vector<std::string>& unknown = whom->nodes.unknown;
  if (unknown.size() <= kUnheardNamesMax) return;
  const std::vector<std::string> cut(unknown.begin() + kUnheardNamesMax, unknown.end());
  unknown.resize(kUnheardNamesMax);
  Cut(cut, whom);
}

// Also cuts, but hidden nodes and those that do not exist alike.
void HideUnseen(const AdmittedJob& job, const Roster& roster, base::Now now, Resolution* whom) {
  const Sight sight(job.decision, roster, now);
  const Resolved nodes = std::exchange(whom->nodes, {});
  Resolved& seen = whom->nodes;
  seen.exact = nodes.exact;
  const auto sort_in = [&](const std::vector<std::string>& from, std::vector<std::string>* into) {
    for (const std::string& node : from) {
      const policy::NodeDecision on_node = sight.Decide(node);
      if (on_node.unknown) seen.maybe.push_back(node);
      if (!on_node.unknown && on_node.effect == policy::Effect::kAllow) into->push_back(node);
    }
  };
  for (const std::string& node : nodes.absent) {
    const policy::NodeDecision on_node = sight.Decide(node);
    if (!on_node.unknown && on_node.effect == policy::Effect::kAllow) seen.absent.push_back(node);
  }
  sort_in(nodes.expected, &seen.expected);
  sort_in(nodes.maybe, &seen.maybe);
  // Whoever is asked for by name and hidden is waited for like one that does not exist, whether or
  // not the target is true for it: else the time that it takes would tell of it.
  if (!seen.exact) return;
  const auto& identities = job.spec.target().identities();
  std::vector<std::string> asked = whom->names;
  if (asked.empty()) asked.assign(identities.begin(), identities.end());
  std::sort(asked.begin(), asked.end());
  size_t unseen = 0;
  std::vector<std::string> cut;
  for (const std::string& node : asked) {
    const policy::NodeDecision on_node = sight.Decide(node);
    if (!on_node.unknown && on_node.effect == policy::Effect::kAllow) continue;
    const bool heard = on_node.unknown && roster.Find(node) != nullptr;
    (heard || ++unseen <= kUnheardNamesMax ? seen.maybe : cut).push_back(node);
  }
  Cut(cut, whom);
}

std::vector<std::string> NamesOf(const AdmittedJob& job) {
  std::vector<std::string> names(job.spec.nodes().begin(), job.spec.nodes().end());
  if (job.names.has_value()) names = *job.names;
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

}  // namespace

Resolution Resolve(const AdmittedJob& job, const target::Target& target, Roster* roster,
                   base::Now now) {
  Resolution whom;
  whom.names = NamesOf(job);
  if (job.names.has_value() || !whom.names.empty()) whom.audience = Audience::kNamed;
  if (whom.audience == Audience::kNamed && whom.names.empty()) whom.audience = Audience::kNobody;
  if (whom.audience != Audience::kNobody) {
    whom.nodes = roster->Resolve(target, job.spec.target(), whom.names, now);
    if (job.listing && !job.decision.conditions.empty()) {
      HideUnseen(job, *roster, now, &whom);
    } else {
      CutUnheard(&whom);
    }
  }
  if (job.spec.require_all()) {
    // Waited for like those that are there.
    std::vector<std::string>& expected = whom.nodes.expected;
    expected.insert(expected.end(), whom.nodes.absent.begin(), whom.nodes.absent.end());
    std::sort(expected.begin(), expected.end());
    whom.nodes.absent.clear();
  }
  whom.roster_known = whom.nodes.exact || roster->Settled(now);
  return whom;
}

bool IsLimited(const AdmittedJob& job) {
  return job.spec.rollout().has_limit() || job.decision.max_nodes != 0 ||
         job.decision.max_percent != 0;
}

bool NeedsDiscovery(const AdmittedJob& job, bool mutating, const Resolution& whom) {
  if (mutating) return true;
  // A limit counts those that are there, which the roster can't always tell.
  return IsLimited(job) && whom.audience != Audience::kNobody &&
         (!whom.roster_known || !whom.nodes.maybe.empty());
}

void SplitUnable(const Roster& roster, const orch::v1::Action& action,
                 std::vector<std::string>* nodes, std::vector<JobNodeStart>* ended) {
  const std::string name = api::NameOf(action);
  std::vector<std::string> able;
  for (std::string& node : *nodes) {
    const auto why = roster.WhyUnable(node, name, action.external().schema_digest());
    if (!why.has_value()) {
      able.push_back(std::move(node));
      continue;
    }
    JobNodeStart& start = ended->emplace_back();
    start.node = std::move(node);
    start.state = orch::v1::NODE_STATE_REFUSED;
    start.reason = "unsupported";
    start.message = *why;
  }
  *nodes = std::move(able);
}

void SplitDenied(const Roster& roster, const policy::Decision& decision, base::Now now,
                 std::vector<std::string>* nodes, std::vector<JobNodeStart>* ended) {
  const Sight sight(decision, roster, now);
  std::vector<std::string> allowed;
  for (std::string& node : *nodes) {
    const policy::NodeDecision on_node = sight.Decide(node);
    if (on_node.effect == policy::Effect::kAllow || on_node.unknown) {
      allowed.push_back(std::move(node));
      continue;
    }
    JobNodeStart& denied = ended->emplace_back();
    denied.node = std::move(node);
    denied.state = orch::v1::NODE_STATE_DENIED;
    denied.reason = "policy";
    denied.message = on_node.rule;
  }
  *nodes = std::move(allowed);
}

google::protobuf::RepeatedPtrField<orch::v1::NotAskedNode> NotAsked(
    const Roster& roster, const std::vector<std::string>& absent) {
  google::protobuf::RepeatedPtrField<orch::v1::NotAskedNode> told;
  for (const std::string& name : absent) {
    if (told.size() == static_cast<int>(kNotAskedMax)) break;
    orch::v1::NotAskedNode* node = told.Add();
    node->set_node(name);
    const RosterEntry* entry = roster.Find(name);
    if (entry == nullptr) continue;  // forgotten meanwhile
    node->set_reason(entry->state == orch::v1::ROSTER_STATE_GONE ? "gone" : "stale");
    *node->mutable_last_seen() = ToTimestamp(entry->last_seen);
  }
  return told;
}

JobNodeStart SilentNode(const Roster& roster, const std::string& node, const std::string& message) {
  JobNodeStart start;
  start.node = node;
  start.state = orch::v1::NODE_STATE_NO_RESPONSE;
  start.reason = "silent";
  start.message = message;
  const RosterEntry* entry = roster.Find(node);
  if (entry == nullptr) return start;
  start.last_seen = entry->last_seen;
  if (entry->state == orch::v1::ROSTER_STATE_GONE) {
    start.message = "did not answer, its agent was stopped; nothing was sent";
  }
  return start;
}

}  // namespace orch::controller
