// SPDX-License-Identifier: Apache-2.0
#include "test/sim/node.h"

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/catalog.h"
#include "base/ids.h"
#include "base/status.h"
#include "bus/stomp/destination.h"
#include "nodeagent/facts/facts.h"
#include "nodeagent/journal/journal_store.h"
#include "nodeagent/puppet/puppet_paths.h"

namespace orch::sim {
namespace {

using orch::bus::v1::Outcome;

constexpr absl::Duration kTick = absl::Seconds(3);
constexpr absl::Duration kLaunchMost = absl::Milliseconds(40);
constexpr absl::Duration kClaimMost = absl::Milliseconds(400);

Outcome Ended(orch::v1::NodeState state, const std::string& reason, const std::string& message) {
  Outcome outcome;
  outcome.set_state(state);
  outcome.set_reason(reason);
  outcome.set_message(message);
  return outcome;
}

// The agent's own actions, as far as they are simulated.
class SimActions : public nodeagent::Actions {
 public:
  SimActions(Machine* machine, Process* process) : machine_(machine), process_(process) {}

  std::vector<orch::v1::NodeAction> Offered() const override {
    std::vector<orch::v1::NodeAction> offered;
    for (const char* name : {"node.ping", "puppet.run"}) {
      for (const api::ActionInfo& info : api::Actions()) {
        if (info.name != name) continue;
        orch::v1::NodeAction& action = offered.emplace_back();
        action.set_name(info.name);
        action.set_schema_digest(info.schema_digest);
        action.set_mutates(info.mutates);
      }
    }
    return offered;
  }
  void Start(nodeagent::ActionCall call) override {
    if (call.action.has_puppet_run()) return machine_->Start(std::move(call), process_);
    Outcome outcome = Ended(orch::v1::NODE_STATE_SUCCEEDED, "", "");
    outcome.mutable_result()->mutable_node_ping()->set_version("simulated");
    call.done(std::move(outcome));
  }
  void Resume(nodeagent::ActionCall call) override { machine_->Resume(std::move(call), process_); }
  void Cancel(const std::string& job_id) override { machine_->Cancel(job_id); }
  int running() const override { return machine_->running(); }
  orch::v1::PuppetStatusResult PuppetState() const override {
    orch::v1::PuppetStatusResult state;
    state.set_enabled(true);
    state.set_applying(machine_->running() > 0);
    return state;
  }

 private:
  Machine* const machine_;
  Process* const process_;
};

}  // namespace

// ---- The machine. ------------------------------------------------------------------------------

void Machine::Start(nodeagent::ActionCall call, Process* agent) {
  const std::string id = base::Hex(call.request_id);
  ledger_->OnHandedOver(name_, id, agent->clock().Read().wall);
  if (busy()) {
    return call.done(Ended(orch::v1::NODE_STATE_REFUSED, "already_running", "already running"));
  }
  if (runs_.contains(id)) return Resume(std::move(call), agent);  // its directory is there
  Run* const run = (runs_[id] = std::make_unique<Run>()).get();
  run->truth = ledger_->NewRun(name_, call.job_id, id);
  run->call = std::move(call);
  run->agent = agent;
  // The agent writes the directory; a crash before that leaves nothing.
  agent->After(world_->Between(absl::Microseconds(100), kLaunchMost), [this, run] { Launch(run); });
}

void Machine::Launch(Run* run) {
  if (run->outcome.has_value()) return;
  run->launched = true;
  world_->After(world_->Between(absl::Milliseconds(5), kClaimMost), [this, run, boot = boots_] {
    if (boot == boots_ && !run->claimed_by_agent && !run->outcome.has_value()) Begin(run);
  });
}

void Machine::Begin(Run* run) {
  ledger_->OnStarted(run->truth);
  for (int news = world_->Between(0, 3); news > 0; --news) {
    world_->After(world_->Between(absl::ZeroDuration(), habits_.least),
                  [this, run] { Progress(run); });
  }
  world_->After(world_->Between(habits_.least, habits_.most), [this, run, boot = boots_] {
    if (boot == boots_) Finish(run);
  });
}

void Machine::Progress(Run* run) {
  if (!run->call.has_value() || run->outcome.has_value()) return;
  run->agent->Post([this, run] {
    if (!run->call.has_value()) return;
    orch::v1::ActionProgress progress;
    progress.mutable_puppet_run()->set_level("notice");
    progress.mutable_puppet_run()->set_message(absl::StrCat("news of ", run->truth->mark));
    run->call->progress(std::move(progress));
  });
}

void Machine::Finish(Run* run) {
  TrueRun* const truth = run->truth;
  truth->ended = world_->now();
  const bool failed = world_->Chance(habits_.failing);
  truth->state = failed ? orch::v1::NODE_STATE_FAILED : orch::v1::NODE_STATE_SUCCEEDED;
  world_->Tell(name_, absl::StrCat("Puppet ends: ", truth->mark, failed ? ", failed" : ""));
  Outcome outcome = Ended(truth->state, "", truth->mark);
  outcome.mutable_result()->mutable_puppet_run()->set_verdict(
      failed ? orch::v1::PUPPET_RUN_VERDICT_FAILED : orch::v1::PUPPET_RUN_VERDICT_UNCHANGED);
  Answer(run, std::move(outcome));
}

void Machine::Answer(Run* run, Outcome outcome) {
  run->outcome = outcome;
  if (!run->call.has_value()) return;
  run->agent->Post([run] {
    const auto call = std::exchange(run->call, std::nullopt);
    if (call.has_value()) call->done(*run->outcome);
  });
}

void Machine::Resume(nodeagent::ActionCall call, Process* agent) {
  const std::string id = base::Hex(call.request_id);
  const auto found = runs_.find(id);
  world_->Tell(name_, absl::StrCat("takes request ", id.substr(0, 6), " up again"));
  const Outcome interrupted =
      Ended(orch::v1::NODE_STATE_REFUSED, "interrupted", "restarted before Puppet was started");
  if (found == runs_.end() || !found->second->launched) {
    // Whoever is late with launching it finds that it is not to be.
    if (found != runs_.end()) found->second->outcome = interrupted;
    agent->Post([call = std::move(call), interrupted] { call.done(interrupted); });
    return;
  }
  Run* const run = found->second.get();
  run->call = std::move(call);
  run->agent = agent;
  if (run->outcome.has_value()) return Answer(run, *run->outcome);
  if (run->truth->started.has_value()) return;  // it is followed
  run->claimed_by_agent = true;
  Answer(run, interrupted);
}

void Machine::Cancel(const std::string& job) {
  for (auto& [id, run] : runs_) {
    if (run->truth->job != job || run->truth->started.has_value() || run->outcome.has_value()) {
      continue;
    }
    run->claimed_by_agent = true;
    Answer(run.get(), Ended(orch::v1::NODE_STATE_CANCELLED, "cancelled", "before it started"));
  }
}

bool Machine::busy() const { return running() > 0; }

int Machine::running() const {
  int count = 0;
  for (const auto& [id, run] : runs_) count += !run->outcome.has_value();
  return count;
}

void Machine::ForgetAgent() {
  for (auto& [id, run] : runs_) {
    run->call.reset();
    run->agent = nullptr;
    // Prepared, not launched: there is no wrapper that could.
    if (!run->launched && !run->outcome.has_value()) {
      run->outcome = Ended(orch::v1::NODE_STATE_REFUSED, "interrupted", "never launched");
    }
  }
}

void Machine::Reboot() {
  ++boots_;
  ledger_->OnRebooted(name_);
  for (auto& [id, run] : runs_) {
    if (run->outcome.has_value()) continue;
    const bool started = run->truth->started.has_value();
    run->truth->killed = started;
    run->outcome = started ? Ended(orch::v1::NODE_STATE_LOST, "rebooted", "killed by a reboot")
                           : Ended(orch::v1::NODE_STATE_REFUSED, "interrupted", "never started");
  }
}

// ---- The agent. --------------------------------------------------------------------------------

// In the order in which it is made; buried the other way round.
struct Node::Life {
  Life(const Node::Parts& parts, Machine* machine)
      : process(parts.world, parts.name, parts.skew),
        link(parts.world, parts.network, &process),
        actions(std::make_unique<SimActions>(machine, &process)),
        tick(process.strand(), &process.clock()) {}

  Process process;
  Link link;
  std::unique_ptr<nodeagent::Actions> actions;
  base::Timer tick;
  std::unique_ptr<nodeagent::JournalStore> journal;
  std::unique_ptr<nodeagent::PuppetPathsFinder> paths;
  std::unique_ptr<nodeagent::Facts> facts;
  std::unique_ptr<nodeagent::Agent> agent;
};

Node::Node(Parts parts)
    : parts_(std::move(parts)), machine_(parts_.world, parts_.ledger, parts_.name, parts_.habits) {}
Node::~Node() = default;

void Node::Start() {
  if (life_ != nullptr) return;
  life_ = std::make_unique<Life>(parts_, &machine_);
  Process* const process = &life_->process;
  const base::Clock* const clock = &process->clock();
  const base::Now now = clock->Read();
  nodeagent::JournalOptions options;
  options.path = absl::StrCat(parts_.directory, "/", parts_.name, ".journal");
  options.sequence_path = absl::StrCat(parts_.directory, "/", parts_.name, ".sequence");
  options.random = process->random();
  options.plants = parts_.plants;
  auto journal = nodeagent::Journal::Open(options, now);
  auto credentials = trust::Credentials::Load(parts_.trust, now.wall);
  if (!journal.ok() || !credentials.ok()) {
    return parts_.world->Violate(absl::StrCat("node ", parts_.name,
                                              " does not start: ", journal.status().ToString(), " ",
                                              credentials.status().ToString()));
  }
  parts_.world->Tell(parts_.name, (*journal)->reset_reason().empty()
                                      ? "starts"
                                      : "starts, and refuses what is older");
  life_->journal = std::make_unique<nodeagent::JournalStore>(process->strand(), process->worker(),
                                                             *std::move(journal), clock);
  // Never started: the simulated fleet is targeted by name, or whole.
  life_->paths = std::make_unique<nodeagent::PuppetPathsFinder>(process->strand(), clock,
                                                                nodeagent::PuppetConfig(), "");
  life_->facts = std::make_unique<nodeagent::Facts>(nodeagent::FactsParts{
      process->strand(), clock, life_->paths.get(), {}, "", parts_.name, {"main"}});
  nodeagent::AgentParts made{.strand = process->strand(),
                             .clock = clock,
                             .self = {parts_.name, {"main"}, {"c1", "c2"}},
                             .destinations = {},
                             .client = &life_->link,
                             .credentials = *std::move(credentials),
                             .actions = life_->actions.get(),
                             .journal = life_->journal.get(),
                             .facts = life_->facts.get(),
                             .policy = nullptr,
                             .start_time = now.wall,
                             .random = process->random(),
                             .plants = parts_.plants};
  life_->agent = std::make_unique<nodeagent::Agent>(std::move(made));
  process->Post([this] {
    life_->agent->Start();
    Tick();
  });
}

void Node::Tick() {
  life_->agent->OnTick();
  life_->tick.expires_after(kTick);
  life_->tick.async_wait([this](boost::system::error_code error) {
    if (!error) Tick();
  });
}

void Node::Crash(bool reboot, absl::Duration down) {
  if (life_ == nullptr || life_->process.frozen()) return;
  parts_.world->Tell(parts_.name, reboot ? "loses its power" : "is killed");
  life_->process.Freeze();
  machine_.ForgetAgent();
  if (reboot) machine_.Reboot();
  // Not now: it may be one of its own that calls.
  parts_.world->After(absl::ZeroDuration(), [this, reboot] { Bury(reboot); });
  parts_.world->After(down, [this] { Start(); });
}

void Node::Bury(bool reboot) {
  life_.reset();
  // What a boot empties.
  if (!reboot) return;
  std::error_code ignored;
  std::filesystem::remove(absl::StrCat(parts_.directory, "/", parts_.name, ".sequence"), ignored);
}

void Node::CrashAtWork(bool reboot, absl::Duration down) {
  if (life_ == nullptr) return;
  life_->process.worker()->set_after_work([this, reboot, down] { Crash(reboot, down); });
}

void Node::CalmDown() {
  if (life_ != nullptr) life_->process.worker()->set_after_work(nullptr);
}

void Node::LoseConnection() {
  if (life_ != nullptr && !life_->process.frozen()) life_->link.Lose("a cable was pulled");
}

}  // namespace orch::sim
