// SPDX-License-Identifier: Apache-2.0
#include "test/sim/controller.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace orch::sim {
namespace {

constexpr absl::Duration kAuditMost = absl::Milliseconds(30);

// An audit log that never fails.
class SlowAudit : public controller::AuditSink {
 public:
  SlowAudit(World* world, Process* process) : world_(world), process_(process) {}
  void PostFrozen(orch::v1::Job job, uint32_t count,
                  std::function<void(absl::Status)> done) override {
    process_->After(world_->Between(absl::ZeroDuration(), kAuditMost),
                    [done] { done(absl::OkStatus()); });
  }
  void PostJobEnd(orch::v1::Job job) override {}

 private:
  World* const world_;
  Process* const process_;
};

}  // namespace

struct Controller::Life {
  explicit Life(const Parts& parts)
      : process(parts.world, "c1", absl::ZeroDuration()),
        link(parts.world, parts.network, &process) {}

  Process process;
  Link link;
  std::shared_ptr<controller::Dispatcher> dispatcher;
};

Controller::Controller(Parts parts) : parts_(std::move(parts)) {}
Controller::~Controller() = default;

void Controller::Start() {
  if (life_ != nullptr) return;
  life_ = std::make_unique<Life>(parts_);
  Process* const process = &life_->process;
  auto credentials = trust::Credentials::Load(parts_.trust, process->clock().Read().wall);
  if (!credentials.ok()) return parts_.world->Violate(credentials.status().ToString());
  controller::DispatcherOptions options;
  options.controller = "c1";
  options.store_path = absl::StrCat(parts_.directory, "/c1.store");
  options.plants = parts_.plants;
  // Seldomer than in life, and before nodes miss three: each is judged by every node.
  options.beacon_interval = absl::Seconds(80);
  auto opened =
      controller::Dispatcher::Open({.io = process->io(),
                                    .strand = process->strand(),
                                    .bus_strand = process->strand(),
                                    .client = &life_->link,
                                    .credentials = *std::move(credentials),
                                    .audit = std::make_shared<SlowAudit>(parts_.world, process),
                                    .clock = &process->clock(),
                                    .random = process->random(),
                                    .store_worker = process->worker(),
                                    .threads = 1},
                                   std::move(options));
  if (!opened.ok()) {
    return parts_.world->Violate(
        absl::StrCat("the controller does not start: ", opened.status().ToString()));
  }
  parts_.world->Tell("c1", "starts");
  life_->dispatcher = *std::move(opened);
  process->Post([dispatcher = life_->dispatcher.get()] { dispatcher->Start(); });
}

void Controller::Crash(absl::Duration down) {
  if (life_ == nullptr || life_->process.frozen()) return;
  parts_.world->Tell("c1", "is killed");
  life_->process.Freeze();
  // Not now: it may be one of its own that calls.
  parts_.world->After(absl::ZeroDuration(), [this] { life_.reset(); });
  parts_.world->After(down, [this] { Start(); });
}

void Controller::CrashAtWork(absl::Duration down) {
  if (life_ == nullptr) return;
  life_->process.worker()->set_after_work([this, down] { Crash(down); });
}

void Controller::CalmDown() {
  if (life_ != nullptr) life_->process.worker()->set_after_work(nullptr);
}

void Controller::LoseConnection() {
  if (life_ != nullptr && !life_->process.frozen()) life_->link.Lose("a cable was pulled");
}

bool Controller::Ask(std::function<void(controller::Dispatcher*)> question) {
  if (life_ == nullptr || life_->process.frozen() || life_->dispatcher == nullptr) return false;
  life_->process.Post([dispatcher = life_->dispatcher.get(), question = std::move(question)] {
    question(dispatcher);
  });
  return true;
}

}  // namespace orch::sim
