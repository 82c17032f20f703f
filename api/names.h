// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// Names of the API's resources: `jobs/<ULID>`, `nodes/<identity>`, `jobs/<ULID>/nodes/<identity>`.
// Pure.

namespace orch::api {

std::string JobName(absl::string_view id);
std::string NodeName(absl::string_view identity);
std::string JobNodeName(absl::string_view job_id, absl::string_view identity);

// The id in the name of a job, the identity in the name of a node, where the name was made by us:
// only its prefix is taken away. What has none stays as it is.
absl::string_view JobIdOf(absl::string_view name);
absl::string_view IdentityOf(absl::string_view name);

// The same of a name in a request, whose field is `field`. InvalidArgument that names it: it is no
// such name. Whether there is such a job or node is for others to say.
absl::StatusOr<std::string> ParseJobName(absl::string_view field, absl::string_view name);
absl::StatusOr<std::string> ParseNodeName(absl::string_view field, absl::string_view name);
struct JobNodeId {
  std::string job_id, node;
};
absl::StatusOr<JobNodeId> ParseJobNodeName(absl::string_view field, absl::string_view name);

}  // namespace orch::api
