// SPDX-License-Identifier: Apache-2.0
#include "controller/service/call_shares.h"

#include <utility>

namespace orch::controller {

bool CallShares::Begin(Caller caller, std::function<void()> start) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    Share& share = shares_[caller];
    if (share.running >= limits_.at_once) {
      if (share.waiting.size() >= limits_.waiting) return false;
      share.waiting.push_back(std::move(start));
      return true;
    }
    ++share.running;
  }
  start();
  return true;
}

void CallShares::End(Caller caller) {
  std::function<void()> next;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = shares_.find(caller);
    if (found == shares_.end()) return;
    Share& share = found->second;
    if (share.waiting.empty()) {
      if (--share.running == 0) shares_.erase(found);
      return;
    }
    next = std::move(share.waiting.front());
    share.waiting.pop_front();
  }
  next();
}

}  // namespace orch::controller
