// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "controller/job/job_values.h"

namespace orch::controller {

// How long a read-only job waits for answers. While answers keep coming a default timeout is
// stretched, up to kAnswerStretchMax times; where nobody is expected, or it is not known who is,
// the only sign of the end is silence for kQuietWindow. Times are the steady clock's.
//
// Pure. Of a mutating job it waits for nothing.
class AnswerWait {
 public:
  // Until the question is on its way; also ends a job whose question never gets there.
  void Begin(const JobSetup& setup, bool nobody_expected, absl::Duration now) {
    if (setup.mutating) return;
    until_quiet_ = !setup.nobody && (!setup.roster_known || nobody_expected);
    deadline_ = now + kClockSkewMax + setup.answer_timeout;
  }
  void OnAsked(const JobSetup& setup, absl::Duration now) {
    deadline_ = now + setup.answer_timeout;
    if (!setup.strict_timeout) stretch_max_ = now + kAnswerStretchMax * setup.answer_timeout;
    if (until_quiet_ && setup.roster_known) quiet_deadline_ = now + kQuietWindow;
  }
  // Somebody spoke; `open` nodes have not answered yet.
  void OnSpoke(uint32_t open, absl::Duration now) {
    if (deadline_ == absl::InfiniteDuration()) return;
    deadline_ = std::max(deadline_, std::min(now + kQuietWindow, stretch_max_));
    if (!until_quiet_) return;
    quiet_deadline_ = open == 0 ? now + kQuietWindow : absl::InfiniteDuration();
  }
  // Nodes that the roster can't tell about: waited for, but no targets unless they answer.
  void ExpectMaybe(std::string node) { maybe_.insert(std::move(node)); }
  void OnAnswered(const std::string& node) { maybe_.erase(node); }
  size_t silent_maybes() const { return maybe_.size(); }
  // Nobody is waited for any more.
  void End() {
    maybe_.clear();
    until_quiet_ = false;
  }
  // Whether it must go on though every known node has answered.
  bool waiting() const { return !maybe_.empty() || until_quiet_; }
  absl::Duration NextDeadline() const { return std::min(deadline_, quiet_deadline_); }

 private:
  absl::flat_hash_set<std::string> maybe_;
  bool until_quiet_ = false;
  absl::Duration deadline_ = absl::InfiniteDuration();
  absl::Duration quiet_deadline_ = absl::InfiniteDuration();
  absl::Duration stretch_max_ = absl::ZeroDuration();  // deadline_ goes no further
};

}  // namespace orch::controller
