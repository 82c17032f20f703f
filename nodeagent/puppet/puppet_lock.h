// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

// Puppet's two locks: the run lock, which a Puppet holds while it applies a catalog, and the
// disabled lock, which forbids runs on this node. They are kept exactly as Puppet keeps them
// (puppet/util/pidlock.rb, puppet/agent/disabler.rb), so that Puppet honours ours and we honour
// Puppet's. Calls block for a few system calls. Thread-safe.

namespace orch::nodeagent {

// A live Puppet that applies a catalog.
struct RunLockHolder {
  pid_t pid = 0;
  absl::Time since;  // the lock's modification time
};

// Who holds the run lock at `path`. Nullopt: nobody does; a lock whose pid is dead, or is not a
// Puppet's, is stale and counts as none.
std::optional<RunLockHolder> FindRunLockHolder(const std::string& path);

// Takes the run lock for the process `pid`, which must be a Puppet by name (IsPuppet), so that the
// lock stays valid when the caller ends. A stale lock is cleared first, as Puppet does. False: a
// live Puppet holds it. Other errors come from the file system.
absl::StatusOr<bool> TakeRunLock(const std::string& path, pid_t pid);

// Removes the run lock if it names the process `pid`, which must be dead.
void ClearRunLock(const std::string& path, pid_t pid);

// The message in the disabled lock, perhaps empty. Nullopt: there is no such lock, so runs are
// allowed.
std::optional<std::string> ReadDisabledLock(const std::string& path);

// Writes the disabled lock with `message`, atomically; an existing one is replaced.
absl::Status WriteDisabledLock(const std::string& path, const std::string& message);
absl::Status RemoveDisabledLock(const std::string& path);

}  // namespace orch::nodeagent
