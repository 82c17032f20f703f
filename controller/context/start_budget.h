// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "controller/job/job_values.h"

namespace orch::controller {

// A node that a job is about to start.
struct NodeStart {
  std::string job_id;
  std::string action;  // `puppet.run`
  std::string node;
};

// What may be under way at once over all jobs, beside what each job's rollout allows: the place for
// a budget of catalogs that are compiled at once, or for a concurrency that adapts itself.
//
// Whoever starts nodes asks before each, and tells of the end of each that was taken or adopted,
// exactly once, with how long it took. A job that was refused asks again when it is woken, or when
// something else happens to it.
//
// Lives on: the dispatcher's strand; `wake` may be called from within OnEnded, never from TryTake.
class StartBudget {
 public:
  virtual ~StartBudget() = default;
  // True: it is counted from here on.
  virtual bool TryTake(const NodeStart& start) = 0;
  // It was started by an earlier process and has not ended: counted whether there is room or not.
  virtual void Adopt(const NodeStart& start) = 0;
  virtual void OnEnded(const NodeStart& start, const StartedNodeEnd& end) = 0;
  // Whom to call when there may be room again.
  void SetWake(std::function<void()> wake) { wake_ = std::move(wake); }

 protected:
  void Wake() const {
    if (wake_ != nullptr) wake_();
  }

 private:
  std::function<void()> wake_;
};

// Refuses nothing: each job's rollout is the only limit.
class UnlimitedStarts : public StartBudget {
 public:
  bool TryTake(const NodeStart&) override { return true; }
  void Adopt(const NodeStart&) override {}
  void OnEnded(const NodeStart&, const StartedNodeEnd&) override {}
};

}  // namespace orch::controller
