// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/plants.h"
#include "controller/job/job.h"
#include "orch/bus/v1/reply.pb.h"

namespace orch::controller {

// Result queries whose digest is remembered.
inline constexpr size_t kQueriesKept = 1000;
// A request that would be void so soon is not published any more.
inline constexpr absl::Duration kPublishMargin = absl::Seconds(5);
// After a request's expiry, when its last answers should have arrived.
inline constexpr absl::Duration kAfterExpiry = absl::Seconds(5);

// A signed request of a job, as it was stored before it was published.
struct SentRequest {
  std::string request_id;
  std::string digest;                           // SHA-256 of the payload
  std::shared_ptr<const std::string> envelope;  // null: can't be published again
  std::vector<std::string> nodes;               // to whom it goes, sorted; empty: whoever matches
  absl::Time expires;
  // Steady; infinitely long ago: by an earlier process.
  absl::Duration published = -absl::InfiniteDuration();
};

// The requests of one job that are out: to whom, until when, and so whose word counts. It decides
// whether a reply answers one of them, and what is done about nodes that owe an answer: a node that
// may not have heard gets the same bytes again while they are valid, one that has accepted, or
// whose request is void, is asked for its result.
//
// Pure: no bus, no clock. Lives on: the dispatcher's strand.
class SentRequests {
 public:
  explicit SentRequests(base::Plants plants = {}) : plants_(plants) {}
  // Of a mutating job it is watched: TakeExpired gives it once it is void.
  void Add(SentRequest request, bool watched);
  // Nodes that know nothing of a request answer with the digest of the query.
  void AddQuery(std::string digest);

  enum class Verdict { kOurs, kUnknownRequest, kWrongDigest, kWrongNode };
  // Whether the reply, whose signer is the node that it names, answers a request of this job that
  // was meant for that node.
  Verdict Judge(const orch::bus::v1::Reply& reply) const;
  // Since the request was handed to the bus by this process.
  std::optional<absl::Duration> Age(const std::string& request_id, absl::Duration steady) const;

  // What is owed on one request, and what is to be done about it.
  struct Owed {
    const SentRequest* request;
    std::vector<std::string> republish;
    std::vector<std::string> query;
  };
  // Of a mutating job; `only` (may be null) limits it to some nodes. Valid until the next change.
  std::vector<Owed> FindOwed(const Job& job, const absl::flat_hash_set<std::string>* only,
                             base::Now now) const;
  // A request that is void by now and whose nodes may still say that they accepted it. Each comes
  // once; its bytes are forgotten.
  std::optional<Owed> TakeExpired(const Job& job, base::Now now);
  // When TakeExpired has something to give; steady.
  std::optional<absl::Duration> NextDeadline(base::Now now) const;

  bool empty() const { return requests_.empty(); }
  const std::map<std::string, SentRequest>& all() const { return requests_; }

 private:
  Owed OwedOn(const SentRequest& request, const Job& job,
              const absl::flat_hash_set<std::string>* only, base::Now now) const;

  const base::Plants plants_;
  std::map<std::string, SentRequest> requests_;
  std::deque<std::pair<absl::Time, std::string>> expiring_;  // those that are watched, by expiry
  std::deque<std::string> query_digests_;
};

}  // namespace orch::controller
