// SPDX-License-Identifier: Apache-2.0
#include "controller/run/job_run.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/errors.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "controller/store/store.h"

namespace orch::controller {
namespace {

// How often a timer may fire at most: what is overdue but can't be done (no bus) doesn't spin.
constexpr absl::Duration kTimerMin = absl::Milliseconds(5);
constexpr absl::Duration kTimerOverdue = absl::Seconds(1);
constexpr absl::Duration kBackPause = absl::Milliseconds(500);
// After a request's expiry, when its last answers should have arrived.
constexpr absl::Duration kAfterExpiry = absl::Seconds(5);

}  // namespace

JobRun::JobRun(DispatcherContext* context, std::unique_ptr<Job> job, orch::bus::v1::Request request,
               bool sensitive, std::function<void(JobRun*)> on_over)
    : context_(context),
      job_(std::move(job)),
      request_(std::move(request)),
      trace_(base::ParseTraceparent(request_.traceparent())),
      sensitive_(sensitive),
      on_over_(std::move(on_over)),
      log_(0),
      timer_(context->strand, context->clock) {}

StoreWrite JobRun::TakeFirstWrite(StoredJob record, std::vector<JobRequestPart> parts) {
  StoreWrite write;
  write.new_job.emplace();
  write.new_job->id = id();
  write.new_job->caller = caller();
  write.new_job->record = std::move(record);
  write.update.emplace();
  write.update->id = id();
  write.update->changes = job_->TakeChanges(Now());
  log_.Append(write.update->changes.events);
  *write.update->status.mutable_job() = visible_ = job_->Snapshot(false);
  for (const JobRequestPart& part : parts) {
    StoredRequest stored;
    stored.set_request_id(part.request.request_id);
    stored.set_digest(part.request.digest);
    if (!sensitive_) stored.set_envelope(*part.request.envelope);
    for (const std::string& node : part.nodes) stored.add_nodes(node);
    stored.set_expire_ms(absl::ToUnixMillis(part.request.expires));
    write.requests.emplace_back(id(), std::move(stored));
  }
  parts_ = std::move(parts);
  return write;
}

void JobRun::OnStored() {
  const auto self = shared_from_this();
  OnDurable(visible_.last_sequence(), visible_);
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
  if (!changes.empty()) {
    log_.Append(changes.events);
    StoreWrite write;
    write.update.emplace();
    write.update->id = id();
    *write.update->status.mutable_job() = job_->Snapshot(false);
    write.update->status.set_cancelled(job_->cancelled());
    write.update->changes = std::move(changes);
    const orch::v1::Job visible = write.update->status.job();
    context_->store->PostWrite(std::move(write), Store::OnFailure::kRetry,
                               [weak = weak_from_this(), visible](absl::Status status) {
                                 auto self = weak.lock();
                                 if (self != nullptr && status.ok())
                                   self->OnDurable(visible.last_sequence(), visible);
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

void JobRun::OnDurable(uint64_t sequence, orch::v1::Job visible) {
  log_.OnDurable(std::max(sequence, log_.durable()));
  visible_ = std::move(visible);
  while (!when_durable_.empty() && when_durable_.front().first <= log_.durable()) {
    const auto call = std::move(when_durable_.front().second);
    when_durable_.pop_front();
    call();
  }
  std::vector<Reader> readers;
  for (auto it = readers_.begin(); it != readers_.end();) {
    if (it->second.after >= log_.durable() && !IsEnd(visible_.state())) {
      ++it;
      continue;
    }
    readers.push_back(std::move(it->second));
    readers_.erase(it++);
  }
  for (Reader& reader : readers) AnswerReader(std::move(reader));
  if (!IsEnd(visible_.state()) || over_) return;
  over_ = true;
  on_over_(this);
}

orch::v1::Job JobRun::Visible() const {
  orch::v1::Job job = visible_;
  *job.mutable_spec() = job_->setup().spec;
  return job;
}

absl::Status JobRun::CheckReadable(uint64_t after_sequence) const {
  if (after_sequence > job_->last_sequence()) {
    return api::Error(absl::StatusCode::kOutOfRange, "SEQUENCE_BEYOND_LOG",
                      absl::StrCat("the log of ", JobName(id()), " ends at ", job_->last_sequence(),
                                   ", before ", after_sequence));
  }
  if (readers_.size() >= kReadersMax) {
    return api::WithRetry(api::Error(absl::StatusCode::kResourceExhausted, "TOO_MANY_WATCHERS",
                                     absl::StrCat(JobName(id()), " is watched by ", kReadersMax)),
                          absl::Seconds(5));
  }
  return absl::OkStatus();
}

void JobRun::Read(uint64_t reader_id, uint64_t after_sequence, size_t bytes_max, ReadDone done) {
  if (const absl::Status status = CheckReadable(after_sequence); !status.ok()) return done(status);
  Reader reader{after_sequence, bytes_max, std::move(done)};
  if (after_sequence < log_.durable() || IsEnd(visible_.state())) {
    return AnswerReader(std::move(reader));
  }
  readers_.insert_or_assign(reader_id, std::move(reader));
}

void JobRun::AnswerReader(Reader reader) {
  JobLogPart part;
  part.job = Visible();
  auto finish = [reader, part](std::vector<JobLog::Event> events) mutable {
    const uint64_t last = events.empty() ? reader.after : events.back()->sequence();
    part.ended = IsEnd(part.job.state()) && last >= part.job.last_sequence();
    part.events = std::move(events);
    reader.done(std::move(part));
  };
  auto events = log_.Read(reader.after, reader.bytes_max);
  if (events.has_value()) return finish(*std::move(events));
  context_->store->PostRead<std::vector<JobLog::Event>>(
      [id = id(), after = reader.after, bytes = reader.bytes_max](StoreRows* rows) {
        return rows->ReadEvents(id, after, bytes);
      },
      [finish, done = reader.done](absl::StatusOr<std::vector<JobLog::Event>> stored) mutable {
        if (!stored.ok()) return done(stored.status());
        finish(*std::move(stored));
      });
}

void JobRun::AnswerWhenDurable(JobDone done) {
  const uint64_t sequence = job_->last_sequence();
  Flush();
  if (log_.durable() >= sequence) return done(Visible());
  when_durable_.emplace_back(sequence, [this, done = std::move(done)] { done(Visible()); });
}

void JobRun::Cancel(const std::string& caller, const std::string& reason, JobDone done) {
  job_->Cancel(caller, reason, Now());
  AnswerWhenDurable(std::move(done));
}

void JobRun::Pause(const std::string& caller, JobDone done) {
  const absl::Status status = job_->Pause(caller, Now());
  if (!status.ok()) return done(status);
  AnswerWhenDurable(std::move(done));
}

void JobRun::Resume(const std::string& caller, JobDone done) {
  const absl::Status status = job_->Resume(caller, Now());
  if (!status.ok()) return done(status);
  AnswerWhenDurable(std::move(done));
}

void JobRun::OnTimer() {
  const base::Now now = Now();
  job_->OnTime(now);
  if (now.steady >= nudge_at_) {
    Nudge(nullptr);
    nudge_at_ = now.steady + nudge_interval_;
    nudge_interval_ = std::min(nudge_interval_ * 2, kNudgeInterval);
  }
  if (now.steady >= back_at_) {
    Nudge(&back_);
    back_.clear();
    back_at_ = absl::InfiniteDuration();
  }
  OnExpiries(now);
  if (now.steady >= stalled_since_ + kBusStallMax && job_->state() == orch::v1::JOB_STATE_RUNNING) {
    job_->GiveUpWaiting(
        absl::StrCat("not sent: the bus has been away for ", absl::FormatDuration(kBusStallMax)),
        now);
  }
  Flush();
}

void JobRun::OnExpiries(base::Now now) {
  while (!expiring_.empty() && now.wall >= expiring_.front().first + kAfterExpiry) {
    const std::string request_id = std::move(expiring_.front().second);
    expiring_.pop_front();
    SentRequest& sent = requests_[request_id];
    sent.envelope.reset();
    // Who has not accepted by now may still say that it did.
    if (context_->connected) NudgeRequest(request_id, &sent, nullptr, now);
  }
}

void JobRun::ArmTimer() {
  if (job_->ended()) {
    timer_.cancel();
    return;
  }
  const base::Now now = Now();
  absl::Duration at =
      std::min({job_->NextDeadline().value_or(absl::InfiniteDuration()), nudge_at_, back_at_});
  if (job_->waiting() > 0) at = std::min(at, stalled_since_ + kBusStallMax);
  if (!expiring_.empty()) {
    at = std::min(at, now.steady + (expiring_.front().first + kAfterExpiry - now.wall));
  }
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
  const auto state = job_->StateOf(node);
  if (!state.has_value() || IsTerminal(*state) || !job_->setup().mutating) return;
  if (requests_.empty()) return;
  back_.insert(node);
  back_at_ = std::min(back_at_, Now().steady + kBackPause);
  ArmTimer();
}

void JobRun::Stop() {
  stopped_ = true;
  timer_.cancel();
  readers_.clear();
  when_durable_.clear();
}

}  // namespace orch::controller
