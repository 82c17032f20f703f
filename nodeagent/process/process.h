// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

// Processes as /proc shows them (proc(5)), and how the agent starts its own. Functions return at
// once, except where they say that they wait. Thread-safe.

namespace orch::nodeagent {

// The name of one process for ever: unlike a pid it never names a later process as well.
struct ProcessId {
  pid_t pid = 0;
  uint64_t start_ticks = 0;  // field 22 of /proc/<pid>/stat: clock ticks after boot
  std::string boot;          // the boot in which it ran, as BootId() names it

  bool operator==(const ProcessId& other) const = default;
};

std::string BootId();
// The process that has this pid now. Nullopt: there is none, or it is a zombie.
std::optional<ProcessId> Identify(pid_t pid);
// Whether this very process still runs. A zombie does not.
bool IsAlive(const ProcessId& process);
// Whether it was a process of an earlier boot.
bool IsOfEarlierBoot(const ProcessId& process);
// Whether a live process has this pid and is a Puppet, by the name of its program and its
// arguments, as Puppet itself decides it for its run lock (puppet/util/pidlock.rb), plus its
// renamed children.
bool IsPuppet(pid_t pid);

// The environment of every program that we start: PATH, LANG, LC_ALL and HOME, and nothing of our
// own environment.
std::vector<std::string> ConstantEnvironment();

// Pointers to `strings` and a null, as execve(2) takes them; `strings` must outlive the result.
std::vector<char*> ExecVector(const std::vector<std::string>& strings);

// For a child between fork and exec: no signal stays blocked or ignored, and every descriptor above
// stderr is closed. Does not allocate.
void ResetChild();

// Starts a program that is no child of ours and outlives us, in a session of its own, with / as its
// directory and /dev/null as its standard streams. Returns when it was forked, after waiting for a
// helper process that ends at once. An error means that no process could be made; whether the
// program could be executed is not known.
absl::Status SpawnDetached(const std::vector<std::string>& argv);

// A process, its process group and all their descendants, as far as they can be found. It is needed
// because programs that Puppet starts get sessions of their own, so that signalling Puppet's group
// alone leaves survivors. A descendant is found only if Scan is called while its parent lives.
class ProcessTree {
 public:
  // The most processes of one tree that are remembered.
  static constexpr size_t kProcessesMax = 4096;

  explicit ProcessTree(ProcessId root);
  // Adds new members: children of known members, and processes of the root's group.
  void Scan();
  // Sends `signal` to every member that is alive.
  void Signal(int signal) const;
  bool AnyAlive() const;

 private:
  bool Has(pid_t pid) const;
  bool IsMember(pid_t pid) const;  // and alive

  const ProcessId root_;
  std::vector<ProcessId> members_;
};

}  // namespace orch::nodeagent
