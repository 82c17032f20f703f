// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <google/protobuf/message.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "orch/v1/job.pb.h"
#include "orch/v1/node_service.pb.h"
#include "orch/v1/target.pb.h"
#include "target/target.h"

// Checks what requests look like, before it is asked whether they are permitted. Every error is
// InvalidArgument with a BadRequest that names the field and, in an expression, the column. Pure.

namespace orch::controller {

// The most exact names in one job.
inline constexpr int kSpecNodesMax = 50000;
// The most bytes of a target.
inline constexpr size_t kTargetBytesMax = 64 << 10;
// The most bytes of a reason.
inline constexpr size_t kReasonMax = 1024;
// Labels of a job, and the bytes of a label's value.
inline constexpr size_t kLabelsMax = 16;
inline constexpr size_t kLabelBytesMax = 256;
inline constexpr size_t kOnBehalfOfBytesMax = 128;
inline constexpr size_t kIdempotencyKeyMax = 128;
inline constexpr int64_t kTimeoutMaxSeconds = 24 * 3600;

// Refuses a request with a field or an enum's value, at any depth, that this build does not know:
// what it would ignore may be what the caller means most, as `validate_only` once was.
absl::Status ValidateKnown(const google::protobuf::Message& request);
// Fills in the collective `main`, sorts the exact nodes and takes out doubles, checks everything
// else. `collectives` are those that this controller serves. `*printed` is the target as text,
// `*compiled` (may be null) the target as it is evaluated, for who comes after.
absl::Status ValidateSpec(const std::vector<std::string>& collectives, orch::v1::JobSpec* spec,
                          std::string* printed,
                          std::shared_ptr<const target::Target>* compiled = nullptr);
// The same for a discovery.
absl::Status ValidateDiscovery(const std::vector<std::string>& collectives,
                               orch::v1::DiscoverNodesRequest* request);
// Checks a target in the same way. `field` is its path in the request, for example `spec.target`.
absl::Status ValidateTarget(const std::vector<std::string>& collectives, absl::string_view field,
                            orch::v1::Target* target, std::string* printed,
                            std::shared_ptr<const target::Target>* compiled = nullptr);
// Sorts and takes out doubles. `field` is the list's path, for example `spec.nodes`.
absl::Status ValidateNodes(absl::string_view field,
                           google::protobuf::RepeatedPtrField<std::string>* nodes);
// Check one field each; an empty text means that it is not set.
absl::Status ValidateLimit(absl::string_view field, const orch::v1::Quantity& limit);
absl::Status ValidateLimitSeed(absl::string_view field, absl::string_view seed);
// A duration of zero means that it is not set.
absl::Status ValidateTimeout(absl::string_view field, const google::protobuf::Duration& timeout);
absl::Status ValidateReason(absl::string_view field, absl::string_view reason);
// Checks for `[A-Za-z0-9._-]{1,128}`; empty means that there is no key.
absl::Status ValidateIdempotencyKey(absl::string_view key);
// Checks for `<group>.<verb>`, the name of an action or of a verb of the API.
absl::Status ValidateActionName(absl::string_view field, absl::string_view name);

// 0 → `otherwise`; above `max` → `max`.
absl::StatusOr<int> PageSize(int asked, int otherwise, int max);

}  // namespace orch::controller
