// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/puppet/puppet_lock.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/ids.h"
#include "base/status.h"
#include "nodeagent/process/process.h"
#include "nodeagent/text/plain_file.h"

namespace orch::nodeagent {
namespace {

constexpr size_t kRunLockMax = 64;
constexpr size_t kDisabledLockMax = 64 << 10;
// Stale locks that are cleared before another taker is let win.
constexpr int kTakeAttemptsMax = 8;

// The pid in a lock; 0 if there is none.
pid_t PidIn(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadPlainFile(path, kRunLockMax);
  pid_t pid = 0;
  if (!text.ok() || !absl::SimpleAtoi(absl::StripAsciiWhitespace(*text), &pid)) return 0;
  return pid;
}

// Before Puppet's first run its state directory may be missing; Puppet sets owner and mode as it
// likes them.
void MakeParent(const std::string& path) {
  std::error_code ignored;  // the write that follows says what is wrong
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
}

// Moves a stale lock away. Between the look and the move somebody may have taken it: then it is put
// back.
void ClearStale(const std::string& path) {
  const std::string aside = absl::StrCat(path, ".", base::Hex(base::RandomBytes16()), ".stale");
  if (rename(path.c_str(), aside.c_str()) != 0) return;
  // Where putting it back fails, somebody else has the lock already.
  if (IsPuppet(PidIn(aside)) && link(aside.c_str(), path.c_str()) != 0) errno = 0;
  unlink(aside.c_str());
}

}  // namespace

std::optional<RunLockHolder> FindRunLockHolder(const std::string& path) {
  struct stat info;
  if (path.empty() || stat(path.c_str(), &info) != 0) return std::nullopt;
  const pid_t pid = PidIn(path);
  if (!IsPuppet(pid)) return std::nullopt;
  return RunLockHolder{pid, absl::TimeFromTimespec(info.st_mtim)};
}

absl::StatusOr<bool> TakeRunLock(const std::string& path, pid_t pid) {
  MakeParent(path);
  // Complete before it has its name: Puppet takes an empty lock for a stale one.
  const std::string temporary = absl::StrCat(path, ".", base::Hex(base::RandomBytes16()), ".tmp");
  ORCH_RETURN_IF_ERROR(
      base::Annotate(base::WriteFileAtomically(temporary, absl::StrCat(pid), 0644), "run lock"));
  const absl::Cleanup remove = [&temporary] { unlink(temporary.c_str()); };
  for (int attempt = 0; attempt < kTakeAttemptsMax; attempt++) {
    if (link(temporary.c_str(), path.c_str()) == 0) return true;
    if (errno != EEXIST) return absl::ErrnoToStatus(errno, absl::StrCat("take run lock ", path));
    if (FindRunLockHolder(path).has_value()) return false;
    ClearStale(path);
  }
  return false;
}

void ClearRunLock(const std::string& path, pid_t pid) {
  if (!path.empty() && pid > 0 && PidIn(path) == pid && !IsPuppet(pid)) unlink(path.c_str());
}

std::optional<std::string> ReadDisabledLock(const std::string& path) {
  if (path.empty() || access(path.c_str(), F_OK) != 0) return std::nullopt;
  const absl::StatusOr<std::string> text = ReadPlainFile(path, kDisabledLockMax);
  // That it is there forbids runs, whatever is in it.
  if (!text.ok()) return "";
  const nlohmann::json lock = nlohmann::json::parse(*text, nullptr, false);
  if (!lock.is_object() || !lock.contains("disabled_message") ||
      !lock["disabled_message"].is_string()) {
    return "";
  }
  return lock["disabled_message"].get<std::string>();
}

absl::Status WriteDisabledLock(const std::string& path, const std::string& message) {
  const nlohmann::json lock = {{"disabled_message", message}};
  MakeParent(path);
  return base::Annotate(
      base::WriteFileAtomically(
          path, lock.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), 0644),
      "disable Puppet");
}

absl::Status RemoveDisabledLock(const std::string& path) {
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return absl::ErrnoToStatus(errno, absl::StrCat("enable Puppet: remove ", path));
  }
  return absl::OkStatus();
}

}  // namespace orch::nodeagent
