// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/node_calls.h"

#include <openssl/md5.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/config.h"
#include "base/ids.h"
#include "base/sha256.h"
#include "base/status.h"
#include "nodeagent/puppet_state.h"
#include "nodeagent/puppet_summary.h"

namespace orch::nodeagent {
namespace {

using nlohmann::json;

constexpr size_t kResourceFileMax = 16 << 20;

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
    fields["skipped_resources"] = summary->resources->skipped();
    fields["total_resources"] = summary->resources->total();
  }
  fields["last_run"] = fields["lastrun"];
  fields["since_last_run"] = fields["since_lastrun"];
  return fields;
}

absl::StatusOr<bool> IsManaged(const std::string& resourcefile, const std::string& resource) {
  const size_t bracket = resource.find('[');
  if (bracket == std::string::npos || !absl::EndsWith(resource, "]")) {
    return absl::InvalidArgumentError(
        absl::StrCat("resource('", resource, "'): not of the form Type[title]"));
  }
  // Puppet writes types in lower case there.
  const std::string wanted =
      absl::StrCat(absl::AsciiStrToLower(resource.substr(0, bracket)), resource.substr(bracket));
  std::error_code error;
  if (!std::filesystem::is_regular_file(resourcefile, error)) return false;
  if (std::filesystem::file_size(resourcefile, error) > kResourceFileMax) {
    return absl::ResourceExhaustedError(absl::StrCat(resourcefile, ": too large"));
  }
  std::ifstream in(resourcefile);
  std::string line;
  while (std::getline(in, line)) {
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

bool IsBelow(const std::filesystem::path& path, const std::filesystem::path& directory) {
  if (path.empty() || directory.empty()) return false;
  const std::filesystem::path relative = path.lexically_relative(directory);
  return !relative.empty() && *relative.begin() != "..";
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
                 {"disable_message", state.disable_message()}};
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
  const std::filesystem::path canonical = Canonical(path);
  bool permitted = false;
  for (const std::string& directory : allowed)
    permitted |= IsBelow(canonical, Canonical(directory));
  if (!permitted || path.empty() || path[0] != '/') {
    return absl::PermissionDeniedError(
        absl::StrCat("fstat('", path, "'): not below this node's fstat_paths"));
  }
  struct stat info = {};
  const bool present = lstat(canonical.c_str(), &info) == 0;
  json fields = {
      {"name", path},
      {"output", present ? "present" : "not present"},
      {"present", present ? 1 : 0},
      {"size", info.st_size},
      {"mode", present ? absl::StrFormat("%o", info.st_mode) : "0000"},
      {"type", present ? std::string(TypeOf(info.st_mode)) : "unknown"},
      {"uid", info.st_uid},
      {"gid", info.st_gid},
      {"mtime", info.st_mtim.tv_sec},
      {"age", present ? absl::ToInt64Seconds(now - absl::TimeFromTimespec(info.st_mtim)) : 0},
      {"md5", ""},
      {"sha256", ""}};
  if ((field == "md5" || field == "sha256") && present && S_ISREG(info.st_mode)) {
    ORCH_ASSIGN_OR_RETURN(const std::string content,
                          base::ReadFile(canonical.string(), kFstatHashMax));
    // A name for content that MCollective's users know, not a protection.
    unsigned char md5[MD5_DIGEST_LENGTH];
    MD5(reinterpret_cast<const unsigned char*>(content.data()), content.size(), md5);
    fields["md5"] = base::Hex(absl::string_view(reinterpret_cast<const char*>(md5), sizeof md5));
    fields["sha256"] = base::HexSha256(content);
  }
  return Field(fields, "fstat()", field);
}

}  // namespace orch::nodeagent
