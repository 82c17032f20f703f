// SPDX-License-Identifier: Apache-2.0
#include "controller/run/job_run.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "controller/job/states.h"
#include "controller/store/job_record.h"
#include "controller/store/store.h"

namespace orch::controller {
namespace {

// How often a timer may fire at most: what is overdue but can't be done (no bus) doesn't spin.
constexpr absl::Duration kTimerMin = absl::Milliseconds(5);
constexpr absl::Duration kTimerOverdue = absl::Seconds(1);
constexpr absl::Duration kBackPause = absl::Milliseconds(500);

// A request as it is stored; without its bytes it can't be published again.
SentRequest FromStored(StoredRequest stored) {
  SentRequest sent;
  sent.request_id = stored.request_id();
  sent.digest = stored.digest();
  sent.expires = absl::FromUnixMillis(stored.expire_ms());
  if (!stored.envelope().empty()) {
    sent.envelope = std::make_shared<const std::string>(std::move(*stored.mutable_envelope()));
  }
  sent.nodes.assign(stored.nodes().begin(), stored.nodes().end());
  return sent;
}

}  // namespace

StoredRequest ToStored(const SignedRequest& request, const std::vector<std::string>& nodes,
                       bool with_bytes) {
  StoredRequest stored;
  stored.set_request_id(request.request_id);
  stored.set_digest(request.digest);
  if (with_bytes) stored.set_envelope(*request.envelope);
  for (const std::string& node : nodes) stored.add_nodes(node);
  stored.set_expire_ms(absl::ToUnixMillis(request.expires));
  return stored;
}

NamesHeld NamesIn(const orch::v1::JobSpec& spec) {
  NamesHeld held;
  held.names = static_cast<size_t>(spec.nodes_size() + spec.target().identities_size());
  for (const std::string& name : spec.nodes()) held.bytes += name.size();
  for (const std::string& name : spec.target().identities()) held.bytes += name.size();
  return held;
}

JobRun::JobRun(DispatcherContext* context, std::unique_ptr<Job> job, orch::bus::v1::Request request,
               bool sensitive, std::function<void(JobRun*)> on_ended)
    : context_(context),
      job_(std::move(job)),
      request_(std::move(request)),
      trace_(base::ParseTraceparent(request_.traceparent())),
      sensitive_(sensitive),
      names_held_(NamesIn(job_->setup().spec)),
      on_ended_(std::move(on_ended)),
      readers_(context, job_->setup().id, &job_->setup().spec),
      sent_(context->options.plants),
      judge_number_(context->judge_number),
      cancel_(std::make_shared<JobCancel>(context, &request_)),
      timer_(context->strand, context->clock) {}

std::shared_ptr<JobRun> JobRun::Restore(DispatcherContext* context, UnfinishedJob stored,
                                        std::function<void(JobRun*)> on_ended) {
  const orch::v1::Job& status = stored.status.job();
  JobSetup setup = SetupFrom(stored.record);
  setup.plants = context->options.plants;
  auto job = Job::Restore(std::move(setup), status, stored.status.cancelled(),
                          std::move(stored.nodes), context->clock->Read());
  auto run = std::make_shared<JobRun>(context, std::move(job), stored.record.request(),
                                      stored.record.sensitive(), std::move(on_ended));
  run->restored_ = true;
  run->judge_number_ = 0;  // the policy may have changed meanwhile
  const bool mutating = run->job_->setup().mutating;
  run->publish_again_ = !mutating;
  run->readers_.Restore(status, run->job_->last_sequence());
  for (StoredRequest& request : stored.requests) {
    run->sent_.Add(FromStored(std::move(request)), /*watched=*/mutating);
  }
  for (const std::string& node : run->job_->nodes().StartedNames()) {
    context->start_budget->Adopt(run->StartOf(node));
  }
  return run;
}

StoreWrite JobRun::TakeFirstWrite(StoredJob record, std::vector<JobRequestPart> parts) {
  StoreWrite write;
  write.new_job.emplace();
  write.new_job->id = id();
  write.new_job->caller = caller();
  write.new_job->record = std::move(record);
  write.update.emplace();
  write.update->id = id();
  write.update->changes = job_->TakeChanges(Now());
  readers_.Append(write.update->changes.events);
  *write.update->status.mutable_job() = job_->Snapshot(false);
  first_visible_ = write.update->status.job();
  for (const JobRequestPart& part : parts) {
    write.requests.emplace_back(id(), ToStored(part.request, part.nodes, !sensitive_));
  }
  parts_ = std::move(parts);
  return write;
}

void JobRun::OnStored() {
  const auto self = shared_from_this();
  OnDurable(std::exchange(first_visible_, {}));
  if (!context_->connected) stalled_since_ = Now().steady;
  nudge_at_ = Now().steady + kNudgeInterval;
  PublishParts();
  Flush();
}

void JobRun::Flush() {
  ORCH_CHECK_ON(context_->strand);
  if (stopped_) return;
  const base::Now now = Now();
  Job::Changes changes = job_->TakeChanges(now);
  TellBudget(std::exchange(changes.ends, {}));
  if (!changes.empty()) {
    readers_.Append(changes.events);
    StoreWrite write;
    write.update.emplace();
    write.update->id = id();
    *write.update->status.mutable_job() = job_->Snapshot(false);
    write.update->status.set_cancelled(job_->cancelled());
    write.update->changes = std::move(changes);
    orch::v1::Job visible = write.update->status.job();
    context_->store->PostWrite(
        std::move(write), Store::OnFailure::kRetry,
        [weak = weak_from_this(), visible = std::move(visible)](absl::Status status) {
          auto self = weak.lock();
          if (self != nullptr && status.ok()) self->OnDurable(visible);
        });
  }
  if (job_->state() == orch::v1::JOB_STATE_STOPPING && !cancel_sent_) SendCancel();
  StartNodes();
  ArmTimer();
}

void JobRun::FlushSoon() {
  if (std::exchange(flush_posted_, true)) return;
  boost::asio::post(context_->strand, [weak = weak_from_this()] {
    auto self = weak.lock();
    if (self == nullptr) return;
    self->flush_posted_ = false;
    self->Flush();
  });
}

void JobRun::OnDurable(orch::v1::Job visible) {
  const bool ended = IsEnd(visible.state());
  readers_.OnDurable(std::move(visible));
  context_->job_changed(id());
  if (ended && !std::exchange(told_end_, true)) on_ended_(this);
}

void JobRun::Change(const JobChangeRequest& request, JobDone done) {
  absl::Status status;
  switch (request.change) {
    case JobChange::kCancel:
      job_->Cancel(request.caller, request.reason, Now());
      break;
    case JobChange::kPause:
      status = job_->Pause(request.caller, Now());
      break;
    case JobChange::kResume:
      status = JudgeAgain();
      if (status.ok()) status = job_->Resume(request.caller, Now());
      break;
  }
  if (!status.ok()) return done(status);
  const uint64_t sequence = job_->last_sequence();
  Flush();
  readers_.WhenDurable(sequence, [this, done = std::move(done)] { done(Visible()); });
}

void JobRun::OnTimer() {
  const base::Now now = Now();
  job_->OnTime(now);
  if (now.steady >= nudge_at_) {
    Nudge(nullptr);
    nudge_at_ = now.steady + nudge_interval_;
    nudge_interval_ = std::min(nudge_interval_ * 2, kNudgeInterval);
  }
  if (now.steady >= nudge_back_at_) {
    Nudge(&back_);
    back_.clear();
    nudge_back_at_ = absl::InfiniteDuration();
  }
  while (const auto expired = sent_.TakeExpired(*job_, now)) {
    // Who has not accepted by now may still say that it did.
    if (context_->connected) AskOwed(*expired);
  }
  if (now.steady >= stalled_since_ + kBusStallMax && job_->state() == orch::v1::JOB_STATE_RUNNING) {
    job_->GiveUpWaiting(
        absl::StrCat("not sent: the bus has been away for ", absl::FormatDuration(kBusStallMax)),
        now);
  }
  Flush();
}

void JobRun::ArmTimer() {
  if (job_->ended()) {
    timer_.cancel();
    return;
  }
  const base::Now now = Now();
  absl::Duration at = std::min({job_->NextDeadline().value_or(absl::InfiniteDuration()),
                                sent_.NextDeadline(now).value_or(absl::InfiniteDuration()),
                                nudge_at_, nudge_back_at_});
  if (job_->waiting() > 0) at = std::min(at, stalled_since_ + kBusStallMax);
  absl::Duration wait = at - now.steady;
  if (wait < -kTimerMin) wait = kTimerOverdue;
  timer_.expires_after(std::clamp(wait, kTimerMin, absl::Duration(absl::Hours(1))));
  timer_.async_wait([weak = weak_from_this()](boost::system::error_code error) {
    auto self = weak.lock();
    if (!error && self != nullptr && !self->stopped_) self->OnTimer();
  });
}

void JobRun::OnBusChange(bool connected) {
  const absl::Duration now = Now().steady;
  job_->OnBus(connected, Now());
  if (!connected) {
    stalled_since_ = std::min(stalled_since_, now);
    return ArmTimer();
  }
  stalled_since_ = absl::InfiniteDuration();
  nudge_interval_ = kNudgeFirst;
  nudge_at_ = now + (restored_ || publish_again_ ? absl::ZeroDuration() : nudge_interval_);
  if (job_->state() == orch::v1::JOB_STATE_STOPPING) cancel_sent_ = false;
  Flush();
}

void JobRun::OnNodeBack(const std::string& node) {
  const auto state = job_->nodes().StateOf(node);
  if (!state.has_value() || IsTerminal(*state) || !job_->setup().mutating) return;
  if (sent_.empty()) return;
  back_.insert(node);
  nudge_back_at_ = std::min(nudge_back_at_, Now().steady + kBackPause);
  ArmTimer();
}

void JobRun::Stop() {
  stopped_ = true;
  timer_.cancel();
  readers_.Stop();
}

}  // namespace orch::controller
