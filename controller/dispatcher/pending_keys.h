// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "controller/context/dispatcher_api.h"

namespace orch::controller {

// Callers that wait for the first use of an idempotency key to be decided.
inline constexpr size_t kKeyWaitersMax = 1000;

// The same key and body is the same job; the body is everything that the caller said.
std::string BodyDigest(const orch::v1::JobSpec& spec);
// AlreadyExists IDEMPOTENCY_KEY_REUSED.
absl::Status KeyReused(const std::string& key);

// Idempotency keys whose first use is not decided yet: whoever comes with one meanwhile gets the
// same answer as the first, in the order of arrival, or is refused if the body is another one.
//
// Pure. Lives on: the dispatcher's strand.
class PendingKeys {
 public:
  using Done = DispatcherApi::Callback<CreatedJob>;

  // True: it is the first, and Answer is called once it is decided. False: `done` is answered with
  // the first, or was refused at once.
  bool IsFirst(const std::string& caller, const std::string& key, const std::string& body_digest,
               const Done& done);
  void Answer(const std::string& caller, const std::string& key,
              const absl::StatusOr<CreatedJob>& created);

 private:
  struct Pending {
    std::string body_digest;
    std::vector<Done> waiters;  // the first one included
  };
  absl::flat_hash_map<std::pair<std::string, std::string>, Pending> keys_;  // caller, key
};

}  // namespace orch::controller
