// SPDX-License-Identifier: Apache-2.0
#include "controller/store/job_record.h"

#include "api/names.h"
#include "base/proto_time.h"

namespace orch::controller {

void SetupInto(const JobSetup& setup, StoredJob* record) {
  orch::v1::Job* job = record->mutable_job();
  job->set_name(JobName(setup.id));
  job->set_caller(setup.caller);
  job->set_controller(setup.controller);
  *job->mutable_spec() = setup.spec;
  job->set_mutating(setup.mutating);
  *job->mutable_create_time() = ToTimestamp(setup.create_time);
  job->set_traceparent(setup.traceparent);
  *job->mutable_not_asked() = setup.not_asked;
  job->set_not_asked_count(setup.not_asked_count);
  *record->mutable_answer_timeout() = ToProtoDuration(setup.answer_timeout);
  *record->mutable_run_timeout() = ToProtoDuration(setup.run_timeout);
  record->set_canary(setup.rollout.canary);
  *record->mutable_canary_wait() = ToProtoDuration(setup.rollout.canary_wait);
  record->set_concurrency(setup.rollout.concurrency);
  record->set_batch_size(setup.rollout.batch_size);
  *record->mutable_batch_sleep() = ToProtoDuration(setup.rollout.batch_sleep);
  record->set_max_failures(setup.rollout.max_failures);
  record->set_listing(setup.listing);
  record->set_strict_timeout(setup.strict_timeout);
  record->set_note(setup.note);
  record->set_nobody(setup.nobody);
  record->set_roster_known(setup.roster_known);
  record->set_limit_rule(setup.limit_rule);
}

JobSetup SetupFrom(const StoredJob& record) {
  const orch::v1::Job& job = record.job();
  JobSetup setup;
  setup.id = std::string(api::JobIdOf(job.name()));
  setup.caller = job.caller();
  setup.controller = job.controller();
  setup.spec = job.spec();
  setup.mutating = job.mutating();
  setup.create_time = ToTime(job.create_time());
  setup.traceparent = job.traceparent();
  setup.not_asked = job.not_asked();
  setup.not_asked_count = job.not_asked_count();
  setup.answer_timeout = ToDuration(record.answer_timeout());
  setup.run_timeout = ToDuration(record.run_timeout());
  setup.rollout.canary = record.canary();
  setup.rollout.canary_wait = ToDuration(record.canary_wait());
  setup.rollout.concurrency = record.concurrency();
  setup.rollout.batch_size = record.batch_size();
  setup.rollout.batch_sleep = ToDuration(record.batch_sleep());
  setup.rollout.max_failures = record.max_failures();
  setup.listing = record.listing();
  setup.strict_timeout = record.strict_timeout();
  setup.note = record.note();
  setup.nobody = record.nobody();
  setup.roster_known = record.roster_known();
  setup.limit_rule = record.limit_rule();
  return setup;
}

}  // namespace orch::controller
