// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

// Processes as /proc shows them (proc(5)), and how ours are started. Nothing here waits, except
// where it says so. Thread-safe.

namespace orch::nodeagent {

// One process, never to be confused with a later one that was given the same pid.
struct ProcessId {
  pid_t pid = 0;
  uint64_t start_ticks = 0;  // field 22 of /proc/<pid>/stat: clock ticks after boot
  std::string boot;          // the boot's id

  bool operator==(const ProcessId& other) const = default;
};

std::string BootId();
// Nullopt if there is no such process, or it is a zombie.
std::optional<ProcessId> Identify(pid_t pid);
// Whether this very process still runs. A zombie does not.
bool IsAlive(const ProcessId& process);
// Whether it was a process of an earlier boot.
bool IsOfEarlierBoot(const ProcessId& process);
// Whether a live process has this pid and is a Puppet, by the name of its program and its
// arguments, as Puppet itself decides it for its run lock (puppet/util/pidlock.rb), plus its
// renamed children.
bool IsPuppet(pid_t pid);

// What every program that we start is given: PATH, LANG, LC_ALL, HOME; nothing of ours.
std::vector<std::string> ConstantEnvironment();

// Arrays for execve(2) over strings that outlive it.
std::vector<char*> ExecVector(const std::vector<std::string>& strings);

// In a child between fork and exec: no signal blocked or ignored, no descriptor open above stderr.
void ResetChild();

// Starts a program in a session of its own, with / as its directory and /dev/null as its standard
// streams, that is no child of ours and outlives us. Returns when it was forked; that the program
// can't be executed shows only by what it doesn't do. Waits for a process that ends at once.
absl::Status SpawnDetached(const std::vector<std::string>& argv);

// A process, its process group and all their descendants, as far as they can be found: programs
// that Puppet starts get sessions of their own, so signalling its group alone leaves survivors.
class ProcessTree {
 public:
  // Processes of one tree that are kept in mind.
  static constexpr size_t kProcessesMax = 4096;

  explicit ProcessTree(ProcessId root);
  // Finds new members: children of known ones, of the root's group.
  void Scan();
  // Sends `signal` to all that are alive.
  void Signal(int signal) const;
  bool AnyAlive() const;

 private:
  bool Has(pid_t pid) const;
  bool IsMember(pid_t pid) const;  // and alive

  const ProcessId root_;
  std::vector<ProcessId> members_;
};

}  // namespace orch::nodeagent
