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

// Answers the calls of the target language that only a node can answer: puppet(), resource() and
// fstat(). They read files and start no program, which takes milliseconds on a local disk. Names of
// fields are MCollective's or the API's. NotFound: there is no such field (the error lists those
// there are), or Puppet's settings are not known. Thread-safe.

namespace orch::nodeagent {

// Bytes of the largest file that fstat() hashes.
inline constexpr size_t kFstatHashMax = 8 << 20;
// How long a strand waits for fstat(). A local disk answers in less, also when it is asked for a
// digest.
inline constexpr absl::Duration kFstatPatience = absl::Milliseconds(200);

// The value of `puppet().field`. DataLoss: the last run's summary is damaged, so its figures are
// not known. `paths` may be null: NotFound then.
absl::StatusOr<nlohmann::json> AnswerPuppet(const PuppetPaths* paths, const std::string& field,
                                            absl::Time now);

// The value of `resource('File[/srv]').field`: `managed` says whether the last catalog manages the
// resource, other fields are counts of the last run. InvalidArgument: not of the form Type[title].
absl::StatusOr<nlohmann::json> AnswerResource(const PuppetPaths* paths, const std::string& resource,
                                              const std::string& field, absl::Time now);

// `fstat('/srv/x').field`. PermissionDenied unless what the path leads to, symbolic links followed,
// is below one of `allowed`; ResourceExhausted for the digest of a file above kFstatHashMax. Blocks
// for as long as the file system does.
absl::StatusOr<nlohmann::json> AnswerFstat(const std::vector<std::string>& allowed,
                                           const std::string& path, const std::string& field,
                                           absl::Time now);

// AnswerFstat for a strand, which must not hang with a file server: each call is answered on a
// thread of its own and waited for at most kFstatPatience. While one of them hangs, further calls
// are refused at once.
class FstatAside {
 public:
  using Answerer = decltype(&AnswerFstat);

  explicit FstatAside(Answerer answerer = AnswerFstat) : answerer_(answerer) {}
  // DeadlineExceeded: the file system did not answer. Else as AnswerFstat.
  absl::StatusOr<nlohmann::json> Answer(std::vector<std::string> allowed, std::string path,
                                        std::string field, absl::Time now);

 private:
  const Answerer answerer_;
  // True while a call is under way. Shared with its thread, which may outlive this object.
  const std::shared_ptr<std::atomic<bool>> hangs_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace orch::nodeagent
