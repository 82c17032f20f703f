// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/strand.h"
#include "base/timer.h"
#include "base/traceparent.h"
#include "controller/admission/discovery.h"
#include "controller/context/dispatcher_api.h"
#include "controller/context/dispatcher_context.h"
#include "controller/job/freeze.h"
#include "controller/mail/inbox.h"
#include "controller/mail/outbox.h"
#include "controller/run/job_run.h"
#include "target/target.h"

namespace orch::controller {

// The way of a job from "the gate let it through" to "it is stored": resolve, for a mutating action
// discover, freeze, audit, store. Each step ends in the next or in Refuse.
//
// Lives on: the dispatcher's strand. Owned by the dispatcher until it has answered.
class Admission : public std::enable_shared_from_this<Admission> {
 public:
  struct Outcome {
    CreatedJob created;
    std::shared_ptr<JobRun> run;  // stored, not started; null with validate_only
  };
  using Done = std::function<void(absl::StatusOr<Outcome>)>;

  // `on_over` is the run's.
  Admission(DispatcherContext* context, AdmittedJob admitted, std::string body_digest,
            std::function<void(JobRun*)> on_over, Done done);
  void Start();
  // A verified reply with the job's id before there is a job.
  void OnReply(const OpenedReply& opened, base::Now now);
  // The node is (again) there: where it missed the discovery it gets it now.
  void OnNodeBack(const std::string& node);
  void Stop();
  const std::string& id() const { return id_; }
  const std::string& caller() const { return admitted_.caller; }

 private:
  absl::Status Prepare();
  // Of a listing: leaves nobody in `resolved_` who would be named though the caller may not see it.
  void HideUnseen(base::Now now);
  void Preview();
  void Discover();
  void OnDiscoverSigned(absl::StatusOr<SignedRequest> ready);
  void OnDiscoverSent();
  void ArmTimer();
  void OnDiscovered();
  // Nobody can be meant.
  bool Nobody() const { return named_ && names_.empty(); }
  // Whether nodes must say whether they would before it is known who is chosen.
  bool NeedsDiscovery() const;
  // Of a read-only job: a limit, the caller's or the policy's, counts who answers, so they are
  // named.
  bool Limited() const;
  void AskAll();
  void Ask(std::vector<std::string> willing, std::vector<JobNodeStart> over);
  // What freezing made of it; `over` as in FreezeInput.
  absl::StatusOr<std::vector<JobNodeStart>> FreezeList(std::vector<std::string> willing,
                                                       std::vector<JobNodeStart> over) const;
  JobNodeStart SilentNode(const std::string& node, const std::string& message) const;
  // Moves those that announced that they can't do it from `nodes` to `over`.
  void SplitUnable(std::vector<std::string>* nodes, std::vector<JobNodeStart>* over) const;
  void Audit(std::vector<JobNodeStart> list);
  void SignNextPart(std::shared_ptr<std::vector<JobNodeStart>> list,
                    std::vector<std::vector<std::string>> groups, size_t next);
  void StoreJob(JobSetup setup, std::vector<JobNodeStart> list, std::vector<JobRequestPart> parts);
  JobSetup Setup() const;
  StoredJob Record(const Job& job) const;
  orch::bus::v1::Request Template(const orch::v1::Action& action) const;
  void Refuse(absl::Status status);

  DispatcherContext* const context_;
  AdmittedJob admitted_;     // its spec as everybody may see it
  orch::v1::Action action_;  // with its secrets
  const std::string body_digest_;
  const std::function<void(JobRun*)> on_over_;
  Done done_;
  const std::string id_;
  const base::Traceparent trace_;  // our span of the caller's trace; what requests carry
  const absl::Time create_time_;
  bool sensitive_ = false;
  bool mutating_ = false;
  std::string action_name_;
  target::Target target_;
  Resolved resolved_;
  std::vector<std::string> names_;  // sorted
  bool named_ = false;              // by names_
  bool nobody_ = false;
  bool roster_known_ = false;
  std::vector<JobNodeStart> unable_;  // announced that they can't do it
  std::optional<Discovery> discovery_;
  bool discovered_ = false;
  SignedRequest discover_;
  std::vector<JobRequestPart> parts_;
  base::Timer timer_;
};

}  // namespace orch::controller
