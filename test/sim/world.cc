// SPDX-License-Identifier: Apache-2.0
#include "test/sim/world.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "test/sim/process.h"

namespace orch::sim {
namespace {

// The certificates that the fleet is given hold then, whenever the simulation runs. A whole hour:
// stores keep no fractions of a millisecond, and what is cut off must not depend on when it runs.
absl::Time Beginning() {
  return absl::FromUnixSeconds(absl::ToUnixSeconds(absl::Now()) / 3600 * 3600) - absl::Hours(1);
}

}  // namespace

World::World(uint64_t seed) : beginning_(Beginning()), random_(seed), clock_(beginning_) {}

absl::Duration World::Between(absl::Duration least, absl::Duration most) {
  // Whole microseconds: a store keeps no finer times.
  const int64_t span = std::max<int64_t>(1, absl::ToInt64Microseconds(most - least));
  return least + absl::Microseconds(random_.Below(span));
}

int World::Between(int least, int most) {
  return least + static_cast<int>(random_.Below(most - least + 1));
}

void World::After(absl::Duration wait, std::function<void()> happens) {
  clock_.timers()->Add(clock_.Read().steady + std::max(wait, absl::ZeroDuration()),
                       std::move(happens));
}

void World::Join(Process* process) {
  const auto place =
      std::lower_bound(processes_.begin(), processes_.end(), process,
                       [](const Process* a, const Process* b) { return a->name() < b->name(); });
  processes_.insert(place, process);
}

void World::Leave(Process* process) { std::erase(processes_, process); }

void World::RunReady() {
  // What a process does for others goes through After, so one round after the other is enough.
  for (bool any = true; any;) {
    any = false;
    for (Process* process : processes_) any = process->RunReady() || any;
  }
}

absl::Duration World::Next() const {
  const absl::Duration origin = clock_.Read().steady - now_;
  absl::Duration next = absl::InfiniteDuration();
  const auto consider = [&next](const base::FakeClock& clock, absl::Duration from) {
    if (const auto due = clock.timers()->Next()) next = std::min(next, *due - from);
  };
  consider(clock_, origin);
  for (const Process* process : processes_) {
    if (!process->frozen()) consider(process->clock(), process->clock().Read().steady - now_);
  }
  return std::max(next, now_);
}

bool World::RunUntil(absl::Duration until, const std::function<bool()>& done) {
  while (violation_.empty()) {
    RunReady();
    if (done()) return true;
    const absl::Duration next = Next();
    if (next > until) return false;
    const absl::Duration by = next - now_;
    now_ = next;
    clock_.Advance(by);
    // What happened above may have ended some of them, or made new ones.
    for (size_t i = 0; i < processes_.size(); ++i) processes_[i]->AdvanceTo(now_);
  }
  return false;
}

void World::Tell(absl::string_view who, absl::string_view what) {
  story_.push_back(absl::StrFormat("%9.3f %-6s %s", absl::ToDoubleSeconds(now_), who, what));
}

void World::Violate(std::string what) {
  Tell("RULE", absl::StrCat("broken: ", what));
  if (violation_.empty()) violation_ = std::move(what);
}

}  // namespace orch::sim
