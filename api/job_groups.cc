// SPDX-License-Identifier: Apache-2.0
#include "api/job_groups.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "api/change.h"

namespace orch::api {
namespace {

using orch::v1::JobGroup;
using orch::v1::JobNode;
using orch::v1::PuppetRunResult;

// The place of a state, then of a verdict, in a summary.
int RankOf(const JobGroup& group) {
  switch (group.state()) {
    case orch::v1::NODE_STATE_FAILED:
      return 0;
    case orch::v1::NODE_STATE_TIMED_OUT:
    case orch::v1::NODE_STATE_LOST:
      return 1;
    case orch::v1::NODE_STATE_NO_RESPONSE:
      return 2;
    case orch::v1::NODE_STATE_REFUSED:
    case orch::v1::NODE_STATE_DENIED:
      return 3;
    case orch::v1::NODE_STATE_CANCELLED:
      return 4;
    case orch::v1::NODE_STATE_SUCCEEDED:
      break;
    default:
      return 8;
  }
  switch (group.verdict()) {
    case orch::v1::PUPPET_RUN_VERDICT_CHANGED:
      return 5;
    case orch::v1::PUPPET_RUN_VERDICT_NOOP_PENDING:
      return 6;
    default:
      return 7;
  }
}

bool HasDiffs(const PuppetRunResult& run) {
  return std::any_of(run.changes().begin(), run.changes().end(),
                     [](const orch::v1::ResourceChange& change) { return !change.diff().empty(); });
}

// What tells the node's group from others of the same state, verdict and reason.
std::string DistinctionOf(const JobNode& node) {
  const PuppetRunResult& run = node.result().puppet_run();
  if (node.state() == orch::v1::NODE_STATE_SUCCEEDED) {
    return HasDiffs(run) ? run.change_set().values_digest() : run.change_set().digest();
  }
  if (run.errors().empty()) return CauseShape(node.message(), node.node());
  const orch::v1::PuppetRunError& error = run.errors(0);
  return CauseShape(absl::StrCat(error.message(), " ", error.resource(), " ", error.file(), ":"),
                    node.node());
}

// All but the names, from the first of the group.
JobGroup GroupOf(const JobNode& node, bool details) {
  JobGroup group;
  group.set_state(node.state());
  const PuppetRunResult& run = node.result().puppet_run();
  group.set_verdict(run.verdict());
  group.set_reason(node.reason());
  if (!details) return group;
  if (node.state() != orch::v1::NODE_STATE_SUCCEEDED) {
    if (run.errors().empty()) {
      group.set_cause(node.message());
    } else {
      group.set_cause(run.errors(0).message());
      group.set_file(run.errors(0).file());
      group.set_line(run.errors(0).line());
      group.set_resource(run.errors(0).resource());
    }
  }
  if (run.change_set().size() > 0 || run.change_set().refreshes() > 0) {
    *group.mutable_change_set() = run.change_set();
  }
  if (node.state() != orch::v1::NODE_STATE_SUCCEEDED) return group;
  uint32_t told = 0;
  for (const orch::v1::ResourceChange& change : run.changes()) {
    if (IsRefresh(change)) continue;
    if (change.status() == orch::v1::RESOURCE_CHANGE_STATUS_SKIPPED) continue;
    if (group.changes_size() < kGroupChangesMax) *group.add_changes() = change;
    ++told;
  }
  const uint32_t all = std::max(told, run.change_set().size());
  group.set_changes_omitted(all - static_cast<uint32_t>(group.changes_size()));
  return group;
}

bool IsOfAName(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
}

// `text` with `<node>` for the node's name, where that is a word of its own.
std::string WithoutName(absl::string_view text, absl::string_view node) {
  std::string out;
  for (size_t at = 0;;) {
    const size_t found = node.empty() ? absl::string_view::npos : text.find(node, at);
    if (found == absl::string_view::npos) return absl::StrCat(out, text.substr(at));
    const size_t end = found + node.size();
    const bool whole = (found == 0 || !IsOfAName(text[found - 1])) &&
                       (end == text.size() || !IsOfAName(text[end]));
    absl::StrAppend(&out, text.substr(at, found - at), whole ? absl::string_view("<node>") : node);
    at = end;
  }
}

}  // namespace

std::string CauseShape(absl::string_view text, absl::string_view node) {
  const std::string named = WithoutName(text, node);
  std::string shape;
  for (size_t i = 0; i < named.size();) {
    size_t end = i;
    bool digit = false, hex = true;
    while (end < named.size() && absl::ascii_isalnum(static_cast<unsigned char>(named[end]))) {
      digit = digit || absl::ascii_isdigit(static_cast<unsigned char>(named[end]));
      hex = hex && absl::ascii_isxdigit(static_cast<unsigned char>(named[end]));
      ++end;
    }
    if (end == i) {
      shape += named[i++];
      continue;
    }
    if (hex && digit && end - i >= 8) {
      shape += '#';
    } else {
      for (; i < end; ++i) {
        const bool is_digit = absl::ascii_isdigit(static_cast<unsigned char>(named[i]));
        if (!is_digit) shape += named[i];
        if (is_digit && (shape.empty() || shape.back() != '#')) shape += '#';
      }
    }
    i = end;
  }
  return shape;
}

void JobGroups::Add(const JobNode& node) {
  const int state = node.state();
  const int verdict = node.result().puppet_run().verdict();
  Key key{state, verdict, node.reason(), DistinctionOf(node)};
  auto it = groups_.find(key);
  if (it == groups_.end()) {
    const bool details = groups_.size() < kJobGroupsMax;
    if (!details) std::get<3>(key).assign(1, '\xff');  // in no text
    const auto [added, is_new] = groups_.try_emplace(std::move(key));
    it = added;
    if (is_new) {
      it->second = GroupOf(node, details);
      bytes_ += it->second.ByteSizeLong();
      while (bytes_ > kGroupsBytesMax && it->second.changes_size() > 0) {
        bytes_ -= it->second.changes().rbegin()->ByteSizeLong();
        it->second.mutable_changes()->RemoveLast();
        it->second.set_changes_omitted(it->second.changes_omitted() + 1);
      }
    }
  }
  JobGroup& group = it->second;
  group.set_count(group.count() + 1);
  bytes_ += node.node().size() + 2;
  if (bytes_ <= kGroupsBytesMax) group.add_nodes(node.node());
}

std::vector<JobGroup> JobGroups::Take() {
  std::vector<JobGroup> groups;
  groups.reserve(groups_.size());
  for (auto& [key, group] : groups_) {
    std::sort(group.mutable_nodes()->begin(), group.mutable_nodes()->end());
    groups.push_back(std::move(group));
  }
  std::stable_sort(groups.begin(), groups.end(), [](const JobGroup& a, const JobGroup& b) {
    const int rank_a = RankOf(a), rank_b = RankOf(b);
    if (rank_a != rank_b) return rank_a < rank_b;
    if (a.count() != b.count()) return a.count() > b.count();
    return std::lexicographical_compare(a.nodes().begin(), a.nodes().end(), b.nodes().begin(),
                                        b.nodes().end());
  });
  groups_.clear();
  bytes_ = 0;
  return groups;
}

}  // namespace orch::api
