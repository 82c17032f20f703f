// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

// Puppet's two locks, kept exactly as Puppet keeps them (puppet/util/pidlock.rb,
// puppet/agent/disabler.rb), so that it honours ours and we honour its own. All calls block for a
// few system calls. Thread-safe.

namespace orch::nodeagent {

// A live Puppet that applies a catalog.
struct RunLockHolder {
  pid_t pid = 0;
  absl::Time since;  // the lock's modification time
};

// Whose run lock it is; nullopt if there is none, or it is stale: a pid that is dead or no
// Puppet's.
std::optional<RunLockHolder> FindRunLockHolder(const std::string& path);

// Takes the run lock for the process `pid`, which must be a Puppet by name, so that the lock stays
// valid when the caller ends; a stale lock is cleared, as Puppet does. False if a live Puppet holds
// it.
absl::StatusOr<bool> TakeRunLock(const std::string& path, pid_t pid);

// Removes the run lock if it is of the process `pid`, which must be dead.
void ClearRunLock(const std::string& path, pid_t pid);

// The message of a node whose runs are forbidden, perhaps empty; nullopt if they are allowed.
std::optional<std::string> ReadDisabledLock(const std::string& path);

// Atomic; a lock that is there is replaced.
absl::Status WriteDisabledLock(const std::string& path, const std::string& message);
absl::Status RemoveDisabledLock(const std::string& path);

}  // namespace orch::nodeagent
