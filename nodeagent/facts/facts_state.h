// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "nodeagent/facts/errands.h"
#include "nodeagent/facts/fact_board.h"
#include "nodeagent/facts/fact_watch.h"
#include "nodeagent/facts/facts.h"
#include "nodeagent/facts/node_calls.h"
#include "nodeagent/process/command.h"

namespace orch::nodeagent {

// How Facts works: looks at sources on errands, runs their programs, merges on an errand; FactBoard
// decides. A change of a file goes FactWatch → Look → OnLook → MergeIfChanged → OnMerged.
//
// Lives on: Facts' strand.
struct Facts::State : std::enable_shared_from_this<Facts::State> {
  // Programs that run at once: one that hangs does not hold up the next.
  static constexpr size_t kProgramsAtOnce = 2;
  static constexpr absl::Duration kSettleLook = absl::Milliseconds(500);
  // Where Puppet's classes are is asked again so long after that failed.
  static constexpr absl::Duration kClassfileRetry = absl::Seconds(30);
  static constexpr size_t kCacheMax = 16 << 20;

  explicit State(FactsParts p);

  void ReadCache();
  void AskForClassfile();
  void LookAtAll(LookReason reason);
  void StartLook(size_t source, LookReason reason);
  void OnLook(size_t source, Look look, LookReason reason);
  void LookAgainSoon(size_t source);

  void Enqueue(size_t source, const std::string& name);
  void RunNext();
  void OnPrinted(size_t source, const std::string& name, absl::StatusOr<std::string> output);

  void MergeIfChanged();
  void OnMerged(const MergeOrder& order, Merged merged);
  void WriteCache();
  void Notify();
  void Arm();
  void OnTimer();

  using Run = std::pair<size_t, std::string>;  // source and name

  FactsParts parts;
  FactBoard board;
  Errands errands;
  FactWatch watch;
  base::asio::steady_timer timer;
  std::function<void()> on_change;

  struct Looking {
    bool under_way = false;
    bool late = false;
    bool again = false;
    LookReason again_reason = LookReason::kChange;
    absl::Status watch_error;
  };
  std::vector<Looking> looking;  // by source
  bool classfile_known = false;  // or asked for in vain
  absl::Duration classfile_due = absl::InfiniteDuration();

  std::deque<Run> waiting;  // to be run
  std::map<Run, std::shared_ptr<Command>> running;
  bool merging = false;
  bool writing = false;
  bool write_again = false;
  bool cache_failed = false;
  uint64_t errors_told = 0;

  // What is known.
  bool known = false;
  bool complete = false;
  Merged now;
  std::vector<std::string> actions;
  FstatAside fstat;
};

}  // namespace orch::nodeagent
