// SPDX-License-Identifier: Apache-2.0
#include "test/sim/operator.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace orch::sim {
namespace {

// An answer that has not come by then never comes: its controller died. A watch waits for news, so
// it may take as long as a run.
constexpr absl::Duration kPatience = absl::Seconds(20);
constexpr absl::Duration kRetry = absl::Seconds(1);
constexpr int kRefusalsMost = 600;
// Small pages, so that there are several.
constexpr size_t kPageBytes = 2000;
constexpr int kPageRows = 7;

}  // namespace

Operator::Operator(World* world, Ledger* ledger, Controller* controller, std::string name,
                   controller::AdmittedJob wanted)
    : world_(world),
      ledger_(ledger),
      controller_(controller),
      name_(std::move(name)),
      wanted_(std::move(wanted)) {}

void Operator::Start(absl::Duration wait) {
  world_->After(wait, [this] { Create(); });
}

void Operator::Again(uint64_t number, absl::Duration wait, void (Operator::*what)()) {
  world_->After(wait, [this, number, what] {
    if (number == call_) (this->*what)();
  });
}

void Operator::Create() {
  ++call_;
  Again(call_, kPatience, &Operator::Create);
  const auto done = Answer<controller::CreatedJob>(&Operator::OnCreated);
  const bool up = controller_->Ask([wanted = wanted_, done](controller::Dispatcher* dispatcher) {
    dispatcher->CreateJob(wanted, done);
  });
  if (!up) Again(call_, kRetry, &Operator::Create);
}

void Operator::OnCreated(absl::StatusOr<controller::CreatedJob> created) {
  ++call_;
  if (created.ok()) {
    id_ = created->job.name().substr(5);
    world_->Tell(
        name_, absl::StrCat("has job ", id_.substr(20), " on ", created->job.targets(), " nodes"));
    return Read();
  }
  world_->Tell(name_, absl::StrCat("is refused: ", created.status().message()));
  if (++refusals_ < kRefusalsMost) return Again(call_, kRetry, &Operator::Create);
  done_ = reread_ = true;
}

void Operator::CancelAfter(absl::Duration wait) {
  world_->After(wait, [this] { Cancel(); });
}

void Operator::Cancel() {
  if (done_) return;
  if (id_.empty()) return CancelAfter(kRetry);
  const auto answer = [this](absl::StatusOr<orch::v1::Job> job) {
    if (!job.ok()) CancelAfter(kRetry);
  };
  const bool up = controller_->Ask([id = id_, answer](controller::Dispatcher* dispatcher) {
    dispatcher->ChangeJob({.change = controller::JobChange::kCancel,
                           .job_id = id,
                           .caller = "cert=operator",
                           .reason = "enough"},
                          answer);
  });
  if (!up) return CancelAfter(kRetry);
  world_->Tell(name_, "cancels");
}

void Operator::Read() {
  ++call_;
  Again(call_, kPatience, &Operator::Read);
  const auto done = Answer<controller::JobLogPart>(&Operator::OnRead);
  const bool up = controller_->Ask(
      [id = id_, reader = call_, after = seen_, done](controller::Dispatcher* dispatcher) {
        dispatcher->ReadLog(reader, id, Who(), after, kPageBytes, done);
      });
  if (!up) Again(call_, kRetry, &Operator::Read);
}

void Operator::OnRead(absl::StatusOr<controller::JobLogPart> part) {
  ++call_;
  if (!part.ok()) {
    // What was shown once is there for ever; busy or starting it may be.
    if (!absl::IsUnavailable(part.status())) {
      return world_->Violate(absl::StrCat(name_, " reads its job after event ", seen_, ": ",
                                          part.status().ToString()));
    }
    return Again(call_, kRetry, &Operator::Read);
  }
  for (const auto& event : part->events) {
    ledger_->OnShown(name_, id_, *event);
    seen_ = event->sequence();
  }
  if (part->ended == nullptr) {
    Count();
    return Again(call_, absl::ZeroDuration(), &Operator::Read);
  }
  ledger_->OnShown(name_, *part->ended);
  world_->Tell(name_,
               absl::StrCat("sees its end: ", orch::v1::JobState_Name(part->ended->state())));
  done_ = true;
}

void Operator::Reread() {
  if (reread_ || std::exchange(rereading_, true)) return;
  ReadAll(0);
}

void Operator::Count() {
  const auto answer = [this](absl::StatusOr<orch::v1::Job> job) {
    if (job.ok()) ledger_->OnShown(name_, *job);
  };
  controller_->Ask([id = id_, answer](controller::Dispatcher* dispatcher) {
    dispatcher->GetJob(id, Who(), answer);
  });
}

void Operator::ReadAll(uint64_t after) {
  const auto done = [this](absl::StatusOr<controller::JobLogPart> part) {
    if (!part.ok()) return world_->Violate(part.status().ToString());
    for (const auto& event : part->events) {
      ledger_->OnShown(absl::StrCat(name_, " again"), id_, *event);
      log_.push_back(*event);
    }
    if (part->ended != nullptr) {
      job_ = *part->ended;
      return ReadRows("");
    }
    if (part->events.empty()) return world_->Violate("an ended job's log has no end");
    ReadAll(part->events.back()->sequence());
  };
  controller_->Ask([id = id_, reader = ++call_, after, done](controller::Dispatcher* dispatcher) {
    dispatcher->ReadLog(reader, id, Who(), after, kPageBytes, done);
  });
}

void Operator::ReadRows(std::string token) {
  const auto done = [this](absl::StatusOr<controller::JobNodePage> page) {
    if (!page.ok()) return world_->Violate(page.status().ToString());
    nodes_.insert(nodes_.end(), page->nodes.begin(), page->nodes.end());
    if (!page->next_page_token.empty()) return ReadRows(page->next_page_token);
    reread_ = true;
  };
  controller_->Ask([id = id_, token, done](controller::Dispatcher* dispatcher) {
    dispatcher->ListJobNodes({.job_id = id, .page_size = kPageRows, .page_token = token}, Who(),
                             done);
  });
}

}  // namespace orch::sim
