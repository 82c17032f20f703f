// SPDX-License-Identifier: Apache-2.0
#include "controller/edge/edge_callers.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/ids.h"

namespace orch::controller {

std::shared_ptr<EdgeParty> EdgeCallers::Join(const std::string& key, size_t most) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (parties_.size() >= kPartiesMax && !parties_.contains(key)) {
    absl::erase_if(parties_, [](const auto& entry) { return entry.second->connections == 0; });
  }
  std::shared_ptr<EdgeParty>& party = parties_[key];
  if (party == nullptr) party = std::make_shared<EdgeParty>();
  if (party->connections >= most) return nullptr;
  ++party->connections;
  return party;
}

void EdgeCallers::Leave(const std::shared_ptr<EdgeParty>& party) {
  const std::lock_guard<std::mutex> lock(mutex_);
  --party->connections;
}

std::string EdgeCallers::NewName() {
  return absl::StrCat("orch/", base::Hex(base::RandomBytes16()));
}

void EdgeCallers::Add(const std::string& name, EdgeCaller caller) {
  const std::lock_guard<std::mutex> lock(mutex_);
  callers_.emplace(name, std::move(caller));
}

void EdgeCallers::Remove(const std::string& name) {
  const std::lock_guard<std::mutex> lock(mutex_);
  callers_.erase(name);
}

std::optional<EdgeCaller> EdgeCallers::Find(absl::string_view grpc_peer) const {
  if (!absl::ConsumePrefix(&grpc_peer, "unix-abstract:")) return std::nullopt;
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = callers_.find(grpc_peer);
  if (found == callers_.end()) return std::nullopt;
  return found->second;
}

}  // namespace orch::controller
