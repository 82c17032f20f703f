// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

// The one place where absl::Status becomes grpc::Status. Payloads whose URL is a google.rpc type
// (api/errors.h) travel as details of a google.rpc.Status in the `grpc-status-details-bin` trailer.
// Pure.

namespace orch::controller {

// Longer messages are cut, at a character's boundary.
inline constexpr size_t kErrorMessageMax = 1024;
// Details beyond this many serialised bytes are left out, the ErrorInfo last: clients accept 8 KiB
// of trailers, and answer more with an error of their own that hides ours.
inline constexpr size_t kErrorDetailsMax = 3072;

// Every error leaves with an ErrorInfo: one without a reason gets its code's name as the reason.
grpc::Status ToGrpc(const absl::Status& status);

}  // namespace orch::controller
