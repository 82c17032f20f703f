// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "orch/v1/job.pb.h"

// States as people type them: in lower or upper case, with - or _. Pure.

namespace orch::cli {

// InvalidArgument names the flag and what there is.
absl::StatusOr<orch::v1::JobState> ParseJobState(const std::string& flag, const std::string& word);
absl::StatusOr<orch::v1::NodeState> ParseNodeState(const std::string& flag,
                                                   const std::string& word);
// Nullopt: the word is no verdict of a Puppet run.
std::optional<orch::v1::PuppetRunVerdict> ParseVerdict(const std::string& word);

// Puts `KEY=VALUE` of --label into `labels`. InvalidArgument: it has no key.
absl::Status AddLabel(const std::string& text,
                      google::protobuf::Map<std::string, std::string>* labels);

}  // namespace orch::cli
