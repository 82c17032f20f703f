// SPDX-License-Identifier: Apache-2.0
// The part of the dispatcher that takes jobs: shares, idempotency keys, admission.
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/catalog.h"
#include "api/errors.h"
#include "base/log.h"
#include "base/status.h"
#include "controller/dispatcher/dispatcher.h"

namespace orch::controller {
namespace {

constexpr absl::Duration kRetryDelay = absl::Seconds(1);

void LogCreated(const JobRun& run, const orch::v1::Job& job) {
  base::LogInfo("job created", {{"job_id", run.id()},
                                {"caller", run.caller()},
                                {"action", api::NameOf(job.spec().action())},
                                {"nodes", job.targets()},
                                {"trace_id", run.trace().trace_id},
                                {"span_id", run.trace().span_id}});
}

}  // namespace

absl::Status Dispatcher::MayCreate(const AdmittedJob& job) const {
  if (stopping_) {
    return api::WithRetry(
        api::Error(absl::StatusCode::kUnavailable, "STOPPING", "the controller is stopping"),
        kRetryDelay);
  }
  if (job.validate_only) return absl::OkStatus();
  if (!store_->ok()) {
    return api::WithRetry(api::Error(absl::StatusCode::kUnavailable, "STORE_UNAVAILABLE",
                                     "the controller's store can't be written: jobs are refused"),
                          kRetryDelay);
  }
  return CheckShare(NamesIn(job.spec), api::Mutates(job.spec.action()), job.caller,
                    HeldNow(job.caller), context_.options.jobs_running_max);
}

JobsHeld Dispatcher::HeldNow(const std::string& caller) const {
  JobsHeld held;
  for (const auto& [id, run] : runs_) held.Add(run->names_held(), run->caller() == caller);
  for (const auto& [id, admission] : admissions_) {
    held.Add(admission->names_held(), admission->caller() == caller);
  }
  return held;
}

void Dispatcher::CreateJob(AdmittedJob job, Callback<CreatedJob> done) {
  if (const absl::Status status = MayCreate(job); !status.ok()) {
    ++context_.metrics.jobs_refused;
    return done(status);
  }
  std::string body_digest = BodyDigest(job.spec);
  if (job.idempotency_key.empty() || job.validate_only) {
    return Admit(std::move(job), std::move(body_digest), std::move(done));
  }
  FindKey(std::move(job), std::move(body_digest), std::move(done));
}

void Dispatcher::FindKey(AdmittedJob job, std::string body_digest, Callback<CreatedJob> done) {
  const std::string caller = job.caller;
  const std::string key = job.idempotency_key;
  if (!keys_.IsFirst(caller, key, body_digest, done)) return;
  Callback<CreatedJob> answer = [this, caller, key](absl::StatusOr<CreatedJob> created) {
    keys_.Answer(caller, key, created);
  };
  store_->PostRead<std::optional<KnownKey>>(
      [caller, key, now = context_.clock->Read().wall](StoreRows* rows) {
        return rows->FindKey(caller, key, now);
      },
      [weak = weak_from_this(), job = std::move(job), body_digest = std::move(body_digest),
       answer](absl::StatusOr<std::optional<KnownKey>> known) mutable {
        auto self = weak.lock();
        if (self == nullptr) return;
        if (!known.ok()) return answer(known.status());
        if (known->has_value()) return self->OnKnownKey(**known, body_digest, std::move(answer));
        self->Admit(std::move(job), std::move(body_digest), std::move(answer));
      });
}

void Dispatcher::OnKnownKey(const KnownKey& known, const std::string& body_digest,
                            Callback<CreatedJob> done) {
  if (known.body_digest != body_digest) return done(KeyReused("of this call"));
  GetJob(known.job_id, {.caller = "", .everybody = true},
         [done](absl::StatusOr<orch::v1::Job> job) {
           if (!job.ok()) return done(job.status());
           CreatedJob created;
           created.job = *std::move(job);
           done(std::move(created));
         });
}

void Dispatcher::Admit(AdmittedJob job, std::string body_digest, Callback<CreatedJob> done) {
  if (const absl::Status status = MayCreate(job); !status.ok()) return done(status);
  auto id = std::make_shared<std::string>();
  auto admission = std::make_shared<Admission>(
      &context_, std::move(job), std::move(body_digest), OnJobEnded(),
      [weak = weak_from_this(), id, done](absl::StatusOr<Admission::Outcome> outcome) {
        auto self = weak.lock();
        if (self == nullptr) return;
        // Kept until this has returned: it is the admission that calls.
        auto answered = self->admissions_.extract(*id);
        if (!outcome.ok()) {
          ++self->context_.metrics.jobs_refused;
          return done(outcome.status());
        }
        const std::shared_ptr<JobRun> run = outcome->run;
        if (run == nullptr) return done(std::move(outcome->created));
        ++self->context_.metrics.jobs_created;
        LogCreated(*run, outcome->created.job);
        self->runs_.emplace(run->id(), run);
        done(std::move(outcome->created));
        run->OnStored();
      });
  *id = admission->id();
  admissions_.emplace(*id, admission);
  admission->Start();
}

}  // namespace orch::controller
