// SPDX-License-Identifier: Apache-2.0
#include "trust/key_cache.h"

namespace orch::trust {

std::shared_ptr<const KnownChain> KeyCache::Find(absl::string_view key_id) {
  const absl::MutexLock lock(&mutex_);
  const auto found = index_.find(key_id);
  if (found == index_.end()) return nullptr;
  slots_.splice(slots_.begin(), slots_, found->second);
  return found->second->chain;
}

void KeyCache::Put(absl::string_view key_id, std::shared_ptr<const KnownChain> chain) {
  const absl::MutexLock lock(&mutex_);
  const auto found = index_.find(key_id);
  if (found == index_.end()) return Insert(key_id, std::move(chain));
  found->second->chain = std::move(chain);
  slots_.splice(slots_.begin(), slots_, found->second);
}

void KeyCache::PutNew(absl::string_view key_id, std::shared_ptr<const KnownChain> chain) {
  const absl::MutexLock lock(&mutex_);
  if (!index_.contains(key_id)) Insert(key_id, std::move(chain));
}

size_t KeyCache::size() const {
  const absl::MutexLock lock(&mutex_);
  return slots_.size();
}

void KeyCache::Insert(absl::string_view key_id, std::shared_ptr<const KnownChain> chain) {
  if (slots_.size() >= max_) {
    index_.erase(slots_.back().key_id);
    slots_.pop_back();
  }
  slots_.push_front({std::string(key_id), std::move(chain)});
  index_.emplace(slots_.front().key_id, slots_.begin());
}

}  // namespace orch::trust
