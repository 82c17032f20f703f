// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/actions/run_fixture.h"

#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/config.h"
#include "base/ids.h"

namespace orch::nodeagent {
namespace {

constexpr char kFakePuppet[] = "test/testing/fake_puppet/puppet";
constexpr char kWrapper[] = "nodeagent/wrapper/run_wrapper_main";

}  // namespace

RunFixture::RunFixture() {
  std::string pattern = testing::TempDir() + "runXXXXXX";
  directory_ = mkdtemp(pattern.data());
  vardir_ = directory_ + "/var";
  std::filesystem::create_directories(vardir_);
  config_.set_program(std::filesystem::absolute(kFakePuppet));
  config_.set_confdir(vardir_);
  config_.set_vardir(vardir_);
  config_.set_rundir(vardir_);
  config_.set_publicdir(vardir_);
  config_.set_systemd_run("none");
  Script({});
}

RunFixture::~RunFixture() {
  // No test leaves a wrapper or a Puppet behind.
  for (const auto& file : std::filesystem::recursive_directory_iterator(directory_)) {
    const RunDirectory directory(file.path().parent_path());
    std::optional<ProcessId> process;
    if (file.path().filename() == "claim") {
      if (const auto claim = directory.ReadClaim(); claim.ok()) process = (*claim)->claimer;
    } else if (file.path().filename() == "puppet") {
      if (const auto puppet = directory.ReadPuppet(); puppet.ok()) process = (*puppet)->process;
    }
    if (!process.has_value() || process->pid == getpid() || !IsAlive(*process)) continue;
    ProcessTree(*process).Signal(SIGKILL);
    Until([&] { return !IsAlive(*process); });
  }
  KillAgent();
  worker_->Stop();
  // A wrapper that ends by itself may still write.
  Until([&] {
    std::error_code error;
    std::filesystem::remove_all(directory_, error);
    return !error;
  });
}

void RunFixture::Script(const nlohmann::json& script) {
  std::ofstream(vardir_ + "/script.json") << (script.is_null() ? "{}" : script.dump());
}

void RunFixture::StartAgent() {
  paths_ = std::make_unique<PuppetPathsFinder>(strand_, &base::SystemClock(), config_,
                                               directory_ + "/puppet_paths.json");
  PuppetRunsParts parts{strand_,
                        worker_.get(),
                        &base::SystemClock(),
                        paths_.get(),
                        directory_ + "/runs",
                        {std::filesystem::absolute(kWrapper)},
                        [this] { runs_ended_++; }};
  runs_ = std::make_unique<PuppetRuns>(std::move(parts));
}

void RunFixture::KillAgent() {
  runs_.reset();
  paths_.reset();
}

bool RunFixture::Until(const std::function<bool()>& condition) {
  const absl::Time limit = absl::Now() + patience_;
  while (!condition()) {
    if (absl::Now() > limit) return false;
    io_.restart();
    io_.run_for(std::chrono::milliseconds(5));
  }
  return true;
}

ActionCall RunFixture::Call(const orch::v1::PuppetRun& run, char id) {
  ActionCall call;
  call.request_id = std::string(16, id);
  call.job_id = std::string("job-") + id;
  call.caller = "cert=operator";
  *call.action.mutable_puppet_run() = run;
  call.timeout = timeout_;
  call.progress = [this](const orch::v1::ActionProgress& progress) {
    ORCH_CHECK_ON(strand_);
    progress_.push_back(progress.puppet_run());
  };
  call.waits = [this, id](bool waits) {
    ORCH_CHECK_ON(strand_);
    waits_[id] = waits;
  };
  call.done = [this, id](const orch::bus::v1::Outcome& outcome) {
    ORCH_CHECK_ON(strand_);
    outcomes_[id].push_back(outcome);
  };
  return call;
}

void RunFixture::Start(const orch::v1::PuppetRun& run, char id) {
  if (runs_ == nullptr) StartAgent();
  base::asio::post(strand_, [this, agent = runs_.get(), call = Call(run, id)] {
    if (runs_.get() == agent) agent->Start(call);
  });
}

void RunFixture::Resume(char id) {
  if (runs_ == nullptr) StartAgent();
  base::asio::post(strand_, [this, agent = runs_.get(), call = Call({}, id)] {
    if (runs_.get() == agent) agent->Resume(call);
  });
}

orch::bus::v1::Outcome RunFixture::Outcome(char id) {
  EXPECT_TRUE(Until([&] { return HasOutcome(id); })) << "no outcome of " << id;
  if (!HasOutcome(id)) return {};
  EXPECT_EQ(outcomes_[id].size(), 1u);
  return outcomes_[id].back();
}

RunDirectory RunFixture::Directory(char id) const {
  return RunDirectory(directory_ + "/runs/" + base::Hex(std::string(16, id)));
}

ProcessId RunFixture::Wrapper(char id) {
  std::optional<RunClaim> claim;
  EXPECT_TRUE(Until([&] {
    claim = Directory(id).ReadClaim().value_or(std::nullopt);
    return claim.has_value();
  }));
  return claim.has_value() ? claim->claimer : ProcessId();
}

ProcessId RunFixture::Puppet(char id) {
  std::optional<RunPuppet> puppet;
  EXPECT_TRUE(Until([&] {
    puppet = Directory(id).ReadPuppet().value_or(std::nullopt);
    return puppet.has_value() && !Starts().empty();
  }));
  return puppet.has_value() ? puppet->process : ProcessId();
}

std::vector<nlohmann::json> RunFixture::Starts() const {
  std::vector<nlohmann::json> starts;
  std::ifstream in(vardir_ + "/starts");
  std::string line;
  while (std::getline(in, line)) starts.push_back(nlohmann::json::parse(line));
  return starts;
}

void RunFixture::Go() { std::ofstream(GoFile()) << "go"; }

}  // namespace orch::nodeagent
