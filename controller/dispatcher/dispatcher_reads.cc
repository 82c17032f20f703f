// SPDX-License-Identifier: Apache-2.0
// The part of the dispatcher's core that serves logs, changes of jobs, and the roster.
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/errors.h"
#include "base/status.h"
#include "controller/dispatcher/dispatcher_core.h"

namespace orch::controller {
namespace {

// The log of an ended job, from the store.
absl::StatusOr<JobLogPart> ReadEnded(StoreRows* rows, const std::string& id,
                                     const JobVisibility& who, uint64_t after, size_t bytes_max) {
  auto job = rows->GetJob(id);
  if (absl::IsNotFound(job.status())) return NoSuchJob(id);
  ORCH_RETURN_IF_ERROR(job.status());
  if (!MaySee(who, job->caller())) return NoSuchJob(id);
  if (after > job->last_sequence()) {
    return api::Error(absl::StatusCode::kOutOfRange, "SEQUENCE_BEYOND_LOG",
                      absl::StrCat("the log of ", JobName(id), " ends at ", job->last_sequence(),
                                   ", before ", after));
  }
  JobLogPart part;
  ORCH_ASSIGN_OR_RETURN(part.events, rows->ReadEvents(id, after, bytes_max));
  const uint64_t last = part.events.empty() ? after : part.events.back()->sequence();
  part.job = *std::move(job);
  part.ended = IsEnd(part.job.state()) && last >= part.job.last_sequence();
  return part;
}

}  // namespace

absl::StatusOr<std::shared_ptr<JobRun>> Dispatcher::Core::FindRun(const std::string& id,
                                                                  const JobVisibility& who) const {
  auto it = runs_.find(id);
  if (it == runs_.end()) return std::shared_ptr<JobRun>();
  if (!MaySee(who, it->second->caller())) return NoSuchJob(id);
  return it->second;
}

void Dispatcher::Core::ReadLog(uint64_t reader_id, std::string id, JobVisibility who,
                               uint64_t after_sequence, size_t bytes_max,
                               Callback<JobLogPart> done) {
  if (stopping_) return done(absl::UnavailableError("the controller is stopping"));
  auto run = FindRun(id, who);
  if (!run.ok()) return done(run.status());
  if (*run != nullptr) {
    reading_[reader_id] = id;
    return (*run)->Read(reader_id, after_sequence, bytes_max, std::move(done));
  }
  reading_.erase(reader_id);
  store_->PostRead<JobLogPart>(
      [id, who, after_sequence, bytes_max](StoreRows* rows) {
        return ReadEnded(rows, id, who, after_sequence, bytes_max);
      },
      std::move(done));
}

void Dispatcher::Core::ForgetRead(uint64_t reader_id) {
  keeper_->ForgetWatch(reader_id);
  auto reading = reading_.find(reader_id);
  if (reading == reading_.end()) return;
  auto run = runs_.find(reading->second);
  if (run != runs_.end()) run->second->ForgetRead(reader_id);
  reading_.erase(reading);
}

void Dispatcher::Core::ChangeJob(Change change, std::string id, std::string caller,
                                 std::string reason, Callback<orch::v1::Job> done) {
  auto it = runs_.find(id);
  if (it != runs_.end()) {
    const std::shared_ptr<JobRun> run = it->second;
    switch (change) {
      case Change::kCancel:
        return run->Cancel(caller, reason, std::move(done));
      case Change::kPause:
        return run->Pause(caller, std::move(done));
      case Change::kResume:
        return run->Resume(caller, std::move(done));
    }
  }
  GetJob(id, {.caller = "", .everybody = true},
         [id, change, done](absl::StatusOr<orch::v1::Job> job) {
           if (!job.ok() || change == Change::kCancel) return done(std::move(job));
           done(api::Precondition("JOB_NOT_RUNNING", "state", JobName(id),
                                  absl::StrCat("job ", id, " has ended")));
         });
}

void Dispatcher::Core::ListNodes(orch::v1::Target target, bool with_facts,
                                 Callback<std::vector<orch::v1::Node>> done) {
  auto compiled = target::Target::Compile(target);
  if (!compiled.ok()) return done(api::BadField("target", compiled.status().message()));
  done(roster_->List(*compiled, with_facts, context_.clock->Read()));
}

void Dispatcher::Core::ExplainTarget(const orch::v1::Target& target, const std::string& node,
                                     Callback<ExplainedTarget> done) {
  auto compiled = target::Target::Compile(target);
  if (!compiled.ok()) return done(api::BadField("target", compiled.status().message()));
  done(roster_->Explain(*compiled, node, context_.clock->Read()));
}

void Dispatcher::Core::GetNode(std::string identity, Callback<orch::v1::Node> done) {
  const RosterEntry* entry = roster_->Find(identity);
  if (entry != nullptr) return done(entry->ToNode(/*with_facts=*/true));
  const std::string text = absl::StrCat("the roster does not know nodes/", identity);
  done(api::WithResource(api::Error(absl::StatusCode::kNotFound, "NODE_NOT_FOUND", text),
                         "orch.v1.Node", absl::StrCat("nodes/", identity), text));
}

void Dispatcher::Core::WatchNodes(uint64_t reader_id, orch::v1::Target target,
                                  std::function<void(std::vector<orch::v1::Node>)> changed) {
  auto compiled = target::Target::Compile(target);
  if (!compiled.ok() || stopping_) return;  // the caller has validated it
  keeper_->Watch(reader_id, *std::move(compiled), std::move(changed));
}

}  // namespace orch::controller
