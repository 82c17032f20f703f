// SPDX-License-Identifier: Apache-2.0
#include "controller/policy_source.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/sha256.h"
#include "base/status.h"

namespace orch::controller {
namespace {

// More files than this in a policy directory are not looked at for changes.
constexpr size_t kFilesMax = 10000;

std::string Describe(const std::string& path) {
  struct stat about;
  if (stat(path.c_str(), &about) != 0) return absl::StrCat(path, " missing\n");
  return absl::StrCat(path, " ", about.st_dev, " ", about.st_ino, " ", about.st_size, " ",
                      about.st_mtim.tv_sec, ".", about.st_mtim.tv_nsec, " ", about.st_mode, "\n");
}

std::vector<std::string> FilesIn(const std::string& directory) {
  std::vector<std::string> out;
  DIR* const stream = opendir(directory.c_str());
  if (stream == nullptr) return out;
  while (const dirent* entry = readdir(stream)) {
    if (entry->d_name[0] == '.') continue;
    out.push_back(absl::StrCat(directory, "/", entry->d_name));
    if (out.size() == kFilesMax) break;
  }
  closedir(stream);
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

std::string PolicySource::Fingerprint() const {
  std::string out;
  if (!config_.file().empty()) out = Describe(config_.file());
  const std::string& directory = config_.action_policy_dir();
  if (directory.empty()) return out;
  absl::StrAppend(&out, Describe(directory));
  for (const std::string& file : FilesIn(directory)) absl::StrAppend(&out, Describe(file));
  return out;
}

absl::StatusOr<std::shared_ptr<const policy::Policy>> PolicySource::Load() {
  // Taken first: a change while reading is then seen as a change afterwards. A bad file is not read
  // again until it changes.
  loaded_fingerprint_ = Fingerprint();
  std::shared_ptr<const policy::Policy> native, action_policy;
  if (!config_.file().empty()) {
    ORCH_ASSIGN_OR_RETURN(native, policy::Policy::LoadNative(config_.file()));
  }
  if (!config_.action_policy_dir().empty()) {
    ORCH_ASSIGN_OR_RETURN(action_policy,
                          policy::Policy::LoadActionPolicyDirectory(config_.action_policy_dir()));
  }
  std::shared_ptr<const policy::Policy> out =
      action_policy == nullptr
          ? native
          : policy::Policy::Combine(std::move(native), std::move(action_policy));
  if (config_.require_end()) ORCH_RETURN_IF_ERROR(policy::CheckEnds(*out));
  if (loaded_ != nullptr) ORCH_RETURN_IF_ERROR(policy::CheckEnds(*loaded_, *out));
  loaded_ = out;
  return out;
}

bool PolicySource::Settled(absl::Time now) const {
  std::vector<std::string> paths = {config_.file()};
  if (const std::string& directory = config_.action_policy_dir(); !directory.empty()) {
    paths.push_back(directory);
    for (std::string& file : FilesIn(directory)) paths.push_back(std::move(file));
  }
  return std::all_of(paths.begin(), paths.end(), [now](const std::string& path) {
    struct stat about;
    if (path.empty() || stat(path.c_str(), &about) != 0) return true;
    const absl::Time changed =
        std::max(absl::TimeFromTimespec(about.st_mtim), absl::TimeFromTimespec(about.st_ctim));
    return absl::AbsDuration(now - changed) >= kPolicyQuiet;
  });
}

bool PolicySource::Changed() const { return Fingerprint() != loaded_fingerprint_; }

std::string PolicySource::Origin() const {
  std::vector<std::string> parts;
  if (!config_.file().empty()) parts.push_back(config_.file());
  if (!config_.action_policy_dir().empty()) parts.push_back(config_.action_policy_dir());
  return absl::StrCat(absl::StrJoin(parts, " and "), ", files ",
                      base::HexSha256(loaded_fingerprint_).substr(0, 16));
}

}  // namespace orch::controller
