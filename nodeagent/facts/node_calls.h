// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "nodeagent/puppet/puppet_paths.h"

// The calls of the target language that only a node can answer, from files alone, in milliseconds;
// field names are MCollective's, or the API's. NotFound: no such field, with those there are.
// Thread-safe.

namespace orch::nodeagent {

// Files above it are not hashed.
inline constexpr size_t kFstatHashMax = 8 << 20;
// A strand waits so long for fstat(): a local disk answers in less, even to a digest.
inline constexpr absl::Duration kFstatPatience = absl::Milliseconds(200);

// `puppet().field`. Unknown (DataLoss) where the last run's summary is damaged.
absl::StatusOr<nlohmann::json> AnswerPuppet(const PuppetPaths* paths, const std::string& field,
                                            absl::Time now);

// `resource('File[/srv]').field`: whether the last catalog manages it, and the last run's counts.
absl::StatusOr<nlohmann::json> AnswerResource(const PuppetPaths* paths, const std::string& resource,
                                              const std::string& field, absl::Time now);

// `fstat('/srv/x').field`. PermissionDenied unless what the path leads to, symbolic links followed,
// is below one of `allowed`; ResourceExhausted for the digest of a file above kFstatHashMax. Blocks
// for as long as the file system does.
absl::StatusOr<nlohmann::json> AnswerFstat(const std::vector<std::string>& allowed,
                                           const std::string& path, const std::string& field,
                                           absl::Time now);

// The same for a strand, which must never hang with a file server: each is answered on a thread of
// its own and waited for at most kFstatPatience. While one hangs the others are refused at once.
class FstatAside {
 public:
  using Answerer = decltype(&AnswerFstat);

  explicit FstatAside(Answerer answerer = AnswerFstat) : answerer_(answerer) {}
  // DeadlineExceeded: the file system did not answer. Else as AnswerFstat.
  absl::StatusOr<nlohmann::json> Answer(std::vector<std::string> allowed, std::string path,
                                        std::string field, absl::Time now);

 private:
  const Answerer answerer_;
  // Shared with the thread, which may outlive this.
  const std::shared_ptr<std::atomic<bool>> hangs_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace orch::nodeagent
