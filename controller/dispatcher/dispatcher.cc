// SPDX-License-Identifier: Apache-2.0
#include "controller/dispatcher/dispatcher.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/proto_time.h"
#include "base/status.h"

namespace orch::controller {
namespace {

// `SUCCEEDED`
std::string StateWord(orch::v1::JobState state) {
  return orch::v1::JobState_Name(state).substr(sizeof("JOB_STATE_") - 1);
}

void CountEnd(const orch::v1::Job& job, DispatcherMetrics* metrics) {
  for (const orch::v1::NodeStateCount& count : job.counts()) {
    if (orch::v1::NodeState_IsValid(count.state()))
      metrics->outcomes[count.state()] += count.count();
  }
  for (const orch::v1::PuppetVerdictCount& count : job.puppet_verdicts()) {
    if (orch::v1::PuppetRunVerdict_IsValid(count.verdict())) {
      metrics->verdicts[count.verdict()] += count.count();
    }
  }
  ++metrics->jobs_ended;
  if (orch::v1::JobState_IsValid(job.state())) ++metrics->ends[job.state()];
}

StoreOptions StoreOptionsOf(const DispatcherContext& context, base::Worker* worker) {
  StoreOptions options;
  options.path = context.options.store_path;
  options.jobs_kept = context.options.jobs_kept;
  options.jobs_kept_for = context.options.jobs_kept_for;
  options.diffs_kept_for = context.options.diffs_kept_for;
  options.clock = context.clock;
  options.worker = worker;
  options.post = [strand = context.strand](std::function<void()> call) {
    boost::asio::post(strand, std::move(call));
  };
  return options;
}

}  // namespace

Dispatcher::Dispatcher(DispatcherParts parts, DispatcherOptions options)
    : parts_(std::move(parts)), ulids_(parts_.random), context_{std::move(options),
                                                                parts_.strand,
                                                                parts_.clock,
                                                                parts_.random,
                                                                &ulids_,
                                                                parts_.credentials,
                                                                parts_.audit} {
  if (context_.options.stale_after <= absl::ZeroDuration()) {
    context_.options.stale_after = 3 * context_.options.presence_interval;
  }
  roster_ = std::make_unique<Roster>(context_.options.stale_after);
  outbox_ = std::make_shared<Outbox>(parts_.io, parts_.strand, parts_.bus_strand, parts_.client,
                                     parts_.credentials, &context_.metrics);
  context_.roster = roster_.get();
  context_.outbox = outbox_.get();
  context_.start_budget = parts_.start_budget;
  job_changes_ = std::make_shared<JobChanges>(
      context_.strand, context_.clock, context_.random, [this](const std::string& id) {
        auto run = runs_.find(id);
        return run == runs_.end() ? nullptr
                                  : std::make_shared<const orch::v1::Job>(run->second->Visible());
      });
  context_.job_changed = [this](const std::string& id) { job_changes_->OnChanged(id); };
  context_.add_under_way = [this](const std::string& rule,
                                  absl::flat_hash_set<std::string>* nodes) {
    AddUnderWay(rule, nodes);
  };
}

Dispatcher::~Dispatcher() {
  // What is still under way finds nobody: it holds weak references, or looks whether it is stopped.
  outbox_->Stop();
}

absl::StatusOr<std::shared_ptr<Dispatcher>> Dispatcher::Open(DispatcherParts parts,
                                                             DispatcherOptions options) {
  std::shared_ptr<Dispatcher> dispatcher(new Dispatcher(std::move(parts), std::move(options)));
  ORCH_RETURN_IF_ERROR(dispatcher->OpenStore());
  dispatcher->context_.start_budget->SetWake([weak = dispatcher->weak_from_this()] {
    auto self = weak.lock();
    if (self == nullptr) return;
    for (const auto& [id, run] : self->runs_) run->FlushSoon();
  });
  return dispatcher;
}

absl::Status Dispatcher::OpenStore() {
  ORCH_ASSIGN_OR_RETURN(store_, Store::Open(StoreOptionsOf(context_, parts_.store_worker)));
  context_.store = store_.get();
  archive_ =
      std::make_unique<JobArchive>(store_.get(), context_.clock, context_.options.diffs_kept_for);

  const base::Now now = context_.clock->Read();
  ORCH_ASSIGN_OR_RETURN(auto nodes, store_->LoadNodes());
  for (const auto& [node, row] : nodes) {
    roster_->Restore(node, row, now);
    context_.credentials->LearnChain(
        {row.certificate_chain().begin(), row.certificate_chain().end()});
  }
  ORCH_ASSIGN_OR_RETURN(std::vector<orch::v1::Job> ended,
                        store_->LoadEnded(now.wall - kJobsWatchedFor, kEndedJobsKept));
  for (orch::v1::Job& job : ended) job_changes_->OnEnded(std::move(job));
  ORCH_ASSIGN_OR_RETURN(std::vector<UnfinishedJob> jobs, store_->LoadUnfinished());
  for (UnfinishedJob& job : jobs) {
    auto run = JobRun::Restore(&context_, std::move(job), OnJobEnded());
    base::LogInfo("job taken up again", {{"job_id", run->id()},
                                         {"caller", run->caller()},
                                         {"trace_id", run->trace().trace_id},
                                         {"span_id", run->trace().span_id}});
    ++context_.metrics.jobs_adopted;
    job_changes_->OnChanged(run->id());
    runs_.emplace(run->id(), std::move(run));
  }
  return absl::OkStatus();
}

void Dispatcher::Start() {
  store_->Start();
  context_.bus_since = context_.clock->Read().wall;
  const std::weak_ptr<Dispatcher> weak = weak_from_this();
  inbox_ = std::make_shared<Inbox>(
      parts_.io, parts_.bus_strand, parts_.strand, parts_.credentials, parts_.clock,
      [weak](OpenedBatch batch) {
        auto self = weak.lock();
        if (self != nullptr) self->OnBatch(std::move(batch));
      },
      parts_.threads);
  beacon_ = std::make_shared<Beacon>(&context_);
  keeper_ = std::make_shared<RosterKeeper>(&context_, [weak](const std::string& node) {
    auto self = weak.lock();
    if (self != nullptr) self->OnNodeBack(node);
  });
  beacon_->Start();
  keeper_->Start();
  for (const auto& [id, run] : runs_) run->OnBusChange(false);
  Subscribe();
}

void Dispatcher::Subscribe() {
  const std::weak_ptr<Dispatcher> weak = weak_from_this();
  boost::asio::post(parts_.bus_strand, [weak, client = parts_.client, inbox = inbox_,
                                        strand = parts_.strand, options = context_.options] {
    for (const std::string& collective : options.collectives) {
      client->Subscribe(options.destinations.Reply(collective, options.controller),
                        [inbox](bus::Delivery delivery) { inbox->OnReply(std::move(delivery)); });
      client->Subscribe(options.destinations.Presence(collective), [inbox](bus::Delivery delivery) {
        inbox->OnPresence(std::move(delivery));
      });
    }
    client->WatchFailures([weak, client, strand] {
      boost::asio::post(strand, [weak, error = client->status().last_error] {
        auto self = weak.lock();
        if (self != nullptr) self->OnBusFailure(error);
      });
    });
    client->Start([weak, client, strand](bool connected) {
      const std::string error = client->status().last_error;
      boost::asio::post(strand, [weak, connected, error] {
        auto self = weak.lock();
        if (self != nullptr) self->OnConnected(connected, error);
      });
    });
  });
}

void Dispatcher::OnConnected(bool connected, std::string error) {
  if (stopping_) return;
  const base::Now now = context_.clock->Read();
  context_.connected = connected;
  context_.bus_since = now.wall;
  context_.bus_error = connected ? "" : std::move(error);
  if (connected) context_.connected_at = now.steady;
  const auto runs = runs_;  // a run may end in here
  for (const auto& [id, run] : runs) run->OnBusChange(connected);
  if (!connected) return;
  beacon_->OnConnected();
  keeper_->OnConnected();
}

void Dispatcher::OnBusFailure(std::string error) {
  if (!context_.connected) context_.bus_error = std::move(error);
}

std::string BusTrouble(const DispatcherContext& context) {
  const absl::Duration away = context.clock->Read().wall - context.bus_since;
  return absl::StrCat("not connected to the message bus for ",
                      absl::FormatDuration(absl::Trunc(away, absl::Seconds(1))), ": ",
                      context.bus_error);
}

void Dispatcher::OnBatch(OpenedBatch batch) {
  ORCH_CHECK_ON(context_.strand);
  if (stopping_) return;
  const base::Now now = context_.clock->Read();
  context_.metrics.replies_in += batch.replies.size();
  context_.metrics.presences_in += batch.presences.size();
  std::vector<JobRun*> touched;  // in the order of their first reply
  for (const OpenedReply& opened : batch.replies) {
    JobRun* const run = OnReply(opened, now);
    if (run != nullptr && std::find(touched.begin(), touched.end(), run) == touched.end()) {
      touched.push_back(run);
    }
  }
  for (OpenedPresence& opened : batch.presences) keeper_->OnPresence(std::move(opened), now);
  for (const RefusedEnvelope& refused : batch.refused) OnRefused(refused, now);
  for (JobRun* run : touched) run->Flush();
}

JobRun* Dispatcher::OnReply(const OpenedReply& opened, base::Now now) {
  // A replayed reply is no sign of life.
  if (absl::AbsDuration(ToTime(opened.reply.time()) - now.wall) < context_.options.stale_after) {
    roster_->OnHeard(opened.reply.node(), now);
  }
  auto run = runs_.find(opened.reply.job_id());
  if (run != runs_.end()) {
    run->second->OnReply(opened, now);
    return run->second.get();
  }
  auto admission = admissions_.find(opened.reply.job_id());
  if (admission != admissions_.end()) {
    const auto keep = admission->second;  // it may be over with this
    keep->OnReply(opened, now);
  } else {
    OnLateReply(opened, now);
  }
  return nullptr;
}

void Dispatcher::OnLateReply(const OpenedReply& opened, base::Now now) {
  const orch::bus::v1::Reply& reply = opened.reply;
  // Of a job that ended: worth keeping only if it contradicts what was decided.
  if (!reply.has_outcome() || !base::IsUlid(reply.job_id())) {
    ++context_.metrics.replies_unknown;
    return;
  }
  ++context_.metrics.replies_late;
  if (now.steady - late_since_ >= absl::Seconds(1)) {
    late_since_ = now.steady;
    late_count_ = 0;
  }
  if (++late_count_ > kLatePerSecondMax) return;
  StoreWrite write;
  write.late.emplace();
  write.late->job_id = reply.job_id();
  write.late->request_id = reply.request_id();
  write.late->request_digest = reply.request_digest();
  write.late->node = reply.node();
  write.late->state = reply.outcome().state();
  write.late->evidence = LateEvidence(reply.outcome(), now.wall);
  store_->PostWrite(std::move(write), Store::OnFailure::kReport, nullptr);
}

void Dispatcher::OnRefused(const RefusedEnvelope& refused, base::Now now) {
  RefusedLog::Count(refused, &context_.metrics);
  if (!refused.claimed_node.empty()) {
    return keeper_->OnUnknownKey(refused.claimed_node, now);  // ordinary after a restart
  }
  refused_log_.Tell(refused, now);
}

void Dispatcher::OnNodeBack(const std::string& node) {
  for (const auto& [id, run] : runs_) run->OnNodeBack(node);
  const auto admissions = admissions_;  // one may be over with this
  for (const auto& [id, admission] : admissions) admission->OnNodeBack(node);
}

std::function<void(JobRun*)> Dispatcher::OnJobEnded() {
  return [weak = weak_from_this()](JobRun* run) {
    auto self = weak.lock();
    if (self == nullptr) return;
    const orch::v1::Job job = run->Visible();
    CountEnd(job, &self->context_.metrics);
    base::LogInfo(
        "job ended",
        {{"job_id", run->id()},
         {"caller", job.caller()},
         {"state", StateWord(job.state())},
         {"nodes", job.targets()},
         {"seconds", absl::ToDoubleSeconds(ToTime(job.end_time()) - ToTime(job.create_time()))},
         {"why", job.message()},
         {"trace_id", run->trace().trace_id},
         {"span_id", run->trace().span_id}});
    self->context_.audit->PostJobEnd(job);
    self->job_changes_->OnEnded(job);
    // Not now: the run is in the middle of telling its readers.
    boost::asio::post(self->context_.strand, [weak, id = run->id()] {
      auto later = weak.lock();
      if (later == nullptr) return;
      auto it = later->runs_.find(id);
      if (it == later->runs_.end()) return;
      it->second->Stop();
      later->runs_.erase(it);
    });
  };
}

void Dispatcher::AddUnderWay(const std::string& rule,
                             absl::flat_hash_set<std::string>* nodes) const {
  for (const auto& [id, run] : runs_) {
    if (run->job().setup().limit_rule != rule) continue;
    for (std::string& node : run->job().nodes().OpenNames()) nodes->insert(std::move(node));
  }
  for (const auto& [id, admission] : admissions_) {
    if (admission->limit_rule() != rule) continue;
    nodes->insert(admission->frozen().begin(), admission->frozen().end());
  }
}

void Dispatcher::Stop() {
  if (std::exchange(stopping_, true)) return;
  outbox_->Stop();
  if (beacon_ != nullptr) beacon_->Stop();
  if (keeper_ != nullptr) keeper_->Stop();
  job_changes_->Stop();
  const auto admissions = std::exchange(admissions_, {});
  for (const auto& [id, admission] : admissions) admission->Stop();
  for (const auto& [id, run] : runs_) run->Stop();
  store_->Stop();
  runs_.clear();
}

DispatcherStatus Dispatcher::Status() const {
  DispatcherStatus status;
  status.bus_connected = context_.connected;
  status.bus_since = context_.bus_since;
  status.bus_error = context_.bus_error;
  status.store_ok = store_->ok();
  status.jobs_running = runs_.size();
  const Roster::Counts counts = roster_->counts();
  status.nodes_present = counts.present;
  status.nodes_stale = counts.stale;
  return status;
}

DispatcherMetrics Dispatcher::Metrics() const {
  DispatcherMetrics metrics = context_.metrics;
  metrics.jobs_running = runs_.size();
  if (inbox_ != nullptr) metrics.replies_busy = inbox_->dropped();
  metrics.messages_waiting = outbox_->waiting();
  metrics.bytes_unconfirmed = outbox_->unconfirmed_bytes();
  metrics.commits = store_->commits();
  metrics.commits_failed = store_->commits_failed();
  metrics.store_ok = store_->ok();
  const Roster::Counts counts = roster_->counts();
  metrics.nodes_present = counts.present;
  metrics.nodes_stale = counts.stale;
  metrics.nodes_gone = counts.gone;
  metrics.facts_known = counts.facts_known;
  return metrics;
}

}  // namespace orch::controller
