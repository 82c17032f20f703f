// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/rpc/error_details.pb.h"

// Makes API errors as absl::Status. The google.rpc detail messages are payloads whose URL is their
// type URL, so that the gRPC boundary turns payloads into details one to one. docs/errors.md lists
// the reasons. Pure.

namespace orch::api {

inline constexpr char kErrorDomain[] = "orch.v1";
inline constexpr char kTypeUrlPrefix[] = "type.googleapis.com/google.rpc.";

// An error with an ErrorInfo{reason, domain orch.v1}; `reason` is UPPER_SNAKE_CASE.
absl::Status Error(absl::StatusCode code, absl::string_view reason, absl::string_view message);
// InvalidArgument, reason INVALID_ARGUMENT, one BadRequest violation; the message is `<field>:
// <description>`.
absl::Status BadField(absl::string_view field, absl::string_view description);
// OK if all are; the first that is no BadField; else one error with the violations of all, at most
// kViolationsMax of them, and their messages.
inline constexpr int kViolationsMax = 20;
absl::Status AllViolations(const std::vector<absl::Status>& checks);
// FailedPrecondition with a PreconditionFailure violation.
absl::Status Precondition(absl::string_view reason, absl::string_view type,
                          absl::string_view subject, absl::string_view description);
// `status` with a RetryInfo.
absl::Status WithRetry(absl::Status status, absl::Duration delay);
// `status` with a ResourceInfo.
absl::Status WithResource(absl::Status status, absl::string_view type, absl::string_view name,
                          absl::string_view description);
// The ErrorInfo's reason, or empty.
std::string ReasonOf(const absl::Status& status);

}  // namespace orch::api
