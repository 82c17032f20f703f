// SPDX-License-Identifier: Apache-2.0
// The part of the dispatcher that shows and changes jobs, and shows the roster.
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/errors.h"
#include "api/names.h"
#include "base/status.h"
#include "controller/dispatcher/dispatcher.h"

namespace orch::controller {
absl::StatusOr<std::shared_ptr<JobRun>> Dispatcher::FindRun(const std::string& id,
                                                            const JobVisibility& viewer) const {
  auto it = runs_.find(id);
  if (it == runs_.end()) return std::shared_ptr<JobRun>();
  if (!viewer.Sees(it->second->caller())) return NoSuchJob(id);
  return it->second;
}

void Dispatcher::ReadLog(uint64_t reader_id, std::string id, JobVisibility viewer,
                         uint64_t after_sequence, size_t bytes_max, Callback<JobLogPart> done) {
  if (stopping_) return done(absl::UnavailableError("the controller is stopping"));
  auto run = FindRun(id, viewer);
  if (!run.ok()) return done(run.status());
  if (*run != nullptr) {
    reading_[reader_id] = id;
    return (*run)->Read(reader_id, after_sequence, bytes_max, std::move(done));
  }
  reading_.erase(reader_id);
  archive_->ReadLog(std::move(id), std::move(viewer), after_sequence, bytes_max, std::move(done));
}

void Dispatcher::ForgetRead(uint64_t reader_id) {
  keeper_->ForgetWatch(reader_id);
  job_changes_->Forget(reader_id);
  auto reading = reading_.find(reader_id);
  if (reading == reading_.end()) return;
  auto run = runs_.find(reading->second);
  if (run != runs_.end()) run->second->readers().Forget(reader_id);
  reading_.erase(reading);
}

void Dispatcher::ChangeJob(JobChangeRequest request, Callback<orch::v1::Job> done) {
  auto it = runs_.find(request.job_id);
  if (it != runs_.end()) {
    const std::shared_ptr<JobRun> run = it->second;  // it may end in here
    return run->Change(request, std::move(done));
  }
  const std::string id = request.job_id;
  GetJob(id, {.caller = "", .everybody = true},
         [id, change = request.change, done](absl::StatusOr<orch::v1::Job> job) {
           if (!job.ok() || change == JobChange::kCancel) return done(std::move(job));
           done(api::Precondition("JOB_NOT_RUNNING", "state", JobName(id),
                                  absl::StrCat("job ", id, " has ended")));
         });
}

void Dispatcher::SetJudge(JobJudge judge) {
  context_.judge = std::move(judge);
  ++context_.judge_number;
  // Those that start nobody for the moment are judged when they would.
  const auto runs = runs_;  // a run may end in here
  for (const auto& [id, run] : runs) run->Flush();
}

void Dispatcher::GetJob(std::string id, JobVisibility viewer, Callback<orch::v1::Job> done) {
  auto run = runs_.find(id);
  if (run == runs_.end()) return archive_->GetJob(id, std::move(viewer), std::move(done));
  if (!viewer.Sees(run->second->caller())) return done(NoSuchJob(id));
  done(run->second->Visible());
}

void Dispatcher::ListJobs(JobsQuery query, JobVisibility viewer, Callback<JobPage> done) {
  archive_->ListJobs(std::move(query), std::move(viewer), std::move(done));
}

void Dispatcher::ReadJobChanges(uint64_t reader_id, WatchCursor after,
                                Callback<JobChangesPart> done) {
  if (stopping_) return done(absl::UnavailableError("the controller is stopping"));
  job_changes_->Read(reader_id, after, std::move(done));
}

void Dispatcher::ListJobNodes(JobNodesQuery query, JobVisibility viewer,
                              Callback<JobNodePage> done) {
  archive_->ListJobNodes(std::move(query), std::move(viewer), std::move(done));
}

void Dispatcher::ListNodes(orch::v1::Target target, bool with_facts,
                           Callback<std::vector<orch::v1::Node>> done) {
  auto compiled = target::Target::Compile(target);
  if (!compiled.ok()) return done(api::BadField("target", compiled.status().message()));
  done(roster_->List(*compiled, with_facts, context_.clock->Read()));
}

void Dispatcher::ExplainTarget(orch::v1::Target target, std::string node,
                               Callback<ExplainedTarget> done) {
  auto compiled = target::Target::Compile(target);
  if (!compiled.ok()) return done(api::BadField("target", compiled.status().message()));
  done(roster_->Explain(*compiled, node, context_.clock->Read()));
}

void Dispatcher::GetNode(std::string identity, Callback<orch::v1::Node> done) {
  const RosterEntry* entry = roster_->Find(identity);
  if (entry != nullptr) return done(entry->ToNode(/*with_facts=*/true));
  const std::string text = absl::StrCat("the roster does not know ", api::NodeName(identity));
  done(api::WithResource(api::Error(absl::StatusCode::kNotFound, "NODE_NOT_FOUND", text),
                         "orch.v1.Node", api::NodeName(identity), text));
}

void Dispatcher::WatchNodes(uint64_t reader_id, orch::v1::Target target, WatchCursor after,
                            std::function<void(NodeChanges)> changed) {
  auto compiled = target::Target::Compile(target);
  if (!compiled.ok() || stopping_) return;  // the caller has validated it
  keeper_->Watch(reader_id, *std::move(compiled), after, std::move(changed));
}

}  // namespace orch::controller
