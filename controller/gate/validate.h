// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "orch/v1/job.pb.h"
#include "orch/v1/node_service.pb.h"
#include "orch/v1/target.pb.h"

// Checks what requests look like, before it is asked whether they are permitted. Every error is
// InvalidArgument with a BadRequest that names the field and, in an expression, the column. Pure.

namespace orch::controller {

// The most exact names in one job.
inline constexpr int kSpecNodesMax = 50000;
// The most bytes of a target.
inline constexpr size_t kTargetBytesMax = 64 << 10;
// The most bytes of a reason.
inline constexpr size_t kReasonMax = 1024;
inline constexpr size_t kIdempotencyKeyMax = 128;
inline constexpr int64_t kTimeoutMaxSeconds = 24 * 3600;

// Checks a spec. Also fills in the collective `main` where none is named, sorts the exact names and
// removes doubles. `collectives` are those that this controller serves. `*printed` becomes the
// target as text.
absl::Status ValidateSpec(const std::vector<std::string>& collectives, orch::v1::JobSpec* spec,
                          std::string* printed);
// Checks the request of a discovery in the same way.
absl::Status ValidateDiscovery(const std::vector<std::string>& collectives,
                               orch::v1::DiscoverNodesRequest* request);
// Checks a target in the same way. `field` is its path in the request, for example `spec.target`.
absl::Status ValidateTarget(const std::vector<std::string>& collectives, absl::string_view field,
                            orch::v1::Target* target, std::string* printed);
// Checks a list of names, sorts it and removes doubles. `field` is its path, for example
// `spec.nodes`.
absl::Status ValidateNodes(absl::string_view field,
                           google::protobuf::RepeatedPtrField<std::string>* nodes);
// Check one field each; an empty text means that it is not set.
absl::Status ValidateLimit(absl::string_view field, absl::string_view limit);
absl::Status ValidateLimitSeed(absl::string_view field, absl::string_view seed);
// A duration of zero means that it is not set.
absl::Status ValidateTimeout(absl::string_view field, const google::protobuf::Duration& timeout);
absl::Status ValidateReason(absl::string_view field, absl::string_view reason);
// Checks for `[A-Za-z0-9._-]{1,128}`; empty means that there is no key.
absl::Status ValidateIdempotencyKey(absl::string_view key);
// Checks for `<group>.<verb>`, the name of an action or of a verb of the API.
absl::Status ValidateActionName(absl::string_view field, absl::string_view name);

// Returns the id in `jobs/<ULID>`, and the identity in `nodes/<identity>`.
absl::StatusOr<std::string> ParseJobName(absl::string_view field, absl::string_view name);
absl::StatusOr<std::string> ParseNodeName(absl::string_view field, absl::string_view name);
// The size of a page: `otherwise` where 0 is asked for, and at most `max`.
absl::StatusOr<int> PageSize(int asked, int otherwise, int max);

}  // namespace orch::controller
