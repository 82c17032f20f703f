// SPDX-License-Identifier: Apache-2.0
#include "controller/dispatcher/job_archive.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/change.h"
#include "api/errors.h"
#include "api/names.h"
#include "base/ids.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "controller/job/job_filter.h"
#include "controller/job/job_values.h"
#include "controller/job/states.h"

namespace orch::controller {
namespace {

template <typename T>
bool Has(const std::vector<T>& wanted, const T& value) {
  return wanted.empty() || std::find(wanted.begin(), wanted.end(), value) != wanted.end();
}

bool EndedBefore(const orch::v1::Job& job, absl::Time time) {
  return job.has_end_time() && ToTime(job.end_time()) < time;
}

void ExpireDiffs(orch::v1::JobNode* node) {
  if (!node->result().has_puppet_run()) return;
  api::DropDiffs("expired", node->mutable_result()->mutable_puppet_run());
}

// The log of an ended job, from the store; differences of jobs that ended before `diffs_since` are
// not in it.
absl::StatusOr<JobLogPart> ReadEnded(StoreRows* rows, const std::string& id,
                                     const JobVisibility& viewer, uint64_t after, size_t bytes_max,
                                     absl::Time diffs_since) {
  auto job = rows->GetJob(id);
  if (absl::IsNotFound(job.status())) return NoSuchJob(id);
  ORCH_RETURN_IF_ERROR(job.status());
  if (!viewer.Sees(job->caller())) return NoSuchJob(id);
  if (after > job->last_sequence()) {
    return api::Error(absl::StatusCode::kOutOfRange, "SEQUENCE_BEYOND_LOG",
                      absl::StrCat("the log of ", JobName(id), " ends at ", job->last_sequence(),
                                   ", before ", after));
  }
  JobLogPart part;
  ORCH_ASSIGN_OR_RETURN(part.events, rows->ReadEvents(id, after, bytes_max));
  if (EndedBefore(*job, diffs_since)) {
    for (std::shared_ptr<const orch::v1::JobEvent>& event : part.events) {
      if (!event->node().result().has_puppet_run()) continue;
      auto without = std::make_shared<orch::v1::JobEvent>(*event);
      ExpireDiffs(without->mutable_node());
      event = std::move(without);
    }
  }
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

void JobArchive::GetJob(const std::string& id, JobVisibility viewer, Callback<orch::v1::Job> done) {
  store_->PostRead<orch::v1::Job>([id](StoreRows* rows) { return rows->GetJob(id); },
                                  [id, viewer, done](absl::StatusOr<orch::v1::Job> job) {
                                    const bool hidden = job.ok() ? !viewer.Sees(job->caller())
                                                                 : absl::IsNotFound(job.status());
                                    if (hidden) return done(NoSuchJob(id));
                                    done(std::move(job));
                                  });
}

void JobArchive::ListJobs(JobsQuery asked, JobVisibility viewer, Callback<JobPage> done) {
  if (!asked.page_token.empty() && !base::IsUlid(asked.page_token)) {
    return done(api::BadField("page_token", "is not one that was given"));
  }
  if (!viewer.everybody && !asked.caller.empty() && asked.caller != viewer.caller) {
    return done(JobPage());
  }
  JobRowsQuery query;
  query.caller = viewer.everybody ? std::move(asked.caller) : viewer.caller;
  query.states = std::move(asked.states);
  query.after_id = std::move(asked.page_token);
  query.oldest_first = asked.oldest_first;
  query.limit = static_cast<size_t>(asked.page_size);
  if (asked.filter.has_value()) {
    query.matches = [filter = *std::move(asked.filter)](const orch::v1::Job& job) {
      return Matches(filter, job);
    };
  }
  store_->PostRead<Page<orch::v1::Job>>([query](StoreRows* rows) { return rows->ListJobs(query); },
                                        [done](absl::StatusOr<Page<orch::v1::Job>> found) {
                                          if (!found.ok()) return done(found.status());
                                          JobPage page;
                                          page.jobs = std::move(found->items);
                                          if (found->more) {
                                            page.next_page_token = std::move(found->last);
                                          }
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
  if (!asked.verdicts.empty() || !asked.reasons.empty()) {
    query.matches = [verdicts = std::move(asked.verdicts),
                     reasons = std::move(asked.reasons)](const orch::v1::JobNode& node) {
      return Has(verdicts, node.result().puppet_run().verdict()) && Has(reasons, node.reason());
    };
  }
  const absl::Time diffs_since = clock_->Read().wall - diffs_kept_for_;
  store_->PostRead<Page<orch::v1::JobNode>>(
      [query, viewer, diffs_since](StoreRows* rows) -> absl::StatusOr<Page<orch::v1::JobNode>> {
        ORCH_ASSIGN_OR_RETURN(const orch::v1::Job job, rows->GetJob(query.job_id));
        if (!viewer.Sees(job.caller())) return NoSuchJob(query.job_id);
        auto page = rows->ListNodes(query);
        if (page.ok() && EndedBefore(job, diffs_since)) {
          for (orch::v1::JobNode& node : page->items) ExpireDiffs(&node);
        }
        return page;
      },
      [id, done](absl::StatusOr<Page<orch::v1::JobNode>> found) {
        if (absl::IsNotFound(found.status())) return done(NoSuchJob(id));
        if (!found.ok()) return done(found.status());
        JobNodePage page;
        page.nodes = std::move(found->items);
        if (found->more) page.next_page_token = std::move(found->last);
        done(std::move(page));
      });
}

void JobArchive::ReadLog(std::string id, JobVisibility viewer, uint64_t after_sequence,
                         size_t bytes_max, Callback<JobLogPart> done) {
  store_->PostRead<JobLogPart>(
      [id, viewer, after_sequence, bytes_max,
       diffs_since = clock_->Read().wall - diffs_kept_for_](StoreRows* rows) {
        return ReadEnded(rows, id, viewer, after_sequence, bytes_max, diffs_since);
      },
      std::move(done));
}

}  // namespace orch::controller
