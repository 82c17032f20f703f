// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/strand.h"
#include "base/telemetry/traceparent.h"
#include "base/timer.h"
#include "controller/admission/discovery.h"
#include "controller/admission/resolution.h"
#include "controller/context/dispatcher_api.h"
#include "controller/context/dispatcher_context.h"
#include "controller/job/freeze.h"
#include "controller/mail/inbox.h"
#include "controller/mail/outbox.h"
#include "controller/run/job_run.h"
#include "target/target.h"

namespace orch::controller {

// The way of a job from "the gate let it through" to "it is stored": resolve, for a mutating action
// discover, freeze, audit, store. It guarantees one answer, whatever happens, and that no node is
// sent what the job does before the job, with its frozen list, is durable: until then nodes are
// only asked whether they would.
//
// Lives on: the dispatcher's strand. Owned by the dispatcher until it has answered.
class Admission : public std::enable_shared_from_this<Admission> {
 public:
  struct Outcome {
    CreatedJob created;
    std::shared_ptr<JobRun> run;  // stored, not started; null with validate_only
  };
  using Done = std::function<void(absl::StatusOr<Outcome>)>;

  // `on_ended` is the run's.
  Admission(DispatcherContext* context, AdmittedJob admitted, std::string body_digest,
            std::function<void(JobRun*)> on_ended, Done done);
  void Start();
  // A verified reply with the job's id before there is a job.
  void OnReply(const OpenedReply& opened, base::Now now);
  // The node is (again) there: where it missed the discovery it gets it now.
  void OnNodeBack(const std::string& node);
  void Stop();
  const std::string& id() const { return id_; }
  const std::string& caller() const { return admitted_.caller; }
  const NamesHeld& names_held() const { return names_held_; }
  // The policy's rule that limits the job; empty: none does. And whom it will start, once frozen.
  const std::string& limit_rule() const { return limit_rule_; }
  const std::vector<std::string>& frozen() const { return frozen_; }

 private:
  // Where it is; it only goes forward.
  enum class Step {
    kTaken,        // let through by the gate
    kDiscovering,  // nodes are asked whether they would
    kFrozen,       // who is asked is settled: it is audited, or signed
    kStoring,
    kAnswered,
  };

  absl::Status Prepare();
  void Preview();
  void Discover();
  void OnDiscoverSigned(absl::StatusOr<SignedRequest> ready);
  void OnDiscoverSent();
  void ArmTimer();
  void OnDiscovered();
  void AskAll();
  void Ask(std::vector<std::string> willing, std::vector<JobNodeStart> ended);
  // What freezing made of it; `ended` as in FreezeInput.
  absl::StatusOr<std::vector<JobNodeStart>> FreezeList(std::vector<std::string> willing,
                                                       std::vector<JobNodeStart> ended);
  void Audit(std::vector<JobNodeStart> list);
  void SignNextPart(std::shared_ptr<std::vector<JobNodeStart>> list,
                    std::vector<std::vector<std::string>> groups, size_t next);
  void StoreJob(JobSetup setup, std::vector<JobNodeStart> list, std::vector<JobRequestPart> parts);
  JobSetup Setup() const;
  std::string Note() const;
  StoredJob Record(const Job& job) const;
  orch::bus::v1::Request Template(const orch::v1::Action& action) const;
  void Refuse(absl::Status status);
  void Answer(absl::StatusOr<Outcome> outcome);
  bool answered() const { return step_ == Step::kAnswered; }

  DispatcherContext* const context_;
  AdmittedJob admitted_;     // its spec as everybody may see it
  orch::v1::Action action_;  // with its secrets
  const std::string body_digest_;
  const std::function<void(JobRun*)> on_ended_;
  Done done_;
  const std::string id_;
  const base::Traceparent trace_;  // our span of the caller's trace; what requests carry
  const absl::Time create_time_;
  const NamesHeld names_held_;
  Step step_ = Step::kTaken;
  bool sensitive_ = false;
  bool mutating_ = false;
  std::string limit_rule_;
  std::shared_ptr<const target::Target> target_;
  Resolution whom_;
  std::optional<Discovery> discovery_;
  SignedRequest discover_;
  std::vector<std::string> frozen_;
  std::vector<JobRequestPart> parts_;
  base::Timer timer_;
};

}  // namespace orch::controller
