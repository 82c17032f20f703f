// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "trust/openssl.h"
#include "trust/verifier.h"

namespace orch::trust {

// The most chains that are remembered: those of two fleets of 10,000 nodes.
inline constexpr size_t kKnownChainsMax = 20'000;

// A certificate chain and, once it was verified, the judgement and its parsed key, so that a
// further envelope of the same signer costs the check of one signature and no parsing. A new
// revocation list voids the judgement but not the chain, so that nobody has to send it again.
struct KnownChain {
  std::vector<std::string> der;  // the leaf first
  uint64_t generation = 0;  // the verifier that judged it (Verifier::generation); 0: none has yet
  Verifier::Verified verified;
  std::shared_ptr<EVP_PKEY> key;

  bool Holds(uint64_t current, absl::Time now) const {
    return generation == current && now >= verified.from && now <= verified.until;
  }
};

// The `max` chains that were used last, by key id. Thread-safe by a mutex, which is held for a
// look-up and never for cryptography.
class KeyCache {
 public:
  explicit KeyCache(size_t max = kKnownChainsMax) : max_(max) {}

  std::shared_ptr<const KnownChain> Find(absl::string_view key_id);
  void Put(absl::string_view key_id, std::shared_ptr<const KnownChain> chain);
  // Puts a chain in only if there is none of that key id.
  void PutNew(absl::string_view key_id, std::shared_ptr<const KnownChain> chain);
  size_t size() const;

 private:
  struct Slot {
    std::string key_id;
    std::shared_ptr<const KnownChain> chain;
  };

  void Insert(absl::string_view key_id, std::shared_ptr<const KnownChain> chain)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t max_;
  mutable absl::Mutex mutex_;
  std::list<Slot> slots_ ABSL_GUARDED_BY(mutex_);  // the one used last first
  // Keys point into slots_.
  absl::flat_hash_map<absl::string_view, std::list<Slot>::iterator> index_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace orch::trust
