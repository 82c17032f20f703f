// SPDX-License-Identifier: Apache-2.0
// What a seed decides: how bad the bus is, who is killed when, which jobs are wanted. The faults
// end at a moment of their own (`calm`), from which on everything has to come to its end.
#include "test/sim/simulation.h"

#include <filesystem>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/config.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "bus/stomp/destination.h"
#include "orch/bus/v1/envelope.pb.h"
#include "orch/bus/v1/request.pb.h"
#include "test/sim/controller.h"
#include "test/sim/ledger.h"
#include "test/sim/network.h"
#include "test/sim/node.h"
#include "test/sim/operator.h"
#include "test/sim/world.h"
#include "test/testing/test_ca.h"
#include "trust/identity.h"

namespace orch::sim {
namespace {

// No job takes longer: a run that nobody hears of is given up an hour after its acceptance.
constexpr absl::Duration kJobsMost = absl::Hours(5);
constexpr absl::Duration kRereadMost = absl::Minutes(30);
constexpr absl::Duration kDownMost = absl::Seconds(70);

class Simulation {
 public:
  Simulation(const Fleet& fleet, uint64_t seed, base::Plants plants);
  Verdict Run();

 private:
  void DrawFaults();
  void DrawCrashes();
  void DrawJobs();
  controller::AdmittedJob DrawJob(int number);
  // The request as c2 would like it: the same ids, something else to do.
  void Imitate(const std::string& destination, const std::string& body);

  const Fleet& fleet_;
  const std::string directory_;
  const base::Plants plants_;
  World world_;
  Ledger ledger_{&world_};
  Network network_{&world_};
  std::shared_ptr<trust::Credentials> stranger_;
  double imitated_ = 0;  // of the requests
  absl::Duration calm_;
  Controller controller_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<std::unique_ptr<Operator>> operators_;
};

Simulation::Simulation(const Fleet& fleet, uint64_t seed, base::Plants plants)
    : fleet_(fleet),
      directory_(absl::StrCat(fleet.directory, "/seed-", seed)),
      plants_(plants),
      world_(seed),
      controller_({&world_, &network_, directory_, fleet.controller, plants}) {
  std::filesystem::create_directories(directory_);
  auto stranger = trust::Credentials::Load(fleet.stranger, world_.wall());
  ORCH_CHECK(stranger.ok());
  stranger_ = *std::move(stranger);
  PuppetHabits habits;
  habits.most =
      world_.Chance(0.2) ? absl::Minutes(4) : world_.Between(habits.least, absl::Minutes(1));
  for (const auto& [name, trust] : fleet_.nodes) {
    const absl::Duration skew = world_.Between(-absl::Seconds(20), absl::Seconds(20));
    nodes_.push_back(std::make_unique<Node>(
        Node::Parts{&world_, &ledger_, &network_, name, directory_, trust, skew, habits, plants}));
  }
}

void Simulation::DrawFaults() {
  calm_ = world_.Between(absl::Seconds(90), absl::Minutes(6));
  const double badness = world_.Chance(0.2) ? 0 : world_.random()->Uniform(0, 0.25);
  BusFaults faults;
  faults.dropped = badness * world_.random()->Uniform(0, 1);
  faults.repeated = badness * world_.random()->Uniform(0, 2);
  faults.late = badness * world_.random()->Uniform(0, 0.5);
  network_.set_faults(faults);
  world_.Tell("world", absl::StrFormat("%.0f%% dropped, %.0f%% repeated, %.0f%% late, until %.0f s",
                                       100 * faults.dropped, 100 * faults.repeated,
                                       100 * faults.late, absl::ToDoubleSeconds(calm_)));
  imitated_ = world_.Chance(0.3) ? 0.2 : 0;
  world_.After(calm_, [this] {
    network_.set_faults({});
    imitated_ = 0;
    controller_.CalmDown();
    for (const auto& node : nodes_) node->CalmDown();
    world_.Tell("world", "nothing is lost any more");
  });
  for (int i = world_.Between(0, 2); i > 0; --i) {
    world_.After(world_.Between(absl::Seconds(5), calm_ - absl::Seconds(60)), [this] {
      world_.Tell("world", "the broker goes away");
      network_.GoAway(world_.Between(absl::Seconds(1), absl::Seconds(60)));
    });
  }
}

void Simulation::DrawCrashes() {
  const auto sometime = [this] {
    return world_.Between(absl::Seconds(3), calm_ - absl::Seconds(75));
  };
  for (int i = world_.Between(0, 3); i > 0; --i) {
    world_.After(sometime(), [this] {
      const absl::Duration down = world_.Between(absl::Milliseconds(500), kDownMost);
      world_.Chance(0.5) ? controller_.Crash(down) : controller_.CrashAtWork(down);
    });
  }
  const double killed = world_.Chance(0.3) ? 0 : world_.random()->Uniform(0, 0.6);
  for (const auto& node : nodes_) {
    while (world_.Chance(killed)) {
      world_.After(sometime(), [this, it = node.get()] {
        const bool reboot = world_.Chance(0.3);
        const absl::Duration down = world_.Between(absl::Milliseconds(500), kDownMost);
        world_.Chance(0.5) ? it->Crash(reboot, down) : it->CrashAtWork(reboot, down);
      });
    }
    if (world_.Chance(0.1)) world_.After(sometime(), [it = node.get()] { it->LoseConnection(); });
  }
  if (world_.Chance(0.3)) world_.After(sometime(), [this] { controller_.LoseConnection(); });
}

controller::AdmittedJob Simulation::DrawJob(int number) {
  controller::AdmittedJob job;
  job.caller = "cert=operator";
  job.idempotency_key = absl::StrCat("job ", number);
  job.decision.otherwise = policy::Effect::kAllow;
  job.spec.mutable_action()->mutable_puppet_run();
  if (world_.Chance(0.5)) {
    for (const auto& [name, trust] : fleet_.nodes) {
      if (world_.Chance(0.8)) job.spec.add_nodes(name);
    }
  }
  // Rarely none: then a run that nobody hears of is waited for an hour, which is long to simulate.
  if (world_.Chance(0.97)) {
    const bool short_one = world_.Chance(0.3);
    *job.spec.mutable_timeout() = ToProtoDuration(
        absl::Seconds(short_one ? world_.Between(30, 180) : world_.Between(180, 600)));
  }
  orch::v1::Rollout* const rollout = job.spec.mutable_rollout();
  if (world_.Chance(0.6)) rollout->set_concurrency(world_.Between(1, kNodes));
  if (world_.Chance(0.2)) rollout->mutable_canary()->set_count(world_.Between(1, 3));
  if (world_.Chance(0.2)) rollout->mutable_max_failures()->set_count(world_.Between(1, 6));
  return job;
}

void Simulation::DrawJobs() {
  for (int number = world_.Between(1, 3); number > 0; --number) {
    const std::string name = absl::StrCat("op", number);
    operators_.push_back(
        std::make_unique<Operator>(&world_, &ledger_, &controller_, name, DrawJob(number)));
    const absl::Duration at = world_.Between(absl::Seconds(4), calm_ - absl::Seconds(60));
    operators_.back()->Start(at);
    if (world_.Chance(0.15)) {
      operators_.back()->CancelAfter(at + world_.Between(absl::Seconds(1), absl::Minutes(2)));
    }
  }
}

void Simulation::Imitate(const std::string& destination, const std::string& body) {
  orch::bus::v1::Envelope envelope;
  orch::bus::v1::Request request;
  const bool directed = destination.find(".node.") != std::string::npos;
  if (!directed || !envelope.ParseFromString(body) ||
      !request.ParseFromString(envelope.payload()) || request.controller() != "c1" ||
      !request.has_action() || !world_.Chance(imitated_)) {
    return;
  }
  request.set_controller("c2");
  request.mutable_action()->clear_timeout();
  request.mutable_action()->mutable_action()->mutable_node_ping();
  // Void already: the node refuses it, and a refusal carries nothing that tells the action.
  if (world_.Chance(0.5)) {
    const absl::Time before = ToTime(request.issue_time()) - absl::Minutes(10);
    *request.mutable_issue_time() = ToTimestamp(before);
    *request.mutable_expire_time() = ToTimestamp(before + absl::Minutes(1));
  }
  const auto signed_by_c2 =
      stranger_->Sign(trust::Domain::kRequest, request.SerializeAsString(), true);
  ORCH_CHECK(signed_by_c2.ok());
  world_.Tell("c2", absl::StrCat("imitates a request to ", destination));
  // Soon, so that it often comes before the true one.
  world_.After(world_.Between(absl::ZeroDuration(), absl::Milliseconds(50)),
               [this, destination, bytes = signed_by_c2->SerializeAsString()] {
                 network_.Publish(destination, bytes);
               });
}

Verdict Simulation::Run() {
  DrawFaults();
  DrawCrashes();
  DrawJobs();
  network_.set_tap([this](const std::string& destination, const std::string& body) {
    ledger_.OnPublished(destination, body);
    Imitate(destination, body);
  });
  network_.set_misdirection(bus::Destinations().Reply("main", "c2"),
                            bus::Destinations().Reply("main", "c1"));
  world_.After(absl::ZeroDuration(), [this] { controller_.Start(); });
  for (const auto& node : nodes_) {
    world_.After(world_.Between(absl::ZeroDuration(), absl::Seconds(10)),
                 [it = node.get()] { it->Start(); });
  }
  const auto all = [this](bool (Operator::*holds)() const) {
    return [this, holds] {
      for (const auto& one : operators_) {
        if (!(one.get()->*holds)()) return false;
      }
      return true;
    };
  };
  if (!world_.RunUntil(kJobsMost, all(&Operator::done))) {
    world_.Violate("a job does not end");
  }
  // What the bus still has comes late, and must start nothing.
  (void)world_.RunUntil(std::max(world_.now(), calm_) + kLateMost + absl::Minutes(1),
                        [] { return false; });
  for (const auto& one : operators_) one->Reread();
  if (!world_.RunUntil(world_.now() + kRereadMost, all(&Operator::reread))) {
    world_.Violate("what ended can't be read");
  }
  Verdict verdict;
  for (const auto& one : operators_) {
    if (one->job() != nullptr) ledger_.Audit(*one->job(), one->log(), one->nodes(), calm_);
  }
  ledger_.AuditStarts();
  verdict.violation = world_.violation();
  verdict.story = world_.story();
  verdict.starts = ledger_.starts();
  verdict.outcomes = ledger_.outcomes;
  return verdict;
}

trust::TrustConfig MakeIdentity(testing::TestCa* ca, const std::string& name, trust::Role role,
                                const std::string& directory) {
  testing::CertificateSpec spec;
  spec.common_names = {name};
  if (role != trust::Role::kNode) spec.role = std::string(trust::RoleName(role));
  spec.key = testing::KeyKind::kEd25519;
  // Its signatures are a function of key and message, and nothing else.
  trust::TrustConfig config = testing::WriteTrust(ca, ca->Issue(spec), name, directory);
  config.clear_crl();
  config.set_no_crl(true);
  return config;
}

}  // namespace

Fleet MakeFleet(const std::string& directory) {
  Fleet fleet;
  fleet.directory = directory;
  testing::TestCa ca("Simulated CA");
  fleet.controller = MakeIdentity(&ca, "c1", trust::Role::kController, directory);
  fleet.stranger = MakeIdentity(&ca, "c2", trust::Role::kController, directory);
  for (int i = 1; i <= kNodes; ++i) {
    const std::string name = absl::StrFormat("node%02d", i);
    fleet.nodes[name] = MakeIdentity(&ca, name, trust::Role::kNode, directory);
  }
  return fleet;
}

Verdict Simulate(const Fleet& fleet, uint64_t seed, base::Plants plants) {
  Verdict verdict = Simulation(fleet, seed, plants).Run();
  std::error_code ignored;
  std::filesystem::remove_all(absl::StrCat(fleet.directory, "/seed-", seed), ignored);
  return verdict;
}

}  // namespace orch::sim
