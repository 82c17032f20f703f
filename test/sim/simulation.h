// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/plants.h"
#include "trust/config.pb.h"

namespace orch::sim {

inline constexpr int kNodes = 20;

// Who takes part, and their certificates: made once for all seeds.
struct Fleet {
  std::string directory;
  trust::TrustConfig controller;  // c1
  trust::TrustConfig stranger;    // c2: a controller of the fleet that means no good
  std::map<std::string, trust::TrustConfig> nodes;
};
Fleet MakeFleet(const std::string& directory);

struct Verdict {
  std::string violation;  // empty: every rule held
  std::vector<std::string> story;
  size_t starts = 0;
  std::map<std::string, int> outcomes;
};

// One seed: a controller, a bus and kNodes nodes, jobs and misfortunes, from the beginning to some
// minutes after the end. The disks are in a directory of its own below the fleet's.
Verdict Simulate(const Fleet& fleet, uint64_t seed, base::Plants plants);

}  // namespace orch::sim
