// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "controller/context/dispatcher_api.h"
#include "test/sim/controller.h"
#include "test/sim/ledger.h"
#include "test/sim/world.h"

namespace orch::sim {

// Somebody who wants one job done: creates it, again with the same idempotency key as long as there
// is no answer, watches its log, joins again where it was lost, may cancel it; and when it has
// ended reads everything once more.
class Operator {
 public:
  Operator(World* world, Ledger* ledger, Controller* controller, std::string name,
           controller::AdmittedJob wanted);

  void Start(absl::Duration wait);
  // Asked for once the job is there.
  void CancelAfter(absl::Duration wait);
  // It has seen the end, or learned that there is to be no job.
  bool done() const { return done_; }
  // Reads the whole log and all rows.
  void Reread();
  bool reread() const { return reread_; }
  // Null: there was no job.
  const orch::v1::Job* job() const { return job_.has_value() ? &*job_ : nullptr; }
  const std::vector<orch::v1::JobEvent>& log() const { return log_; }
  const std::vector<orch::v1::JobNode>& nodes() const { return nodes_; }

 private:
  void Create();
  void OnCreated(absl::StatusOr<controller::CreatedJob> created);
  void Cancel();
  void Read();
  void OnRead(absl::StatusOr<controller::JobLogPart> part);
  // Looks at the job as it is.
  void Count();
  void ReadAll(uint64_t after);
  void ReadRows(std::string token);
  // Tries again unless `number` of calls has moved on.
  void Again(uint64_t number, absl::Duration wait, void (Operator::*what)());
  static controller::JobVisibility Who() { return {.caller = "cert=operator", .everybody = false}; }
  // The answer counts only if it is to the newest call.
  template <typename T, typename Then>
  std::function<void(absl::StatusOr<T>)> Answer(Then then) {
    return [this, number = call_, then](absl::StatusOr<T> answer) {
      if (number == call_) (this->*then)(std::move(answer));
    };
  }

  World* const world_;
  Ledger* const ledger_;
  Controller* const controller_;
  const std::string name_;
  const controller::AdmittedJob wanted_;
  uint64_t call_ = 0;  // the number of the newest
  std::string id_;
  uint64_t seen_ = 0;  // sequence
  int refusals_ = 0;
  bool done_ = false;
  bool rereading_ = false;
  bool reread_ = false;
  std::optional<orch::v1::Job> job_;
  std::vector<orch::v1::JobEvent> log_;
  std::vector<orch::v1::JobNode> nodes_;
};

}  // namespace orch::sim
