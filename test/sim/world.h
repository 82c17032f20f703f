// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/random.h"

namespace orch::sim {

class Process;

// Virtual time, the seed's dice, what is still to happen, and the story of what did. Everything
// happens in the one thread that calls RunUntil; time passes only when nobody has anything to do,
// and then jumps to the next timer. The same seed tells the same story, line by line: nothing here
// asks the system's clock or dice, and nothing iterates what is ordered by addresses or hashes.
class World {
 public:
  explicit World(uint64_t seed);
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // Since the beginning.
  absl::Duration now() const { return now_; }
  // By a clock that is right.
  absl::Time wall() const { return beginning_ + now_; }

  base::Random* random() { return &random_; }
  bool Chance(double probability) { return random_.Uniform(0, 1) < probability; }
  absl::Duration Between(absl::Duration least, absl::Duration most);
  int Between(int least, int most);  // both included

  // Happens then, outside of any process.
  void After(absl::Duration wait, std::function<void()> happens);
  // Until `done` holds, or the time comes: true if `done` held.
  bool RunUntil(absl::Duration until, const std::function<bool()>& done);

  void Tell(absl::string_view who, absl::string_view what);
  // Something happened that must never happen; the first one ends RunUntil.
  void Violate(std::string what);

  const std::vector<std::string>& story() const { return story_; }
  const std::string& violation() const { return violation_; }

 private:
  friend class Process;
  void Join(Process* process);
  void Leave(Process* process);
  void RunReady();
  // The next moment at which something is due.
  absl::Duration Next() const;

  const absl::Time beginning_;
  base::SeededRandom random_;
  base::FakeClock clock_;  // of what happens outside of processes
  absl::Duration now_;
  std::vector<Process*> processes_;  // by name
  std::vector<std::string> story_;
  std::string violation_;
};

}  // namespace orch::sim
