// SPDX-License-Identifier: Apache-2.0

// Either of agent and wrapper may be dead at any moment, so they share no memory, socket or lock:
// only files that appear whole (a temporary file, fsync, then rename or link). The claim is made
// with link(2), which fails where the name exists: of two that try only one can win, also on a
// machine that loses power in between, because the directory is synced before the winner acts.
// rename would silently replace the other's claim. Records carry a version, so that an agent that
// was exchanged during a run refuses what it does not know instead of misreading it.

#include "nodeagent/wrapper/run_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/ids.h"
#include "base/status.h"
#include "nodeagent/text/plain_file.h"

namespace orch::nodeagent {
namespace {

using nlohmann::json;

constexpr int kVersion = 1;
constexpr size_t kFileMax = 1 << 20;
constexpr size_t kKeptFileMax = 64 << 20;

// Durations and times as microseconds; "never" as null.
json MicrosOf(absl::Duration duration) {
  return duration == absl::InfiniteDuration() ? json() : json(absl::ToInt64Microseconds(duration));
}
absl::Duration DurationOf(const json& value) {
  return value.is_null() ? absl::InfiniteDuration() : absl::Microseconds(value.get<int64_t>());
}
json ProcessJson(const ProcessId& process) {
  return {{"pid", process.pid}, {"start_ticks", process.start_ticks}, {"boot", process.boot}};
}
ProcessId ProcessOf(const json& value) {
  return {value.at("pid").get<pid_t>(), value.at("start_ticks").get<uint64_t>(),
          value.at("boot").get<std::string>()};
}

std::string Dump(json value) {
  value["version"] = kVersion;
  return value.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

// Reads one of our files and hands its JSON to `take`, which may throw what nlohmann throws.
template <typename T>
absl::StatusOr<T> ReadJson(const std::string& path, T (*take)(const json&)) {
  ORCH_ASSIGN_OR_RETURN(const std::string text, ReadPlainFile(path, kFileMax));
  try {
    const json value = json::parse(text);
    if (value.at("version").get<int>() != kVersion) {
      return absl::DataLossError(absl::StrCat(path, ": of another version"));
    }
    return take(value);
  } catch (const json::exception& error) {
    return absl::DataLossError(absl::StrCat(path, ": ", error.what()));
  }
}

template <typename T>
absl::StatusOr<std::optional<T>> ReadOptional(const std::string& path, T (*take)(const json&)) {
  absl::StatusOr<T> value = ReadJson<T>(path, take);
  if (value.status().code() == absl::StatusCode::kNotFound) return std::optional<T>();
  if (!value.ok()) return value.status();
  return std::optional<T>(*std::move(value));
}

absl::Status SyncDirectory(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("open ", path));
  const absl::Cleanup closer = [fd] { close(fd); };
  if (fsync(fd) != 0) return absl::ErrnoToStatus(errno, absl::StrCat("sync ", path));
  return absl::OkStatus();
}

RunSpec SpecOf(const json& value) {
  RunSpec spec;
  value.at("argv").get_to(spec.argv);
  value.at("environment").get_to(spec.environment);
  value.at("disabled_lock").get_to(spec.disabled_lock);
  value.at("run_lock").get_to(spec.run_lock);
  value.at("report").get_to(spec.report);
  value.at("summary").get_to(spec.summary);
  spec.kill_after = DurationOf(value.at("kill_after_us"));
  value.at("previous_uuid").get_to(spec.previous_uuid);
  value.at("previous_summary").get_to(spec.previous_summary);
  spec.environment_asked = value.value("environment_asked", "");
  spec.create_time = absl::FromUnixMicros(value.at("create_time_us").get<int64_t>());
  spec.timeout = DurationOf(value.at("timeout_us"));
  return spec;
}

RunClaim ClaimOf(const json& value) {
  return {value.at("by_wrapper").get<bool>(), ProcessOf(value.at("claimer"))};
}

RunPuppet PuppetOf(const json& value) {
  return {ProcessOf(value.at("process")),
          absl::FromUnixMicros(value.at("start_time_us").get<int64_t>())};
}

RunExit ExitOf(const json& value) {
  RunExit exit;
  value.at("refused").get_to(exit.refused);
  value.at("message").get_to(exit.message);
  value.at("exit_code").get_to(exit.exit_code);
  value.at("signal").get_to(exit.signal);
  value.at("killed").get_to(exit.killed);
  exit.end_time = absl::FromUnixMicros(value.at("end_time_us").get<int64_t>());
  return exit;
}

}  // namespace

absl::Status RunDirectory::Prepare(const RunSpec& spec) const {
  const std::string parent = std::filesystem::path(path_).parent_path();
  if (mkdir(parent.c_str(), 0700) != 0 && errno != EEXIST) {
    return absl::ErrnoToStatus(errno, absl::StrCat("create ", parent));
  }
  if (mkdir(path_.c_str(), 0700) != 0) {
    if (errno == EEXIST) return absl::AlreadyExistsError(absl::StrCat(path_, " exists"));
    return absl::ErrnoToStatus(errno, absl::StrCat("create ", path_));
  }
  ORCH_RETURN_IF_ERROR(SyncDirectory(parent));
  return base::WriteFileAtomically(path_ + "/spec",
                                   Dump({{"argv", spec.argv},
                                         {"environment", spec.environment},
                                         {"disabled_lock", spec.disabled_lock},
                                         {"run_lock", spec.run_lock},
                                         {"report", spec.report},
                                         {"summary", spec.summary},
                                         {"kill_after_us", MicrosOf(spec.kill_after)},
                                         {"previous_uuid", spec.previous_uuid},
                                         {"previous_summary", spec.previous_summary},
                                         {"environment_asked", spec.environment_asked},
                                         {"create_time_us", absl::ToUnixMicros(spec.create_time)},
                                         {"timeout_us", MicrosOf(spec.timeout)}}),
                                   0600);
}

absl::StatusOr<RunSpec> RunDirectory::ReadSpec() const {
  return ReadJson<RunSpec>(path_ + "/spec", SpecOf);
}

absl::StatusOr<bool> RunDirectory::Claim(bool by_wrapper) const {
  const std::optional<ProcessId> me = Identify(getpid());
  if (!me.has_value()) return absl::InternalError("/proc: can't read my own start time");
  const std::string temporary = absl::StrCat(path_, "/claim.", base::Hex(base::RandomBytes16()));
  ORCH_RETURN_IF_ERROR(base::WriteFileAtomically(
      temporary, Dump({{"by_wrapper", by_wrapper}, {"claimer", ProcessJson(*me)}}), 0600));
  const absl::Cleanup remove = [&temporary] { unlink(temporary.c_str()); };
  if (link(temporary.c_str(), (path_ + "/claim").c_str()) != 0) {
    if (errno == EEXIST) return false;
    return absl::ErrnoToStatus(errno, absl::StrCat("claim ", path_));
  }
  ORCH_RETURN_IF_ERROR(SyncDirectory(path_));
  return true;
}

absl::StatusOr<std::optional<RunClaim>> RunDirectory::ReadClaim() const {
  return ReadOptional<RunClaim>(path_ + "/claim", ClaimOf);
}

absl::Status RunDirectory::WritePuppet(const RunPuppet& puppet) const {
  return base::WriteFileAtomically(path_ + "/puppet",
                                   Dump({{"process", ProcessJson(puppet.process)},
                                         {"start_time_us", absl::ToUnixMicros(puppet.start_time)}}),
                                   0600);
}

absl::StatusOr<std::optional<RunPuppet>> RunDirectory::ReadPuppet() const {
  return ReadOptional<RunPuppet>(path_ + "/puppet", PuppetOf);
}

absl::Status RunDirectory::WriteExit(const RunExit& exit) const {
  return base::WriteFileAtomically(path_ + "/exit",
                                   Dump({{"refused", exit.refused},
                                         {"message", exit.message},
                                         {"exit_code", exit.exit_code},
                                         {"signal", exit.signal},
                                         {"killed", exit.killed},
                                         {"end_time_us", absl::ToUnixMicros(exit.end_time)}}),
                                   0600);
}

absl::StatusOr<std::optional<RunExit>> RunDirectory::ReadExit() const {
  return ReadOptional<RunExit>(path_ + "/exit", ExitOf);
}

absl::Status RunDirectory::WriteOutcome(const std::string& outcome) const {
  if (ReadOutcome().has_value()) return absl::OkStatus();
  return base::WriteFileAtomically(path_ + "/outcome", outcome, 0600);
}

std::optional<std::string> RunDirectory::ReadOutcome() const {
  absl::StatusOr<std::string> outcome = ReadPlainFile(path_ + "/outcome", kFileMax);
  if (!outcome.ok()) return std::nullopt;
  return *std::move(outcome);
}

void RunDirectory::Keep(const std::string& file, const std::string& name) const {
  if (file.empty()) return;
  const std::string kept = path_ + "/" + name;
  if (link(file.c_str(), kept.c_str()) == 0) return;
  // Another file system, as a rule. Without the copy the original is read, which a later run may
  // have replaced.
  const absl::StatusOr<std::string> content = ReadPlainFile(file, kKeptFileMax);
  if (content.ok()) base::WriteFileAtomically(kept, *content, 0600).IgnoreError();
}

void RemoveOldRuns(const std::string& runs, absl::Time before) {
  std::error_code error;
  std::vector<std::string> old;
  for (std::filesystem::directory_iterator run(runs, error), end; !error && run != end;
       run.increment(error)) {
    struct stat info;
    const std::string path = run->path();
    if (stat((path + "/outcome").c_str(), &info) != 0) continue;
    if (absl::TimeFromTimespec(info.st_mtim) < before) old.push_back(path);
  }
  for (const std::string& path : old) std::filesystem::remove_all(path, error);
}

}  // namespace orch::nodeagent
