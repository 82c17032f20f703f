// SPDX-License-Identifier: Apache-2.0
#include "controller/run/sent_requests.h"

#include <algorithm>

#include "controller/job/states.h"

namespace orch::controller {

void SentRequests::Add(SentRequest request, bool watched) {
  if (watched) {
    const std::pair<absl::Time, std::string> entry(request.expires, request.request_id);
    expiring_.insert(std::upper_bound(expiring_.begin(), expiring_.end(), entry), entry);
  }
  std::sort(request.nodes.begin(), request.nodes.end());
  std::string id = request.request_id;
  requests_.insert_or_assign(std::move(id), std::move(request));
}

void SentRequests::AddQuery(std::string digest) {
  query_digests_.push_back(std::move(digest));
  if (query_digests_.size() > kQueriesKept) query_digests_.pop_front();
}

SentRequests::Verdict SentRequests::Judge(const orch::bus::v1::Reply& reply) const {
  auto it = requests_.find(reply.request_id());
  if (it == requests_.end()) return Verdict::kUnknownRequest;
  const SentRequest& sent = it->second;
  // A node that knows nothing of a request can't tell its digest: it answers with the query's.
  const bool query =
      reply.has_unknown_request() && std::find(query_digests_.begin(), query_digests_.end(),
                                               reply.request_digest()) != query_digests_.end();
  if (sent.digest != reply.request_digest() && !query && !plants_.digest_not_compared) {
    return Verdict::kWrongDigest;
  }
  const bool meant =
      sent.nodes.empty() || std::binary_search(sent.nodes.begin(), sent.nodes.end(), reply.node());
  return meant ? Verdict::kOurs : Verdict::kWrongNode;
}

std::optional<absl::Duration> SentRequests::Age(const std::string& request_id,
                                                absl::Duration steady) const {
  auto it = requests_.find(request_id);
  if (it == requests_.end() || it->second.published == -absl::InfiniteDuration()) {
    return std::nullopt;
  }
  return steady - it->second.published;
}

SentRequests::Owed SentRequests::OwedOn(const SentRequest& request, const Job& job,
                                        const absl::flat_hash_set<std::string>* only,
                                        base::Now now) const {
  Owed owed{&request, {}, {}};
  // A job that is to stop starts nobody: the node hears of the cancel, and is asked what it did.
  const bool stopping = job.state() == orch::v1::JOB_STATE_STOPPING;
  const bool valid = request.expires > now.wall;
  for (const std::string& node : request.nodes) {
    if (only != nullptr && !only->contains(node)) continue;
    const auto state = job.nodes().StateOf(node);
    if (!state.has_value() || IsTerminal(*state)) continue;
    if (IsUnderWay(*state) || stopping || !valid) {
      owed.query.push_back(node);
    } else if (request.envelope != nullptr) {
      owed.republish.push_back(node);  // the node's journal knows it if it had it
    }
  }
  return owed;
}

std::vector<SentRequests::Owed> SentRequests::FindOwed(const Job& job,
                                                       const absl::flat_hash_set<std::string>* only,
                                                       base::Now now) const {
  std::vector<Owed> all;
  for (const auto& [id, request] : requests_) {
    Owed owed = OwedOn(request, job, only, now);
    if (!owed.republish.empty() || !owed.query.empty()) all.push_back(std::move(owed));
  }
  return all;
}

std::optional<SentRequests::Owed> SentRequests::TakeExpired(const Job& job, base::Now now) {
  if (expiring_.empty() || now.wall < expiring_.front().first + kAfterExpiry) return std::nullopt;
  SentRequest& request = requests_[expiring_.front().second];
  expiring_.pop_front();
  request.envelope.reset();
  return OwedOn(request, job, nullptr, now);
}

std::optional<absl::Duration> SentRequests::NextDeadline(base::Now now) const {
  if (expiring_.empty()) return std::nullopt;
  return now.steady + (expiring_.front().first + kAfterExpiry - now.wall);
}

}  // namespace orch::controller
