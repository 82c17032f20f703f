// SPDX-License-Identifier: Apache-2.0

// The fake keeps a real log per job and answers readers from it as the dispatcher does (in order,
// at most bytes_max, only when there is something or the job has ended), because that is what
// services rely on. It decides nothing about jobs: tests append the events that they want to see.
// Everything is posted, as in the real one, so that a test meets the same order of callbacks.

#include "controller/gate/fake_dispatcher.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "api/errors.h"
#include "api/names.h"
#include "base/status.h"
#include "controller/gate/node_walk.h"
#include "target/target.h"

namespace orch::controller {

namespace asio = boost::asio;
using orch::v1::Job;
using orch::v1::JobEvent;
using orch::v1::Node;

std::string TestUlid(int n) { return absl::StrFormat("01J%023d", n); }

absl::StatusOr<FakeDispatcher::Log*> FakeDispatcher::Find(const std::string& job_id,
                                                          const JobVisibility& viewer) {
  const auto found = logs_.find(job_id);
  if (found == logs_.end() || !(viewer.everybody || found->second.job.caller() == viewer.caller)) {
    return api::Error(absl::StatusCode::kNotFound, "JOB_NOT_FOUND",
                      absl::StrCat("there is no jobs/", job_id));
  }
  return &found->second;
}

void FakeDispatcher::Append(Log* log, JobEvent event) {
  event.set_sequence(log->events.size() + 1);
  log->job.set_last_sequence(event.sequence());
  log->events.push_back(std::make_shared<const JobEvent>(std::move(event)));
  AnswerReaders();
}

void FakeDispatcher::AnswerReaders() {
  for (auto reader = readers_.begin(); reader != readers_.end();) {
    const Log& log = logs_[reader->second.job_id];
    const uint64_t after = reader->second.after_sequence;
    JobLogPart part;
    size_t bytes = 0;
    for (size_t i = after; i < log.events.size(); ++i) {
      bytes += log.events[i]->ByteSizeLong();
      if (!part.events.empty() && bytes > reader->second.bytes_max) break;
      part.events.push_back(log.events[i]);
    }
    if (log.ended && after + part.events.size() == log.events.size()) {
      part.ended = std::make_shared<const Job>(log.job);
    }
    if (part.events.empty() && part.ended == nullptr) {
      ++reader;
      continue;
    }
    auto done = std::move(reader->second.done);
    reader = readers_.erase(reader);
    done(std::move(part));
  }
}

void FakeDispatcher::PostSetCreateError(absl::Status error) {
  asio::post(strand_, [this, error] { create_error_ = error; });
}

void FakeDispatcher::PostAddJob(std::string job_id, std::string caller, orch::v1::JobSpec spec) {
  if (!spec.has_action()) spec.mutable_action()->mutable_node_ping();
  asio::post(strand_, [this, job_id, caller, spec] {
    Log& log = logs_[job_id];
    *log.job.mutable_spec() = spec;
    log.job.set_name(api::JobName(job_id));
    log.job.set_caller(caller);
    log.job.set_state(orch::v1::JOB_STATE_RUNNING);
    JobEvent started;
    *started.mutable_started()->mutable_job() = log.job;
    Append(&log, std::move(started));
  });
}

void FakeDispatcher::PostAppend(std::string job_id, JobEvent event) {
  asio::post(strand_, [this, job_id, event] { Append(&logs_[job_id], event); });
}

void FakeDispatcher::PostFinish(std::string job_id, orch::v1::JobState state) {
  asio::post(strand_, [this, job_id, state] {
    Log& log = logs_[job_id];
    log.job.set_state(state);
    log.ended = true;
    JobEvent finished;
    *finished.mutable_finished() = log.job;
    Append(&log, std::move(finished));
  });
}

void FakeDispatcher::PostNode(Node node) {
  asio::post(strand_, [this, node] {
    nodes_[node.identity()] = node;
    for (auto& [id, changed] : node_watchers_) changed({.nodes = {node}, .cursor = {1, 1}});
  });
}

void FakeDispatcher::PostSeen(std::function<void(Seen)> look) {
  asio::post(strand_, [this, look] {
    seen_.readers = readers_.size();
    seen_.node_watchers = node_watchers_.size();
    look(seen_);
  });
}

void FakeDispatcher::CreateJob(AdmittedJob job, Callback<CreatedJob> done) {
  seen_.admitted.push_back(job);
  if (!create_error_.ok()) return done(create_error_);
  CreatedJob out;
  out.job.set_caller(job.caller);
  *out.job.mutable_spec() = job.spec;
  out.job.set_state(orch::v1::JOB_STATE_RUNNING);
  if (job.validate_only) {
    for (const auto& [identity, node] : nodes_) out.nodes.push_back(identity);
    out.job.set_targets(out.nodes.size());
    return done(std::move(out));
  }
  const std::string id = TestUlid(++created_);
  out.job.set_name(api::JobName(id));
  Log& log = logs_[id];
  log.job = out.job;
  JobEvent started;
  *started.mutable_started()->mutable_job() = out.job;
  Append(&log, std::move(started));
  done(std::move(out));
}

void FakeDispatcher::GetJob(std::string job_id, JobVisibility viewer, Callback<Job> done) {
  const absl::StatusOr<Log*> log = Find(job_id, viewer);
  if (!log.ok()) return done(log.status());
  done((*log)->job);
}

void FakeDispatcher::ListJobs(JobsQuery query, JobVisibility viewer, Callback<JobPage> done) {
  JobPage page;
  for (auto log = logs_.upper_bound(query.page_token); log != logs_.end(); ++log) {
    if (!viewer.everybody && log->second.job.caller() != viewer.caller) continue;
    if (!query.caller.empty() && log->second.job.caller() != query.caller) continue;
    if (static_cast<int>(page.jobs.size()) == query.page_size) {
      page.next_page_token = page.jobs.back().name().substr(5);
      break;
    }
    page.jobs.push_back(log->second.job);
  }
  done(std::move(page));
}

// Every job has 120 nodes with large results.
void FakeDispatcher::ListJobNodes(JobNodesQuery query, JobVisibility viewer,
                                  Callback<JobNodePage> done) {
  const absl::StatusOr<Log*> log = Find(query.job_id, viewer);
  if (!log.ok()) return done(log.status());
  ++seen_.job_node_pages;
  constexpr int kNodes = 120;
  int next = 0;
  if (!query.page_token.empty() && !absl::SimpleAtoi(query.page_token, &next)) {
    return done(api::BadField("page_token", "is not one of ours"));
  }
  JobNodePage page;
  for (; next < kNodes && static_cast<int>(page.nodes.size()) < query.page_size; ++next) {
    orch::v1::JobNode node;
    node.set_node(absl::StrFormat("node%03d", next));
    if (!query.node.empty() && query.node != node.node()) continue;
    node.set_message(std::string(100 << 10, 'x'));
    page.nodes.push_back(std::move(node));
  }
  if (next < kNodes) page.next_page_token = absl::StrCat(next);
  done(std::move(page));
}

void FakeDispatcher::ReadLog(uint64_t reader_id, std::string job_id, JobVisibility viewer,
                             uint64_t after_sequence, size_t bytes_max, Callback<JobLogPart> done) {
  const absl::StatusOr<Log*> log = Find(job_id, viewer);
  if (!log.ok()) return done(log.status());
  if (after_sequence > (*log)->events.size()) {
    return done(api::Error(absl::StatusCode::kOutOfRange, "BEYOND_LOG", "beyond the log"));
  }
  readers_[reader_id] = {job_id, after_sequence, bytes_max, done};
  AnswerReaders();
}

// All jobs as they are, once.
void FakeDispatcher::ReadJobChanges(uint64_t, WatchCursor after, Callback<JobChangesPart> done) {
  if (after.process == 1) return;
  JobChangesPart part;
  part.cursor = {1, 1};
  part.reset = after.process != 0;
  for (const auto& [id, log] : logs_) {
    part.jobs.push_back(std::make_shared<const orch::v1::Job>(log.job));
  }
  done(std::move(part));
}

void FakeDispatcher::ForgetRead(uint64_t reader_id) {
  readers_.erase(reader_id);
  node_watchers_.erase(reader_id);
}

void FakeDispatcher::ChangeJob(JobChangeRequest request, Callback<Job> done) {
  const absl::StatusOr<Log*> log = Find(request.job_id, {request.caller, true});
  if (!log.ok()) return done(log.status());
  constexpr const char* kVerbs[] = {"cancel", "pause", "resume"};
  seen_.changes.push_back(absl::StrCat(kVerbs[static_cast<int>(request.change)], " ",
                                       request.job_id, " ", request.caller));
  done((*log)->job);
}

void FakeDispatcher::SetJudge(JobJudge judge) { seen_.judge = std::move(judge); }

void FakeDispatcher::ListNodes(orch::v1::Target target, bool with_facts,
                               Callback<std::vector<Node>> done) {
  const absl::StatusOr<target::Target> compiled = target::Target::Compile(target);
  if (!compiled.ok()) return done(compiled.status());
  std::vector<Node> out;
  for (const auto& [identity, node] : nodes_) {
    if (compiled->Evaluate(ViewOf(node)).truth != target::Truth::kTrue) continue;
    out.push_back(node);
    if (!with_facts) out.back().clear_facts();
  }
  done(std::move(out));
}

void FakeDispatcher::ExplainTarget(orch::v1::Target target, std::string node,
                                   Callback<ExplainedTarget> done) {
  const absl::StatusOr<target::Target> compiled = target::Target::Compile(target);
  if (!compiled.ok()) return done(compiled.status());
  ExplainedTarget out;
  for (const auto& [identity, known] : nodes_) {
    const target::NodeData view = ViewOf(known);
    if (identity == node) out.asked = ExplainOnNode(*compiled, view, known.state());
    const std::vector<std::string>& in = view.collectives_value;
    if (std::find(in.begin(), in.end(), compiled->collective()) == in.end()) continue;
    out.nodes.push_back(CountClauses(*compiled, view));
  }
  done(std::move(out));
}

void FakeDispatcher::GetNode(std::string identity, Callback<Node> done) {
  const auto found = nodes_.find(identity);
  if (found == nodes_.end()) {
    return done(api::Error(absl::StatusCode::kNotFound, "NODE_NOT_FOUND", "no such node"));
  }
  done(found->second);
}

void FakeDispatcher::WatchNodes(uint64_t reader_id, orch::v1::Target, WatchCursor after,
                                std::function<void(NodeChanges)> changed) {
  node_watchers_[reader_id] = changed;
  changed({.cursor = {1, 1}, .reset = after.process > 1});
}

DispatcherStatus FakeDispatcher::Status() const {
  DispatcherStatus status;
  status.bus_connected = true;
  return status;
}

}  // namespace orch::controller
