// SPDX-License-Identifier: Apache-2.0

// A request is a Task that goes through splay, lock and preparation to a RunFollower. All of these
// wait, so each step is a callback, and a task may have ended (cancelled, the agent stopped) before
// it comes: IfAlive is the one place that checks it. A run begins only where no task is Active:
// `starting` is set before the worker writes the run's directory, so that a second request can't
// slip in while that is under way. A cancel that arrives in this time is remembered and heeded
// afterwards. A directory that exists already means that this very request was started before,
// whatever the journal says: it is followed, never started again.

#include "nodeagent/actions/puppet_run.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "api/change.h"
#include "base/config.h"
#include "base/ids.h"
#include "base/proto_time.h"
#include "base/timer.h"
#include "base/weak.h"
#include "nodeagent/actions/outcome.h"
#include "nodeagent/actions/puppet_arguments.h"
#include "nodeagent/actions/run_follower.h"
#include "nodeagent/actions/run_outcome.h"
#include "nodeagent/puppet/puppet_lock.h"
#include "nodeagent/puppet/puppet_report.h"
#include "nodeagent/puppet/puppet_summary.h"
#include "nodeagent/text/plain_file.h"

namespace orch::nodeagent {
namespace {

using orch::bus::v1::Outcome;

constexpr absl::Duration kLockInterval = absl::Milliseconds(250);
constexpr size_t kOriginFileMax = 4096;

// Where runs get a transient unit of their own; empty: nowhere.
std::string SystemdRun(const PuppetConfig& config) {
  if (config.systemd_run() == "none") return "";
  if (!config.systemd_run().empty()) return config.systemd_run();
  const bool there = geteuid() == 0 && access("/run/systemd/system", F_OK) == 0 &&
                     access("/usr/bin/systemd-run", X_OK) == 0;
  return there ? "/usr/bin/systemd-run" : "";
}

// The time that a splay waits; a node of many draws its own.
absl::Duration DrawSplay(const orch::v1::PuppetRun& run, base::Random* random) {
  if (!run.splay() || run.force()) return absl::ZeroDuration();
  const absl::Duration limit =
      run.has_splay_limit() ? ToDuration(run.splay_limit()) : kSplayLimitDefault;
  return limit * random->Uniform(0, 1);
}

Outcome AlreadyRunning(absl::Time since) {
  return Refused("already_running",
                 absl::StrCat("already running since ",
                              absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", since, absl::UTCTimeZone())));
}

Outcome Cancelled() {
  return Ended(orch::v1::NODE_STATE_CANCELLED, "cancelled", "cancelled before Puppet was started");
}

// The report may have differences that were not asked for: puppet.conf can say so, or another
// request that shares the run. They may be secrets.
Outcome WithDiffsAsAsked(const orch::v1::PuppetRun& run, Outcome outcome) {
  if (!run.show_diff() && outcome.result().has_puppet_run()) {
    api::DropDiffs("", outcome.mutable_result()->mutable_puppet_run());
  }
  return outcome;
}

int LeastRank(const orch::v1::PuppetRun& run) {
  if (run.debug()) return LogLevelRank("debug");
  return LogLevelRank(run.evaltrace() ? "info" : "notice");
}

// One request.
struct Task {
  Task(ActionCall c, const PuppetRunsParts& parts)
      : call(std::move(c)), timer(parts.strand, parts.clock) {}
  const orch::v1::PuppetRun& run() const { return call.action.puppet_run(); }

  ActionCall call;
  base::Timer timer;
  absl::Duration lock_deadline;           // steady; of wait_for_lock
  absl::Duration join_deadline;           // steady
  std::shared_ptr<Task> joined;           // the run of ours whose result it waits for
  pid_t joined_pid = 0;                   // or the foreign one
  absl::Time joined_since;                // its lock's
  std::shared_ptr<RunFollower> follower;  // since its directory is written
  bool told_waiting = false;              // for another run, to the controller
  bool starting = false;                  // its directory is being written, or read
  bool cancel_asked = false;              // meanwhile: heeded as soon as that is done
  bool ended = false;
  absl::Time started;
};

}  // namespace

struct PuppetRuns::State : std::enable_shared_from_this<PuppetRuns::State> {
  using TaskPtr = std::shared_ptr<Task>;
  using Paths = std::shared_ptr<const PuppetPaths>;

  explicit State(PuppetRunsParts p) : parts(std::move(p)) {}

  // Calls `next` with this state and `arguments` as long as it is there and the task has not ended.
  template <typename Next>
  auto IfAlive(TaskPtr task, Next next) {
    return base::WhileAlive(weak_from_this(), [task, next](State& self, auto&&... arguments) {
      if (!task->ended) next(self, task, arguments...);
    });
  }

  void OnPaths(const TaskPtr& task, const Paths& paths);
  void TryStart(const TaskPtr& task, const Paths& paths);
  void TellWaits(const TaskPtr& task, absl::Time since);
  void WaitForLock(const TaskPtr& task, const Paths& paths);
  void Join(const TaskPtr& task, const Paths& paths, const RunLockHolder& holder);
  void PollJoined(const TaskPtr& task, const Paths& paths);
  void Prepare(const TaskPtr& task, const Paths& paths);
  void OnResume(const TaskPtr& task, const absl::StatusOr<RunSpec>& spec);
  void Follow(const TaskPtr& task, const RunSpec& spec, bool attach);
  void End(const TaskPtr& task, Outcome outcome);
  void Remember(const Task& task, const Outcome& outcome);
  void Recall();
  // Beside the runs' directory, which holds nothing else but theirs.
  std::string OriginFile() const { return absl::StrCat(parts.runs, ".last"); }
  TaskPtr Active() const;
  RunDirectory DirectoryOf(const Task& task) const {
    return RunDirectory(absl::StrCat(parts.runs, "/", base::Hex(task.call.request_id)));
  }

  const PuppetRunsParts parts;
  std::vector<TaskPtr> tasks;
  RunOrigin origin;  // of the last run of ours
};

PuppetRuns::State::TaskPtr PuppetRuns::State::Active() const {
  for (const TaskPtr& task : tasks) {
    if (task->starting || task->follower != nullptr) return task;
  }
  return nullptr;
}

void PuppetRuns::State::OnPaths(const TaskPtr& task, const Paths& paths) {
  const absl::Duration now = parts.clock->Read().steady;
  const absl::Duration splay = DrawSplay(task->run(), parts.random);
  task->lock_deadline = now + splay + ToDuration(task->run().wait_for_lock());
  if (splay <= absl::ZeroDuration()) return TryStart(task, paths);
  task->call.waits(true);
  task->timer.expires_after(splay);
  task->timer.async_wait(IfAlive(
      task, [paths](State& self, const TaskPtr& waiting, const boost::system::error_code& error) {
        if (!error) self.TryStart(waiting, paths);
      }));
}

void PuppetRuns::State::TryStart(const TaskPtr& task, const Paths& paths) {
  if (const std::optional<std::string> message = ReadDisabledLock(paths->agent_disabled_lockfile)) {
    return End(task, Refused("disabled", *message));
  }
  const TaskPtr active = Active();
  const std::optional<RunLockHolder> holder = FindRunLockHolder(paths->agent_catalog_run_lockfile);
  if (active == nullptr && !holder.has_value()) return Prepare(task, paths);
  const absl::Time since = active != nullptr ? active->started : holder->since;
  if (task->run().join()) {
    TellWaits(task, since);
    task->joined = active;
    return Join(task, paths, holder.value_or(RunLockHolder()));
  }
  if (parts.clock->Read().steady >= task->lock_deadline) return End(task, AlreadyRunning(since));
  TellWaits(task, since);
  WaitForLock(task, paths);
}

// Once: to whoever follows the job, and to the agent, whose room it then does not take.
void PuppetRuns::State::TellWaits(const TaskPtr& task, absl::Time since) {
  task->call.waits(true);
  if (std::exchange(task->told_waiting, true)) return;
  orch::v1::ActionProgress news;
  news.mutable_puppet_run()->set_level("notice");
  news.mutable_puppet_run()->set_source("orch");
  news.mutable_puppet_run()->set_message(
      absl::StrCat("waits for the Puppet run that works since ",
                   absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", since, absl::UTCTimeZone())));
  task->call.progress(std::move(news));
}

void PuppetRuns::State::WaitForLock(const TaskPtr& task, const Paths& paths) {
  task->timer.expires_after(kLockInterval);
  task->timer.async_wait(IfAlive(
      task, [paths](State& self, const TaskPtr& waiting, const boost::system::error_code& error) {
        if (!error) self.TryStart(waiting, paths);
      }));
}

void PuppetRuns::State::Join(const TaskPtr& task, const Paths& paths, const RunLockHolder& holder) {
  // A run of ours tells its joiners when it ends.
  if (task->joined != nullptr) return;
  task->joined_pid = holder.pid;
  task->joined_since = holder.since;
  task->join_deadline = parts.clock->Read().steady +
                        RunTimeout(task->run(), task->call.timeout, parts.paths->config(), *paths);
  PollJoined(task, paths);
}

void PuppetRuns::State::PollJoined(const TaskPtr& task, const Paths& paths) {
  const std::optional<RunLockHolder> holder = FindRunLockHolder(paths->agent_catalog_run_lockfile);
  const bool goes_on = holder.has_value() && holder->pid == task->joined_pid;
  if (goes_on && parts.clock->Read().steady >= task->join_deadline) {
    return End(task, Ended(orch::v1::NODE_STATE_TIMED_OUT, "timeout",
                           "the run that was joined goes on for longer than allowed"));
  }
  if (goes_on) {
    task->timer.expires_after(kLockInterval);
    task->timer.async_wait(IfAlive(
        task, [paths](State& self, const TaskPtr& waiting, const boost::system::error_code& error) {
          if (!error) self.PollJoined(waiting, paths);
        }));
    return;
  }
  auto next = IfAlive(task, [](State& self, const TaskPtr& waiting, const Outcome& outcome) {
    self.End(waiting, outcome);
  });
  parts.worker->Post([next, strand = parts.strand, report = paths->lastrunreport,
                      since = task->joined_since,
                      environment = EnvironmentAsked(task->run())]() mutable {
    const Outcome outcome = JudgeRun(GatherJoined(report, since, environment));
    base::asio::post(strand, [next, outcome]() mutable { next(outcome); });
  });
}

void PuppetRuns::State::Prepare(const TaskPtr& task, const Paths& paths) {
  const RunDirectory directory = DirectoryOf(*task);
  const PuppetConfig& config = parts.paths->config();
  RunSpec spec;
  spec.argv = PuppetArguments(task->run(), config, *paths, directory.log());
  spec.environment = ConstantEnvironment();
  spec.disabled_lock = paths->agent_disabled_lockfile;
  // Puppet's agent takes the run lock itself, its apply does not.
  if (config.mode() == PUPPET_MODE_APPLY) spec.run_lock = paths->agent_catalog_run_lockfile;
  spec.report = paths->lastrunreport;
  spec.summary = paths->lastrunfile;
  spec.environment_asked = EnvironmentAsked(task->run());
  spec.create_time = task->started = parts.clock->Read().wall;
  spec.timeout = RunTimeout(task->run(), task->call.timeout, config, *paths);
  if (task->run().kill_on_timeout()) spec.kill_after = spec.timeout;
  task->starting = true;
  task->call.waits(false);
  auto next = IfAlive(task, [](State& self, const TaskPtr& waiting, const absl::Status& status,
                               const RunSpec& prepared) {
    waiting->starting = false;
    // The journal was lost, but not this: it is the same request, and it has been started.
    if (absl::IsAlreadyExists(status)) return self.Follow(waiting, prepared, true);
    if (!status.ok()) return self.End(waiting, Failed("start_failed", status.message()));
    // Nothing was launched, and what is only prepared is never launched later.
    if (waiting->cancel_asked) return self.End(waiting, Cancelled());
    self.Follow(waiting, prepared, false);
  });
  parts.worker->Post([next, strand = parts.strand, directory, spec]() mutable {
    spec.previous_uuid = PeekReportHead(spec.report).transaction_uuid;
    const absl::StatusOr<PuppetSummary> summary = ReadPuppetSummary(spec.summary);
    if (summary.ok()) spec.previous_summary = summary->digest;
    const absl::Status status = directory.Prepare(spec);
    if (absl::IsAlreadyExists(status)) {
      const absl::StatusOr<RunSpec> written = directory.ReadSpec();
      if (written.ok()) spec = *written;
    }
    base::asio::post(strand, [next, status, spec]() mutable { next(status, spec); });
  });
}

void PuppetRuns::State::Follow(const TaskPtr& task, const RunSpec& spec, bool attach) {
  FollowerParts follower{parts.strand,
                         parts.worker,
                         parts.clock,
                         parts.wrapper,
                         SystemdRun(parts.paths->config()),
                         LeastRank(task->run())};
  task->follower = std::make_shared<RunFollower>(
      std::move(follower), DirectoryOf(*task), spec, task->call.progress,
      IfAlive(task, [](State& self, const TaskPtr& ended, const Outcome& outcome) {
        self.End(ended, outcome);
      }));
  if (!attach) return task->follower->Launch();
  if (task->cancel_asked && task->follower->Cancel()) return;
  task->follower->Attach();
}

void PuppetRuns::State::OnResume(const TaskPtr& task, const absl::StatusOr<RunSpec>& spec) {
  task->starting = false;
  if (spec.ok()) {
    task->started = spec->create_time;
    return Follow(task, *spec, true);
  }
  if (absl::IsNotFound(spec.status())) {
    if (task->cancel_asked) return End(task, Cancelled());
    return End(task, Refused("interrupted",
                             "the node agent was restarted before Puppet was started, and it "
                             "never will be"));
  }
  End(task, Ended(orch::v1::NODE_STATE_LOST, "unreadable", spec.status().message()));
}

void PuppetRuns::State::End(const TaskPtr& task, Outcome outcome) {
  if (std::exchange(task->ended, true)) return;
  task->timer.cancel();
  const bool ran = task->follower != nullptr;
  if (ran) task->follower->Stop();
  if (ran) Remember(*task, outcome);
  tasks.erase(std::remove(tasks.begin(), tasks.end(), task), tasks.end());
  std::vector<TaskPtr> joiners;
  for (const TaskPtr& other : tasks) {
    if (other->joined == task) joiners.push_back(other);
  }
  task->call.done(WithDiffsAsAsked(task->run(), outcome));
  if (ran && parts.on_run_ended) parts.on_run_ended();
  if (outcome.result().has_puppet_run()) {
    outcome.mutable_result()->mutable_puppet_run()->set_joined(true);
  }
  for (const TaskPtr& joiner : joiners) {
    End(joiner, JudgeEnvironment(EnvironmentAsked(joiner->run()), outcome));
  }
}

// Written behind the answer: a lost note costs a name in a status, no more.
void PuppetRuns::State::Remember(const Task& task, const Outcome& outcome) {
  const std::string& uuid = outcome.result().puppet_run().transaction_uuid();
  if (uuid.empty()) return;
  origin = {uuid, task.call.job_id, task.call.caller};
  parts.worker->Post(
      [path = OriginFile(),
       text = absl::StrCat(origin.transaction_uuid, "\n", origin.job_id, "\n", origin.caller)] {
        base::WriteFileAtomically(path, text, 0600).IgnoreError();
      });
}

void PuppetRuns::State::Recall() {
  const absl::StatusOr<std::string> text = ReadPlainFile(OriginFile(), kOriginFileMax);
  if (!text.ok()) return;
  const std::vector<std::string> lines = absl::StrSplit(*text, '\n');
  if (lines.size() == 3) origin = {lines[0], lines[1], lines[2]};
}

PuppetRuns::PuppetRuns(PuppetRunsParts parts) : state_(std::make_shared<State>(std::move(parts))) {
  state_->Recall();
}

const RunOrigin& PuppetRuns::origin() const { return state_->origin; }

PuppetRuns::~PuppetRuns() {
  for (const State::TaskPtr& task : state_->tasks) {
    task->ended = true;
    task->timer.cancel();
    task->joined.reset();
    if (task->follower != nullptr) task->follower->Stop();
  }
}

void PuppetRuns::Start(ActionCall call) {
  if (const absl::Status status =
          CheckPuppetRun(call.action.puppet_run(), state_->parts.paths->config());
      !status.ok()) {
    return call.done(Refused("invalid", status.message()));
  }
  auto task = std::make_shared<Task>(std::move(call), state_->parts);
  task->started = state_->parts.clock->Read().wall;
  state_->tasks.push_back(task);
  state_->parts.paths->Get(
      state_->IfAlive(task, [](State& self, const State::TaskPtr& waiting,
                               const absl::StatusOr<std::shared_ptr<const PuppetPaths>>& paths) {
        if (paths.ok()) return self.OnPaths(waiting, *paths);
        self.End(waiting, Refused("puppet_unavailable", paths.status().message()));
      }));
}

void PuppetRuns::Resume(ActionCall call) {
  auto task = std::make_shared<Task>(std::move(call), state_->parts);
  task->starting = true;
  task->started = state_->parts.clock->Read().wall;
  state_->tasks.push_back(task);
  auto next = state_->IfAlive(
      task, [](State& self, const State::TaskPtr& resumed, const absl::StatusOr<RunSpec>& spec) {
        self.OnResume(resumed, spec);
      });
  state_->parts.worker->Post(
      [next, strand = state_->parts.strand, directory = state_->DirectoryOf(*task)]() mutable {
        base::asio::post(strand, [next, spec = directory.ReadSpec()]() mutable { next(spec); });
      });
}

void PuppetRuns::Cancel(const std::string& job_id) {
  for (const State::TaskPtr& task : std::vector<State::TaskPtr>(state_->tasks)) {
    if (task->call.job_id != job_id || job_id.empty() || task->ended) continue;
    if (task->follower != nullptr) {
      task->follower->Cancel();
    } else if (task->starting) {
      task->cancel_asked = true;
    } else {
      state_->End(task, Cancelled());
    }
  }
}

int PuppetRuns::running() const { return static_cast<int>(state_->tasks.size()); }

}  // namespace orch::nodeagent
