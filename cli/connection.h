// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cli/config.pb.h"
#include "orch/v1/audit_service.pb.h"
#include "orch/v1/job_service.pb.h"
#include "orch/v1/node_service.pb.h"
#include "orch/v1/policy_service.pb.h"

// The controller as orchctl sees it. Only this part of orchctl uses gRPC: all others see
// absl::Status, whose payloads are the google.rpc details of the answer.

namespace orch::cli {

// The messages of a server stream, which a thread of its own reads.
template <typename Message>
class Stream {
 public:
  enum class Got { kMessage, kNothingYet, kEnd };
  virtual ~Stream() = default;
  // Waits at most `wait` for the next message.
  virtual Got Next(absl::Duration wait, Message* out) = 0;
  // How the stream ended; to be called after kEnd.
  virtual absl::Status status() const = 0;
  // Ends the stream from this side; Next gives kEnd soon after.
  virtual void Cancel() = 0;
};

// Whether an Unavailable error came from a connection that had been established, so that the
// controller may have done what was asked.
bool WasConnected(const absl::Status& status);

using JobStream = Stream<orch::v1::WatchJobResponse>;
using NodeStream = Stream<orch::v1::DiscoverNodesResponse>;
using NodeChanges = Stream<orch::v1::WatchNodesResponse>;

class Connection {
 public:
  // Reads the certificate files and prepares the connection; does not wait for the controller.
  // InvalidArgument and NotFound name the file.
  static absl::StatusOr<std::unique_ptr<Connection>> Open(const Context& context);
  virtual ~Connection() = default;

  // The unary calls, each with a deadline of 30 s. Errors: the controller's own; Unavailable,
  // `connect <address>: …` with the likely cause: it can't be reached; PermissionDenied: the
  // controller refuses this certificate in the handshake.
  virtual absl::StatusOr<orch::v1::CreateJobResponse> Call(
      const orch::v1::CreateJobRequest& request) = 0;
  virtual absl::StatusOr<orch::v1::GetJobResponse> Call(const orch::v1::GetJobRequest& request) = 0;
  virtual absl::StatusOr<orch::v1::ListJobsResponse> Call(
      const orch::v1::ListJobsRequest& request) = 0;
  virtual absl::StatusOr<orch::v1::ListJobNodesResponse> Call(
      const orch::v1::ListJobNodesRequest& request) = 0;
  virtual absl::StatusOr<orch::v1::GetJobNodeResponse> Call(
      const orch::v1::GetJobNodeRequest& request) = 0;
  virtual absl::StatusOr<orch::v1::CancelJobResponse> Call(
      const orch::v1::CancelJobRequest& request) = 0;
  virtual absl::StatusOr<orch::v1::PauseJobResponse> Call(
      const orch::v1::PauseJobRequest& request) = 0;
  virtual absl::StatusOr<orch::v1::ResumeJobResponse> Call(
      const orch::v1::ResumeJobRequest& request) = 0;
  virtual absl::StatusOr<orch::v1::ListNodesResponse> Call(
      const orch::v1::ListNodesRequest& request) = 0;
  virtual absl::StatusOr<orch::v1::GetNodeResponse> Call(
      const orch::v1::GetNodeRequest& request) = 0;
  virtual absl::StatusOr<orch::v1::WhoAmIResponse> Call(const orch::v1::WhoAmIRequest& request) = 0;
  virtual absl::StatusOr<orch::v1::ExplainPolicyResponse> Call(
      const orch::v1::ExplainPolicyRequest& request) = 0;
  virtual absl::StatusOr<orch::v1::ExplainTargetResponse> Call(
      const orch::v1::ExplainTargetRequest& request) = 0;
  virtual absl::StatusOr<orch::v1::ListAuditResponse> Call(
      const orch::v1::ListAuditRequest& request) = 0;
  // The streaming calls. RunJob and WatchJob give streams of the same messages.
  virtual std::unique_ptr<JobStream> Run(const orch::v1::RunJobRequest& request) = 0;
  virtual std::unique_ptr<JobStream> Watch(const orch::v1::WatchJobRequest& request) = 0;
  virtual std::unique_ptr<NodeStream> Discover(const orch::v1::DiscoverNodesRequest& request) = 0;
  virtual std::unique_ptr<NodeChanges> WatchNodes(const orch::v1::WatchNodesRequest& request) = 0;

  // Waits until the controller can be reached, but no longer than `most`. To be called between
  // calls that fail, because gRPC works on its connection only while somebody waits for it.
  virtual void AwaitReachable(absl::Duration most) = 0;

  virtual const std::string& address() const = 0;
};

}  // namespace orch::cli
