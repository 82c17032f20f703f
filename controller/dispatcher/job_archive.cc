// SPDX-License-Identifier: Apache-2.0
#include "controller/dispatcher/job_archive.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/errors.h"
#include "api/names.h"
#include "base/ids.h"
#include "base/status.h"
#include "controller/job/job_values.h"
#include "controller/job/states.h"

namespace orch::controller {
namespace {

// The log of an ended job, from the store.
absl::StatusOr<JobLogPart> ReadEnded(StoreRows* rows, const std::string& id,
                                     const JobVisibility& viewer, uint64_t after,
                                     size_t bytes_max) {
  auto job = rows->GetJob(id);
  if (absl::IsNotFound(job.status())) return NoSuchJob(id);
  ORCH_RETURN_IF_ERROR(job.status());
  if (!MaySee(viewer, job->caller())) return NoSuchJob(id);
  if (after > job->last_sequence()) {
    return api::Error(absl::StatusCode::kOutOfRange, "SEQUENCE_BEYOND_LOG",
                      absl::StrCat("the log of ", JobName(id), " ends at ", job->last_sequence(),
                                   ", before ", after));
  }
  JobLogPart part;
  ORCH_ASSIGN_OR_RETURN(part.events, rows->ReadEvents(id, after, bytes_max));
  const uint64_t last = part.events.empty() ? after : part.events.back()->sequence();
  if (IsEnd(job->state()) && last >= job->last_sequence()) {
    part.ended = std::make_shared<const orch::v1::Job>(*std::move(job));
  }
  return part;
}

}  // namespace

absl::Status NoSuchJob(const std::string& id) {
  const std::string text = absl::StrCat("there is no job ", JobName(id));
  return api::WithResource(api::Error(absl::StatusCode::kNotFound, "JOB_NOT_FOUND", text),
                           "orch.v1.Job", JobName(id), text);
}

bool MaySee(const JobVisibility& viewer, const std::string& caller) {
  return viewer.everybody || viewer.caller == caller;
}

void JobArchive::GetJob(const std::string& id, JobVisibility viewer, Callback<orch::v1::Job> done) {
  store_->PostRead<orch::v1::Job>([id](StoreRows* rows) { return rows->GetJob(id); },
                                  [id, viewer, done](absl::StatusOr<orch::v1::Job> job) {
                                    const bool hidden = job.ok() ? !MaySee(viewer, job->caller())
                                                                 : absl::IsNotFound(job.status());
                                    if (hidden) return done(NoSuchJob(id));
                                    done(std::move(job));
                                  });
}

void JobArchive::ListJobs(JobVisibility viewer, int page_size, std::string page_token,
                          std::vector<orch::v1::JobState> states, std::string caller,
                          Callback<JobPage> done) {
  if (!page_token.empty() && !base::IsUlid(page_token)) {
    return done(api::BadField("page_token", "is not one that was given"));
  }
  if (!viewer.everybody && !caller.empty() && caller != viewer.caller) return done(JobPage());
  JobsQuery query;
  query.caller = viewer.everybody ? std::move(caller) : viewer.caller;
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
                                                std::string(api::JobIdOf(page.jobs.back().name()));
                                          done(std::move(page));
                                        });
}

void JobArchive::ListJobNodes(JobNodesQuery asked, JobVisibility viewer,
                              Callback<JobNodePage> done) {
  if (!asked.page_token.empty() && !base::IsIdentity(asked.page_token)) {
    return done(api::BadField("page_token", "is not one that was given"));
  }
  const std::string id = asked.job_id;
  NodesQuery query;
  query.job_id = std::move(asked.job_id);
  query.states = std::move(asked.states);
  query.after_node = std::move(asked.page_token);
  query.node = std::move(asked.node);
  query.limit = static_cast<size_t>(asked.page_size);
  store_->PostRead<Page<orch::v1::JobNode>>(
      [query, viewer](StoreRows* rows) -> absl::StatusOr<Page<orch::v1::JobNode>> {
        ORCH_ASSIGN_OR_RETURN(const orch::v1::Job job, rows->GetJob(query.job_id));
        if (!MaySee(viewer, job.caller())) return NoSuchJob(query.job_id);
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

void JobArchive::ReadLog(std::string id, JobVisibility viewer, uint64_t after_sequence,
                         size_t bytes_max, Callback<JobLogPart> done) {
  store_->PostRead<JobLogPart>(
      [id, viewer, after_sequence, bytes_max](StoreRows* rows) {
        return ReadEnded(rows, id, viewer, after_sequence, bytes_max);
      },
      std::move(done));
}

}  // namespace orch::controller
