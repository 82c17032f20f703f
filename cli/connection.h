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

// The controller as orchctl sees it. The only place of orchctl where gRPC stands: everything above
// sees absl::Status, whose payloads are the google.rpc details of the answer.

namespace orch::cli {

// A server stream, read by a thread of its own.
template <typename Message>
class Stream {
 public:
  enum class Got { kMessage, kNothingYet, kEnd };
  virtual ~Stream() = default;
  // Waits at most `wait` for the next message.
  virtual Got Next(absl::Duration wait, Message* out) = 0;
  // After kEnd: how it ended.
  virtual absl::Status status() const = 0;
  // Ends it from this side; Next then comes to kEnd.
  virtual void Cancel() = 0;
};

// Whether an Unavailable of a Connection came from a connection that had stood: what was asked may
// have been done.
bool WasConnected(const absl::Status& status);

using JobStream = Stream<orch::v1::WatchJobResponse>;
using NodeStream = Stream<orch::v1::DiscoverNodesResponse>;
using NodeChanges = Stream<orch::v1::WatchNodesResponse>;

class Connection {
 public:
  // Reads the certificate files and makes the channel; does not wait for the controller.
  // InvalidArgument or NotFound name the file.
  static absl::StatusOr<std::unique_ptr<Connection>> Open(const Context& context);
  virtual ~Connection() = default;

  // Errors: the controller's own; Unavailable, `connect <address>: …`, where it can't be reached,
  // with the likely cause; PermissionDenied where it is certain that the controller refuses this
  // certificate in the handshake.
  virtual absl::StatusOr<orch::v1::CreateJobResponse> Call(
      const orch::v1::CreateJobRequest& request) = 0;
  virtual absl::StatusOr<orch::v1::GetJobResponse> Call(const orch::v1::GetJobRequest& request) = 0;
  virtual absl::StatusOr<orch::v1::ListJobsResponse> Call(
      const orch::v1::ListJobsRequest& request) = 0;
  virtual absl::StatusOr<orch::v1::ListJobNodesResponse> Call(
      const orch::v1::ListJobNodesRequest& request) = 0;
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
  // The streams of RunJob and WatchJob look alike.
  virtual std::unique_ptr<JobStream> Run(const orch::v1::RunJobRequest& request) = 0;
  virtual std::unique_ptr<JobStream> Watch(const orch::v1::WatchJobRequest& request) = 0;
  virtual std::unique_ptr<NodeStream> Discover(const orch::v1::DiscoverNodesRequest& request) = 0;
  virtual std::unique_ptr<NodeChanges> WatchNodes(const orch::v1::WatchNodesRequest& request) = 0;

  // Waits until the controller can be reached, at most so long. Between calls that fail gRPC makes
  // headway with its connection only while somebody waits for it.
  virtual void AwaitReachable(absl::Duration most) = 0;

  virtual const std::string& address() const = 0;
};

}  // namespace orch::cli
