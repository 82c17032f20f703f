// SPDX-License-Identifier: Apache-2.0

// A caller chooses the paths and names that these calls look at, and the agent is root. fstat()
// therefore opens the path first (O_PATH: that neither reads nor blocks) and decides by where the
// descriptor really is; checking the path and opening it afterwards would let whoever may write a
// directory on the way exchange it in between. Where there is no such file, the path that would be
// made decides in the same way, so that a refusal tells nothing of what exists elsewhere. An answer
// that is not known is an error and never a zero: a target must not match because a summary is
// damaged.

#include "nodeagent/facts/node_calls.h"

#include <fcntl.h>
#include <openssl/md5.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <future>
#include <thread>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "base/config.h"
#include "base/downcase.h"
#include "base/ids.h"
#include "base/sha256.h"
#include "base/status.h"
#include "nodeagent/puppet/puppet_state.h"
#include "nodeagent/puppet/puppet_summary.h"
#include "nodeagent/text/plain_file.h"

namespace orch::nodeagent {
namespace {

using nlohmann::json;

constexpr size_t kResourceFileMax = 4 << 20;

absl::StatusOr<json> Field(const json& fields, absl::string_view call, const std::string& field) {
  if (fields.contains(field)) return fields[field];
  std::string known;
  for (const auto& [name, value] : fields.items()) {
    absl::StrAppend(&known, known.empty() ? "" : ", ", name);
  }
  return absl::NotFoundError(absl::StrCat(call, " has no field `", field, "`, but ", known));
}

absl::Status NoPaths() { return absl::NotFoundError("Puppet's settings are not known"); }

// What the last run came to. Never run: all zero, as with MCollective.
absl::StatusOr<json> LastRunFields(const PuppetPaths& paths, absl::Time now) {
  absl::StatusOr<PuppetSummary> summary = ReadPuppetSummary(paths.lastrunfile);
  if (summary.status().code() == absl::StatusCode::kNotFound) {
    summary = PuppetSummary();
    summary->last_run = absl::UnixEpoch();
    summary->resources.emplace();
  }
  if (!summary.ok()) return summary.status();
  json fields = {{"lastrun", absl::ToUnixSeconds(summary->last_run)},
                 {"since_lastrun", absl::ToInt64Seconds(now - summary->last_run)},
                 {"config_version", summary->configuration_version},
                 {"environment", summary->environment}};
  if (summary->total_time) fields["total_time"] = absl::ToDoubleSeconds(*summary->total_time);
  if (summary->config_retrieval_time) {
    fields["config_retrieval_time"] = absl::ToDoubleSeconds(*summary->config_retrieval_time);
  }
  // Without them nothing was applied: their number is not known.
  if (summary->resources.has_value()) {
    fields["failed_resources"] = summary->resources->failed();
    fields["changed_resources"] = summary->resources->changed();
    fields["out_of_sync_resources"] = summary->resources->out_of_sync();
    fields["corrective_resources"] = summary->resources->corrective_change();
    fields["failed_to_restart_resources"] = summary->resources->failed_to_restart();
    fields["restarted_resources"] = summary->resources->restarted();
    fields["skipped_resources"] = summary->resources->skipped();
    fields["total_resources"] = summary->resources->total();
  }
  fields["last_run"] = fields["lastrun"];
  fields["since_last_run"] = fields["since_lastrun"];
  return fields;
}

absl::StatusOr<bool> IsManaged(const std::string& resourcefile, const std::string& resource) {
  const size_t bracket = resource.find('[');
  if (bracket == std::string::npos || bracket == 0 || !absl::EndsWith(resource, "]")) {
    return absl::InvalidArgumentError(
        absl::StrCat("resource('", resource, "'): not of the form Type[title]"));
  }
  // Puppet writes the whole reference in lower case there, titles too.
  const std::string wanted = base::Downcase(resource);
  const absl::StatusOr<std::string> text = ReadPlainFile(resourcefile, kResourceFileMax);
  if (absl::IsNotFound(text.status())) return false;  // no catalog was applied yet
  if (!text.ok()) return text.status();
  for (const absl::string_view line : absl::StrSplit(*text, '\n')) {
    if (line == wanted) return true;
  }
  return false;
}

absl::string_view TypeOf(mode_t mode) {
  if (S_ISREG(mode)) return "file";
  if (S_ISDIR(mode)) return "directory";
  if (S_ISBLK(mode)) return "block";
  if (S_ISCHR(mode)) return "char";
  if (S_ISFIFO(mode)) return "fifo";
  if (S_ISSOCK(mode)) return "socket";
  return "unknown";
}

// The path with symbolic links resolved, as far as it exists.
std::filesystem::path Canonical(const std::string& path) {
  std::error_code error;
  return std::filesystem::weakly_canonical(path, error);
}

// Where a path that leads to nothing would be: a link on its way whose end is missing too leads who
// knows where, and there is none.
std::filesystem::path MissingAt(const std::string& path) {
  std::error_code error;
  for (std::filesystem::path at = path; at.has_relative_path(); at = at.parent_path()) {
    if (std::filesystem::exists(at, error)) break;
    if (std::filesystem::is_symlink(std::filesystem::symlink_status(at, error))) return {};
  }
  return Canonical(path);
}

bool IsBelow(const std::filesystem::path& path, const std::filesystem::path& directory) {
  if (path.empty() || directory.empty()) return false;
  const std::filesystem::path relative = path.lexically_relative(directory);
  return !relative.empty() && *relative.begin() != "..";
}

// A file held by a descriptor that can neither read nor write it: whatever is renamed or linked
// meanwhile, what was looked at, permitted and read is one and the same. Does not block on a FIFO
// and does nothing to a device.
class HeldFile {
 public:
  explicit HeldFile(const std::string& path) : fd_(open(path.c_str(), O_PATH | O_CLOEXEC)) {
    if (fd_ < 0) error_ = errno;
  }
  ~HeldFile() {
    if (fd_ >= 0) close(fd_);
  }
  HeldFile(const HeldFile&) = delete;
  HeldFile& operator=(const HeldFile&) = delete;

  int error() const { return error_; }  // 0 if it is held
  bool missing() const { return error_ == ENOENT || error_ == ENOTDIR; }
  bool Stat(struct stat* info) const { return fstat(fd_, info) == 0; }
  // How else it can be opened.
  std::string link() const { return absl::StrCat("/proc/self/fd/", fd_); }
  // Where it really is; empty if the kernel does not say.
  std::filesystem::path real_path() const {
    std::error_code error;
    return std::filesystem::read_symlink(link(), error);
  }

 private:
  const int fd_;
  int error_ = 0;
};

// Names for content, not protections: MD5 is what MCollective's users know.
std::string HexDigest(absl::string_view field, absl::string_view content) {
  if (field == "sha256") return base::HexSha256(content);
  unsigned char md5[MD5_DIGEST_LENGTH];
  MD5(reinterpret_cast<const unsigned char*>(content.data()), content.size(), md5);
  return base::Hex(absl::string_view(reinterpret_cast<const char*>(md5), sizeof md5));
}

absl::Status NotBelow(const std::string& path) {
  return absl::PermissionDeniedError(
      absl::StrCat("fstat('", path, "'): not below this node's fstat_paths"));
}

// `info` is all zero if there is no such file.
json FstatFields(const std::string& path, const struct stat& info, absl::Time now) {
  const bool present = info.st_mode != 0;
  const auto age = [present, now](const timespec& time) {
    return present ? absl::ToInt64Seconds(now - absl::TimeFromTimespec(time)) : 0;
  };
  return {{"name", path},
          {"output", present ? "present" : "not present"},
          {"present", present ? 1 : 0},
          {"size", info.st_size},
          {"mode", present ? absl::StrFormat("%o", info.st_mode) : "0000"},
          {"type", present ? std::string(TypeOf(info.st_mode)) : "unknown"},
          {"uid", info.st_uid},
          {"gid", info.st_gid},
          {"mtime", info.st_mtim.tv_sec},
          {"mtime_seconds", info.st_mtim.tv_sec},
          {"mtime_age", age(info.st_mtim)},
          {"age", age(info.st_mtim)},
          {"ctime_seconds", info.st_ctim.tv_sec},
          {"ctime_age", age(info.st_ctim)},
          {"atime_seconds", info.st_atim.tv_sec},
          {"atime_age", age(info.st_atim)},
          {"md5", ""},
          {"sha256", ""}};
}

}  // namespace

absl::StatusOr<json> AnswerPuppet(const PuppetPaths* paths, const std::string& field,
                                  absl::Time now) {
  if (paths == nullptr) return NoPaths();
  const orch::v1::PuppetStatusResult state = ReadPuppetState(paths, now);
  json fields = {{"applying", state.applying()},
                 {"enabled", state.enabled()},
                 {"daemon_present", state.daemon_present()},
                 {"idling", state.idling()},
                 {"status", state.status()},
                 {"disable_message", state.disable_message()},
                 {"message", state.message()}};
  if (fields.contains(field)) return fields[field];
  ORCH_ASSIGN_OR_RETURN(const json last, LastRunFields(*paths, now));
  fields.update(last);
  return Field(fields, "puppet()", field);
}

absl::StatusOr<json> AnswerResource(const PuppetPaths* paths, const std::string& resource,
                                    const std::string& field, absl::Time now) {
  if (paths == nullptr) return NoPaths();
  ORCH_ASSIGN_OR_RETURN(const bool managed, IsManaged(paths->resourcefile, resource));
  if (field == "managed") return managed;
  ORCH_ASSIGN_OR_RETURN(json fields, LastRunFields(*paths, now));
  fields["managed"] = managed;
  return Field(fields, "resource()", field);
}

absl::StatusOr<json> AnswerFstat(const std::vector<std::string>& allowed, const std::string& path,
                                 const std::string& field, absl::Time now) {
  if (path.empty() || path[0] != '/' || path.find('\0') != std::string::npos) return NotBelow(path);
  const HeldFile file(path);
  if (file.error() != 0 && !file.missing()) {
    return absl::ErrnoToStatus(file.error(), absl::StrCat("fstat('", path, "')"));
  }
  const std::filesystem::path real = file.missing() ? MissingAt(path) : file.real_path();
  const bool permitted = std::any_of(
      allowed.begin(), allowed.end(),
      [&real](const std::string& directory) { return IsBelow(real, Canonical(directory)); });
  if (!permitted) return NotBelow(path);
  struct stat info = {};
  if (!file.missing() && !file.Stat(&info)) {
    return absl::ErrnoToStatus(errno, absl::StrCat("fstat('", path, "')"));
  }
  if ((field == "md5" || field == "sha256") && S_ISREG(info.st_mode)) {
    const absl::StatusOr<std::string> content = base::ReadFile(file.link(), kFstatHashMax);
    if (absl::IsResourceExhausted(content.status())) {
      return absl::ResourceExhaustedError(
          absl::StrCat("fstat('", path, "').", field, ": larger than ", kFstatHashMax, " bytes"));
    }
    if (!content.ok()) return base::Annotate(content.status(), absl::StrCat("fstat('", path, "')"));
    return json(HexDigest(field, *content));
  }
  return Field(FstatFields(path, info, now), "fstat()", field);
}

absl::StatusOr<json> FstatAside::Answer(std::vector<std::string> allowed, std::string path,
                                        std::string field, absl::Time now) {
  if (allowed.empty()) return NotBelow(path);
  if (hangs_->load()) {
    return absl::DeadlineExceededError(
        absl::StrCat("fstat('", path, "'): an earlier one still waits for its file system"));
  }
  auto answer = std::make_shared<std::promise<absl::StatusOr<json>>>();
  std::future<absl::StatusOr<json>> future = answer->get_future();
  hangs_->store(true);
  std::thread([answerer = answerer_, hangs = hangs_, answer, allowed = std::move(allowed), path,
               field, now] {
    absl::StatusOr<json> value = answerer(allowed, path, field, now);
    hangs->store(false);
    answer->set_value(std::move(value));
  }).detach();
  if (future.wait_for(absl::ToChronoMilliseconds(kFstatPatience)) != std::future_status::ready) {
    return absl::DeadlineExceededError(absl::StrCat("fstat('", path, "'): no answer within ",
                                                    absl::FormatDuration(kFstatPatience)));
  }
  return future.get();
}

}  // namespace orch::nodeagent
