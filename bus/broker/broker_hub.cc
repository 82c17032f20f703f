// SPDX-License-Identifier: Apache-2.0
#include "bus/broker/broker_hub.h"

#include <malloc.h>

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace orch::bus {
namespace {

// The clock is looked at no more often than this, whatever falls due.
constexpr absl::Duration kTimerStep = absl::Milliseconds(50);
// After so much was held and freed again, the allocator is asked to return it to the system.
constexpr size_t kReturnedBytes = 32 << 20;
constexpr absl::Duration kReturnDelay = absl::Seconds(1);
// What of a refusal's text tells its kind.
constexpr size_t kReasonBytes = 24;
// Chains verified between two looks at the other connections.
constexpr int kJudgedInTurn = 32;

}  // namespace

BrokerPeer PeerFrom(const trust::Peer& peer) {
  BrokerPeer out;
  out.name = peer.common_name;
  switch (peer.role) {
    case trust::Role::kNode:
      out.kind = BrokerPeer::Kind::kNode;
      break;
    case trust::Role::kController:
      out.kind = BrokerPeer::Kind::kController;
      break;
    case trust::Role::kUser:
      out.kind = BrokerPeer::Kind::kNobody;
      break;
  }
  return out;
}

absl::StatusOr<std::shared_ptr<BrokerHub>> BrokerHub::Make(base::Strand strand, BrokerBounds bounds,
                                                           std::string prefix) {
  std::shared_ptr<BrokerHub> hub(new BrokerHub(strand, bounds, std::move(prefix)));
  const std::weak_ptr<BrokerHub> weak = hub;
  ORCH_ASSIGN_OR_RETURN(hub->poller_, Poller::Make(strand, [weak] {
                          if (const std::shared_ptr<BrokerHub> self = weak.lock()) self->Settle();
                        }));
  return hub;
}

BrokerHub::~BrokerHub() {
  if (poller_ != nullptr) poller_->Stop();
}

void BrokerHub::Start() { poller_->Start(); }

void BrokerHub::Stop(std::function<void()> done) {
  if (stopping()) {
    base::asio::post(strand_, std::move(done));
    return;
  }
  done_ = std::move(done);
  core_.EndAll(Now());
  Settle();
}

void BrokerHub::Settle() {
  // Writing may end connections, which gives messages back, which makes others ready.
  if (settling_) return;
  settling_ = true;
  for (;;) {
    const std::vector<BrokerSession*> ready = core_.TakeReady();
    if (ready.empty()) break;
    for (BrokerSession* session : ready) session->link->OnReady();
  }
  settling_ = false;
  handshake_steps_ = kHandshakeStepsMax;
  LogNotes();
  WatchMemory();
  buried_.clear();
  if (done_ != nullptr && core_.sessions() == 0) {
    stopped_ = true;
    poller_->Stop();
    timer_.cancel();
    links_.clear();
    wakes_.clear();
    base::asio::post(strand_, std::exchange(done_, nullptr));
  }
  if (!stopped_) SetTimer();
}

void BrokerHub::Keep(std::unique_ptr<Pollable> link) {
  Pollable* key = link.get();
  links_.emplace(key, std::move(link));
}

void BrokerHub::Bury(Pollable* link) {
  const auto found = links_.find(link);
  if (found == links_.end()) return;
  buried_.push_back(std::move(found->second));
  links_.erase(found);
}

void BrokerHub::JudgeAgain() {
  if (stopped_) return;
  const bool under_way = !to_judge_.empty();
  to_judge_.clear();
  for (const auto& [link, owned] : links_) to_judge_.push_back(link);
  if (!under_way) JudgeSome();
}

void BrokerHub::JudgeSome() {
  for (int i = 0; i < kJudgedInTurn && !to_judge_.empty(); ++i) {
    Pollable* link = to_judge_.back();
    to_judge_.pop_back();
    if (links_.contains(link)) link->JudgeAgain();
  }
  Settle();
  if (to_judge_.empty() || stopped_) return;
  base::asio::post(strand_, [weak = weak_from_this()] {
    if (const std::shared_ptr<BrokerHub> self = weak.lock()) self->JudgeSome();
  });
}

void BrokerHub::WakeAt(absl::Duration when, std::function<void()> wake) {
  wakes_.emplace_back(when, std::move(wake));
}

void BrokerHub::LogRefusal(const std::string& where, const std::string& why) {
  const std::string key =
      absl::StrCat(where.substr(0, where.rfind(':')), " ", why.substr(0, kReasonBytes));
  uint64_t suppressed = 0;
  if (!refusals_.Admit(key, Now(), &suppressed)) return;
  base::LogWarning("connection ended", {{"peer", where}, {"why", why}, {"not_logged", suppressed}});
}

void BrokerHub::RefuseHandshake(const std::string& where, const std::string& why) {
  ++handshakes_refused_;
  LogRefusal(where, absl::StrCat("TLS handshake: ", why));
}

void BrokerHub::WatchMemory() {
  const size_t held = core_.bytes_held();
  held_max_ = std::max(held_max_, held);
  if (giving_back_ || held_max_ < held + kReturnedBytes) return;
  giving_back_ = true;
  WakeAt(Now().steady + kReturnDelay, [this] {
    giving_back_ = false;
    held_max_ = core_.bytes_held();
    // Freed blocks below one that lives stay with the process otherwise.
    malloc_trim(0);
  });
}

void BrokerHub::LogNotes() {
  for (const BrokerNote& note : core_.TakeNotes()) {
    if (note.warning) {
      LogRefusal(note.who, note.text);
    } else {
      base::LogDebug(note.text, {{"peer", note.who}});
    }
  }
}

void BrokerHub::SetTimer() {
  absl::Duration next = core_.NextCheck();
  for (const auto& [when, wake] : wakes_) next = std::min(next, when);
  if (next >= timer_at_) return;
  timer_at_ = next;
  const absl::Duration wait = std::max(next - Now().steady, kTimerStep);
  timer_.expires_after(absl::ToChronoNanoseconds(wait));
  timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const std::shared_ptr<BrokerHub> self = weak.lock();
    if (!error && self != nullptr && !self->stopped_) self->OnTimer();
  });
}

void BrokerHub::OnTimer() {
  timer_at_ = absl::InfiniteDuration();
  const base::Now now = Now();
  const auto later = [&now](const auto& wake) { return wake.first > now.steady; };
  const auto due = std::stable_partition(wakes_.begin(), wakes_.end(), later);
  std::vector<std::pair<absl::Duration, std::function<void()>>> calls(
      std::make_move_iterator(due), std::make_move_iterator(wakes_.end()));
  wakes_.erase(due, wakes_.end());
  for (const auto& [when, wake] : calls) wake();
  core_.OnTime(now);
  Settle();
}

}  // namespace orch::bus
