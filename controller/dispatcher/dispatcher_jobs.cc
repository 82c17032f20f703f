// SPDX-License-Identifier: Apache-2.0
// The part of the dispatcher's core that takes, changes and shows jobs.
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/catalog.h"
#include "api/errors.h"
#include "base/ids.h"
#include "base/sha256.h"
#include "base/status.h"
#include "controller/dispatcher/dispatcher_core.h"

namespace orch::controller {
namespace {

constexpr absl::Duration kRetryDelay = absl::Seconds(1);

// The same key and body is the same job; the body is everything that the caller said.
std::string BodyDigest(const AdmittedJob& job) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    job.spec.SerializeToCodedStream(&coded);
  }
  return base::Sha256(bytes);
}

absl::Status KeyReused(const std::string& key) {
  return api::Error(absl::StatusCode::kAlreadyExists, "IDEMPOTENCY_KEY_REUSED",
                    absl::StrCat("the idempotency key ", key, " was used with another request"));
}

}  // namespace

absl::Status NoSuchJob(const std::string& id) {
  const std::string text = absl::StrCat("there is no job jobs/", id);
  return api::WithResource(api::Error(absl::StatusCode::kNotFound, "JOB_NOT_FOUND", text),
                           "orch.v1.Job", JobName(id), text);
}

bool MaySee(const JobVisibility& who, const std::string& caller) {
  return who.everybody || who.caller == caller;
}

absl::Status Dispatcher::Core::MayCreate(const AdmittedJob& job) const {
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
  return HasSlot(job);
}

absl::Status Dispatcher::Core::HasSlot(const AdmittedJob& job) const {
  const auto refuse = [](const std::string& why) {
    return api::WithRetry(api::Error(absl::StatusCode::kResourceExhausted, "TOO_MANY_JOBS", why),
                          kRetryDelay);
  };
  const size_t most = context_.options.jobs_running_max;
  const size_t running = runs_.size() + admissions_.size();
  if (running >= most) return refuse(absl::StrCat(most, " jobs run already"));
  // Questions leave some room: a fleet that is being asked can still be changed.
  const size_t kept = most / kChangesShare;
  if (running >= most - kept && !api::Mutates(job.spec.action())) {
    return refuse(absl::StrCat(most - kept, " jobs run already; the last ", kept,
                               " places are kept for jobs that change something"));
  }
  const auto own = [&job](const auto& entry) { return entry.second->caller() == job.caller; };
  const auto held = static_cast<size_t>(std::count_if(runs_.begin(), runs_.end(), own) +
                                        std::count_if(admissions_.begin(), admissions_.end(), own));
  const size_t share = std::max(kCallerJobsMin, most / kCallerShare);
  if (held < share) return absl::OkStatus();
  return refuse(
      absl::StrCat(held, " jobs of ", job.caller, " run already; one caller may have ", share));
}

void Dispatcher::Core::CreateJob(AdmittedJob job, Callback<CreatedJob> done) {
  if (const absl::Status status = MayCreate(job); !status.ok()) {
    ++context_.metrics.jobs_refused;
    return done(status);
  }
  std::string body_digest = BodyDigest(job);
  if (job.idempotency_key.empty() || job.validate_only) {
    return Admit(std::move(job), std::move(body_digest), std::move(done));
  }
  FindKey(std::move(job), std::move(body_digest), std::move(done));
}

void Dispatcher::Core::FindKey(AdmittedJob job, std::string body_digest,
                               Callback<CreatedJob> done) {
  const std::pair<std::string, std::string> name(job.caller, job.idempotency_key);
  auto [pending, first] = keys_.try_emplace(name);
  if (!first) {
    if (pending->second.body_digest != body_digest) return done(KeyReused(name.second));
    if (pending->second.waiters.size() >= kKeyWaitersMax) {
      return done(api::WithRetry(api::Error(absl::StatusCode::kResourceExhausted, "TOO_MANY_JOBS",
                                            "too many calls wait for the same idempotency key"),
                                 kRetryDelay));
    }
    pending->second.waiters.push_back(std::move(done));
    return;
  }
  pending->second.body_digest = body_digest;
  // From here on every answer goes to all who came with this key meanwhile.
  Callback<CreatedJob> answer = [this, name, done](absl::StatusOr<CreatedJob> created) {
    auto node = keys_.extract(name);
    done(created);
    for (const auto& waiter : node.mapped().waiters) waiter(created);
  };
  const std::string caller = job.caller;
  const std::string key = job.idempotency_key;
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

void Dispatcher::Core::OnKnownKey(const KnownKey& known, const std::string& body_digest,
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

void Dispatcher::Core::Admit(AdmittedJob job, std::string body_digest, Callback<CreatedJob> done) {
  if (const absl::Status status = MayCreate(job); !status.ok()) return done(status);
  auto id = std::make_shared<std::string>();
  auto admission = std::make_shared<Admission>(
      &context_, std::move(job), std::move(body_digest), OnOver(),
      [weak = weak_from_this(), id, done](absl::StatusOr<Admission::Outcome> outcome) {
        auto self = weak.lock();
        if (self == nullptr) return;
        // Kept until this has returned: it is the admission that calls.
        auto over = self->admissions_.extract(*id);
        if (!outcome.ok()) {
          ++self->context_.metrics.jobs_refused;
          return done(outcome.status());
        }
        const std::shared_ptr<JobRun> run = outcome->run;
        if (run == nullptr) return done(std::move(outcome->created));
        ++self->context_.metrics.jobs_created;
        base::LogInfo("job created", {{"job_id", run->id()},
                                      {"caller", run->caller()},
                                      {"action", api::NameOf(outcome->created.job.spec().action())},
                                      {"nodes", outcome->created.job.targets()},
                                      {"trace_id", run->trace().trace_id},
                                      {"span_id", run->trace().span_id}});
        self->runs_.emplace(run->id(), run);
        done(std::move(outcome->created));
        run->OnStored();
      });
  *id = admission->id();
  admissions_.emplace(*id, admission);
  admission->Start();
}

void Dispatcher::Core::GetJob(std::string id, JobVisibility who, Callback<orch::v1::Job> done) {
  auto run = runs_.find(id);
  if (run != runs_.end()) {
    if (!MaySee(who, run->second->caller())) return done(NoSuchJob(id));
    return done(run->second->Visible());
  }
  store_->PostRead<orch::v1::Job>([id](StoreRows* rows) { return rows->GetJob(id); },
                                  [id, who, done](absl::StatusOr<orch::v1::Job> job) {
                                    const bool hidden = job.ok() ? !MaySee(who, job->caller())
                                                                 : job.status().code() ==
                                                                       absl::StatusCode::kNotFound;
                                    if (hidden) return done(NoSuchJob(id));
                                    done(std::move(job));
                                  });
}

void Dispatcher::Core::ListJobs(JobVisibility who, int page_size, std::string page_token,
                                std::vector<orch::v1::JobState> states, std::string caller,
                                Callback<JobPage> done) {
  if (!page_token.empty() && !base::IsUlid(page_token)) {
    return done(api::BadField("page_token", "is not one that was given"));
  }
  if (!who.everybody && !caller.empty() && caller != who.caller) return done(JobPage());
  JobsQuery query;
  query.caller = who.everybody ? std::move(caller) : who.caller;
  query.states = std::move(states);
  query.before_id = std::move(page_token);
  query.limit = static_cast<size_t>(page_size);
  store_->PostRead<Page<orch::v1::Job>>([query](StoreRows* rows) { return rows->ListJobs(query); },
                                        [done](absl::StatusOr<Page<orch::v1::Job>> found) {
                                          if (!found.ok()) return done(found.status());
                                          JobPage page;
                                          page.jobs = std::move(found->items);
                                          if (found->more)
                                            page.next_page_token =
                                                page.jobs.back().name().substr(sizeof("jobs/") - 1);
                                          done(std::move(page));
                                        });
}

void Dispatcher::Core::ListJobNodes(std::string id, JobVisibility who, int page_size,
                                    std::string page_token, std::vector<orch::v1::NodeState> states,
                                    Callback<JobNodePage> done) {
  if (!page_token.empty() && !base::IsIdentity(page_token)) {
    return done(api::BadField("page_token", "is not one that was given"));
  }
  NodesQuery query;
  query.job_id = id;
  query.states = std::move(states);
  query.after_node = std::move(page_token);
  query.limit = static_cast<size_t>(page_size);
  store_->PostRead<Page<orch::v1::JobNode>>(
      [query, who](StoreRows* rows) -> absl::StatusOr<Page<orch::v1::JobNode>> {
        ORCH_ASSIGN_OR_RETURN(const orch::v1::Job job, rows->GetJob(query.job_id));
        if (!MaySee(who, job.caller())) return NoSuchJob(query.job_id);
        return rows->ListNodes(query);
      },
      [id, done](absl::StatusOr<Page<orch::v1::JobNode>> found) {
        if (absl::IsNotFound(found.status())) return done(NoSuchJob(id));
        if (!found.ok()) return done(found.status());
        JobNodePage page;
        page.nodes = std::move(found->items);
        if (found->more) page.next_page_token = page.nodes.back().node();
        done(std::move(page));
      });
}

}  // namespace orch::controller
