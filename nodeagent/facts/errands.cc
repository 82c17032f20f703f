// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/facts/errands.h"

#include <deque>
#include <map>
#include <system_error>
#include <thread>
#include <utility>

#include "base/log.h"

namespace orch::nodeagent {

struct Errands::State : std::enable_shared_from_this<Errands::State> {
  struct Going {
    Going(base::Strand strand, Errand e) : errand(std::move(e)), timer(strand) {}
    Errand errand;
    std::thread thread;
    base::asio::steady_timer timer;
    bool overtaken = false;
  };

  explicit State(base::Strand s) : strand(std::move(s)) {}
  ~State() {
    for (auto& [id, going] : under_way) going->thread.join();
  }

  void Next();
  void Arm(uint64_t id, absl::Duration in);
  void OnTimer(uint64_t id);
  void OnBack(uint64_t id);

  const base::Strand strand;
  std::deque<Errand> waiting;
  std::map<uint64_t, std::unique_ptr<Going>> under_way;
  bool line_busy = false;  // by one that is not overtaken
  uint64_t last_id = 0;
};

void Errands::State::Next() {
  if (line_busy || waiting.empty() || under_way.size() >= kThreadsMax) return;
  const uint64_t id = ++last_id;
  auto going = std::make_unique<Going>(strand, std::move(waiting.front()));
  waiting.pop_front();
  line_busy = true;
  const auto back = [weak = weak_from_this(), id] {
    if (const auto self = weak.lock()) self->OnBack(id);
  };
  try {
    going->thread = std::thread([work = going->errand.work, to = strand, back] {
      work();
      base::asio::post(to, back);
    });
  } catch (const std::system_error& error) {
    // No thread to be had: rather late than never.
    base::LogWarning("start a thread", {{"why", error.what()}});
    waiting.push_front(std::move(going->errand));
    line_busy = false;
    auto timer = std::make_shared<base::asio::steady_timer>(strand);
    timer->expires_after(absl::ToChronoNanoseconds(kErrandLate));
    timer->async_wait([timer, weak = weak_from_this()](boost::system::error_code) {
      if (const auto self = weak.lock()) self->Next();
    });
    return;
  }
  under_way[id] = std::move(going);
  Arm(id, kErrandOvertake);
}

void Errands::State::Arm(uint64_t id, absl::Duration in) {
  base::asio::steady_timer& timer = under_way.at(id)->timer;
  timer.expires_after(absl::ToChronoNanoseconds(in));
  timer.async_wait([weak = weak_from_this(), id](boost::system::error_code error) {
    const auto self = weak.lock();
    if (!error && self != nullptr) self->OnTimer(id);
  });
}

void Errands::State::OnTimer(uint64_t id) {
  const auto found = under_way.find(id);
  if (found == under_way.end()) return;
  Going& going = *found->second;
  if (going.overtaken) {
    if (going.errand.late) going.errand.late();
    return;
  }
  going.overtaken = true;
  line_busy = false;
  Arm(id, kErrandLate - kErrandOvertake);
  Next();
}

void Errands::State::OnBack(uint64_t id) {
  auto node = under_way.extract(id);
  Going& going = *node.mapped();
  going.thread.join();
  going.timer.cancel();
  if (!going.overtaken) line_busy = false;
  Next();
  going.errand.done();
}

Errands::Errands(base::Strand strand) : state_(std::make_shared<State>(std::move(strand))) {}

Errands::~Errands() {
  for (auto& [id, going] : state_->under_way) going->timer.cancel();
}

void Errands::Post(Errand errand) {
  state_->waiting.push_back(std::move(errand));
  state_->Next();
}

}  // namespace orch::nodeagent
