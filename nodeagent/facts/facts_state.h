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

// The moving part of Facts: it looks at sources and merges on errands, runs programs as commands,
// and writes the cache; FactBoard decides what is to be done. A change of a file goes FactWatch →
// StartLook → OnLook → (programs → OnPrinted) → MergeIfChanged → OnMerged. Errands and commands
// hold the state weakly: what comes back after Facts has gone is dropped.
//
// Lives on: Facts' strand.
struct Facts::State : std::enable_shared_from_this<Facts::State> {
  // Programs that run at once. There are two, so that one that hangs does not hold up the others.
  static constexpr size_t kProgramsAtOnce = 2;
  static constexpr absl::Duration kSettleLook = absl::Milliseconds(500);
  // After Puppet could not say where its class file is, it is asked again this much later.
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
  bool classfile_known = false;  // Puppet has said where its classes are, or that it can't
  absl::Duration classfile_due = absl::InfiniteDuration();

  std::deque<Run> waiting;  // programs that are to be run, in order
  std::map<Run, std::shared_ptr<Command>> running;
  bool merging = false;
  bool writing = false;
  bool write_again = false;
  bool cache_failed = false;
  uint64_t errors_told = 0;

  // What others see: the facts of the last merge.
  bool known = false;
  bool complete = false;
  Merged now;
  std::vector<std::string> actions;
  FstatAside fstat;
};

}  // namespace orch::nodeagent
