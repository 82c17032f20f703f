// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/strand.h"
#include "base/weak.h"
#include "bus/client/client.h"
#include "nodeagent/agent/agent.h"
#include "nodeagent/puppet/puppet_paths.h"
#include "nodeagent/status.pb.h"

namespace orch::nodeagent {

inline constexpr char kStatusFileName[] = "status.json";
inline constexpr size_t kStatusFileMax = 1 << 20;
inline constexpr absl::Duration kStatusFileInterval = absl::Seconds(1);

// The parts that a status is gathered from. All of them outlive whoever gathers.
struct StatusSources {
  const base::Clock* clock = nullptr;
  const Agent* agent = nullptr;
  const bus::Client* client = nullptr;
  const trust::Credentials* credentials = nullptr;
  const Actions* actions = nullptr;
  const Facts* facts = nullptr;
  PuppetPathsFinder* paths = nullptr;
  Self self;
  absl::Time start_time;
  std::string journal_reset;
  std::string journal_path;
};
AgentStatus GatherStatus(const StatusSources& sources);

// Writes `<run_dir>/status.json` when something changed, at most once a second. Not durable, only
// atomic: a boot empties run_dir anyway.
//
// Lives on: `strand`.
class StatusFile {
 public:
  StatusFile(base::Strand strand, std::string path, std::function<AgentStatus()> gather);
  void OnChange();
  // Removes the file, because the agent stops; nothing is written afterwards.
  void Remove();

 private:
  void Write();

  const std::string path_;
  const std::function<AgentStatus()> gather_;
  base::asio::steady_timer timer_;
  bool waiting_ = false;
  bool removed_ = false;
  base::Lifetime lifetime_;
};

// Reads the status. NotFound: there is no such file, so no agent runs.
absl::StatusOr<AgentStatus> ReadStatusFile(const std::string& path);

}  // namespace orch::nodeagent
