// SPDX-License-Identifier: Apache-2.0

// This is the one file of orchctl that knows gRPC, because gRPC's errors are for programmers and
// somebody has to translate them once for all commands. A handshake that the controller refuses and
// a controller that was restarted look alike in them ("Socket closed"); Diagnosis says what is
// likely, by what it knows of the own certificate, and marks statuses after which something may
// have been done. Streams are read by a thread of their own, so that a command can wait for the
// next message, ^C or a tick, whichever comes first; a bounded queue lets gRPC's flow control hold
// the controller.

#include "cli/connection.h"

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "api/errors.h"
#include "base/status.h"
#include "base/telemetry/traceparent.h"
#include "google/rpc/status.pb.h"
#include "orch/v1/audit_service.grpc.pb.h"
#include "orch/v1/job_service.grpc.pb.h"
#include "orch/v1/node_service.grpc.pb.h"
#include "orch/v1/policy_service.grpc.pb.h"
#include "trust/identity.h"

namespace orch::cli {
namespace {

using namespace orch::v1;  // NOLINT: every message of the API is named here

// Payload of statuses whose connection had stood.
constexpr char kConnectedUrl[] = "orch.cli/connected";
constexpr absl::Duration kUnaryDeadline = absl::Seconds(30);
// Messages that wait between the reading thread and the command; then the stream's flow control
// holds the controller.
constexpr size_t kWaitingMax = 64;

bool IsLoopback(absl::string_view address) {
  return absl::StartsWith(address, "127.") || absl::StartsWith(address, "localhost:") ||
         absl::StartsWith(address, "[::1]:");
}

absl::Status ToAbsl(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status out(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  google::rpc::Status details;
  if (details.ParseFromString(status.error_details())) {
    for (const auto& any : details.details())
      out.SetPayload(any.type_url(), absl::Cord(any.value()));
  }
  return out;
}

// `Connection refused` of `failed to connect to all addresses; last error: UNKNOWN: …`.
std::string CauseIn(const std::string& text) {
  const auto behind = [&text](const std::string& mark) {
    const size_t at = text.rfind(mark);
    return at == std::string::npos ? text : text.substr(at + mark.size());
  };
  if (absl::StrContains(text, "C-ares") || absl::StrContains(text, "DNS resolution")) {
    return absl::StrCat("the name can't be resolved: ", behind(": "));
  }
  if (absl::StrContains(text, "andshake")) {
    return "no TLS handshake: what listens there is no controller, or it hangs";
  }
  return behind("remote host: ");
}

// What the transport's words mean for somebody who does not know gRPC.
class Diagnosis {
 public:
  Diagnosis(std::string address, std::string certificate, bool has_role)
      : address_(std::move(address)), certificate_(std::move(certificate)), has_role_(has_role) {}

  const std::string& address() const { return address_; }

  absl::Status Of(const grpc::Status& status) const {
    const absl::Status plain = ToAbsl(status);
    if (status.error_code() != grpc::StatusCode::UNAVAILABLE || !api::ReasonOf(plain).empty())
      return plain;
    const std::string& text = status.error_message();
    const bool closed =
        absl::StrContains(text, "Socket closed") || absl::StrContains(text, "ocket operation") ||
        absl::StrContains(text, "reset by peer") || absl::StrContains(text, "Broken pipe") ||
        absl::StrContains(text, "GOAWAY") || absl::StrContains(text, "SSL_ERROR") ||
        // With TLS 1.3 a client's handshake is over before its certificate is judged.
        absl::StrContains(text, "Endpoint read failed");
    if (absl::StrContains(text, "CERTIFICATE_VERIFY_FAILED") ||
        absl::StrContains(text, "erify failed") || absl::StrContains(text, "Peer name")) {
      return absl::UnavailableError(
          absl::StrCat("connect ", address_,
                       ": its certificate is not one that --ca trusts for this name (", text, ")"));
    }
    if (closed && !certificate_.empty() && !has_role_) {
      return absl::PermissionDeniedError(
          absl::StrCat("connect ", address_, ": the controller ended the handshake: ", certificate_,
                       " has no role orch-user (extension pp_auth_role), or is revoked"));
    }
    if (closed) {
      absl::Status cut = absl::UnavailableError(absl::StrCat(
          "connect ", address_, ": the connection was closed (", text,
          "): either the controller ended",
          certificate_.empty()
              ? ""
              : absl::StrCat(", or it refuses ", certificate_, " (revoked, expired, another CA)")));
      cut.SetPayload(kConnectedUrl, absl::Cord());
      return cut;
    }
    return absl::UnavailableError(absl::StrCat("connect ", address_, ": ", CauseIn(text)));
  }

 private:
  const std::string address_;
  const std::string certificate_;
  const bool has_role_;
};

WatchJobResponse&& AsWatch(WatchJobResponse&& response) { return std::move(response); }
WatchJobResponse AsWatch(RunJobResponse&& response) {
  WatchJobResponse out;
  if (response.has_job()) out.mutable_job()->Swap(response.mutable_job());
  out.mutable_events()->Swap(response.mutable_events());
  if (response.has_heartbeat()) *out.mutable_heartbeat() = response.heartbeat();
  return out;
}
DiscoverNodesResponse&& AsWatch(DiscoverNodesResponse&& response) { return std::move(response); }
WatchNodesResponse&& AsWatch(WatchNodesResponse&& response) { return std::move(response); }

// The trace that orchctl runs in, by the convention of CI systems. What is malformed is not sent.
void AddTrace(grpc::ClientContext* context) {
  const char* traceparent = std::getenv("TRACEPARENT");
  if (traceparent == nullptr) return;
  const std::string shown = base::ParseTraceparent(traceparent).ToString();
  if (!shown.empty()) context->AddMetadata("traceparent", shown);
}

template <typename Wire, typename Message>
class ReadStream : public Stream<Message> {
 public:
  using Got = typename Stream<Message>::Got;

  template <typename Begin>
  ReadStream(Begin begin, const Diagnosis& diagnosis) : diagnosis_(diagnosis) {
    context_.set_wait_for_ready(false);
    AddTrace(&context_);
    reader_ = begin(&context_);
    thread_ = std::thread([this] { ReadAll(); });
  }
  ~ReadStream() override {
    context_.TryCancel();
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      abandoned_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  Got Next(absl::Duration wait, Message* out) override {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait_for(lock, absl::ToChronoNanoseconds(wait),
                      [this] { return ended_ || !waiting_.empty(); });
    if (!waiting_.empty()) {
      *out = std::move(waiting_.front());
      waiting_.pop_front();
      changed_.notify_all();
      return Got::kMessage;
    }
    return ended_ ? Got::kEnd : Got::kNothingYet;
  }
  absl::Status status() const override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return status_;
  }
  void Cancel() override { context_.TryCancel(); }

 private:
  void ReadAll() {
    Wire wire;
    while (reader_->Read(&wire)) {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait(lock, [this] { return abandoned_ || waiting_.size() < kWaitingMax; });
      if (abandoned_) break;
      waiting_.push_back(AsWatch(std::move(wire)));
      changed_.notify_all();
      wire = Wire();
    }
    const grpc::Status status = reader_->Finish();
    const std::lock_guard<std::mutex> lock(mutex_);
    status_ = diagnosis_.Of(status);
    ended_ = true;
    changed_.notify_all();
  }

  const Diagnosis& diagnosis_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<Wire>> reader_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Message> waiting_;
  absl::Status status_;
  bool ended_ = false;
  bool abandoned_ = false;
  std::thread thread_;
};

class GrpcConnection : public Connection {
 public:
  GrpcConnection(std::shared_ptr<grpc::Channel> channel, Diagnosis diagnosis)
      : diagnosis_(std::move(diagnosis)),
        jobs_(JobService::NewStub(channel)),
        nodes_(NodeService::NewStub(channel)),
        policy_(PolicyService::NewStub(channel)),
        audit_(AuditService::NewStub(channel)),
        channel_(std::move(channel)) {}

  absl::StatusOr<CreateJobResponse> Call(const CreateJobRequest& r) override {
    return Unary<CreateJobResponse>(*jobs_, &JobService::Stub::CreateJob, r);
  }
  absl::StatusOr<GetJobResponse> Call(const GetJobRequest& r) override {
    return Unary<GetJobResponse>(*jobs_, &JobService::Stub::GetJob, r);
  }
  absl::StatusOr<ListJobsResponse> Call(const ListJobsRequest& r) override {
    return Unary<ListJobsResponse>(*jobs_, &JobService::Stub::ListJobs, r);
  }
  absl::StatusOr<GetJobNodeResponse> Call(const GetJobNodeRequest& r) override {
    return Unary<GetJobNodeResponse>(*jobs_, &JobService::Stub::GetJobNode, r);
  }
  absl::StatusOr<ListJobNodesResponse> Call(const ListJobNodesRequest& r) override {
    return Unary<ListJobNodesResponse>(*jobs_, &JobService::Stub::ListJobNodes, r);
  }
  absl::StatusOr<CancelJobResponse> Call(const CancelJobRequest& r) override {
    return Unary<CancelJobResponse>(*jobs_, &JobService::Stub::CancelJob, r);
  }
  absl::StatusOr<PauseJobResponse> Call(const PauseJobRequest& r) override {
    return Unary<PauseJobResponse>(*jobs_, &JobService::Stub::PauseJob, r);
  }
  absl::StatusOr<ResumeJobResponse> Call(const ResumeJobRequest& r) override {
    return Unary<ResumeJobResponse>(*jobs_, &JobService::Stub::ResumeJob, r);
  }
  absl::StatusOr<ListNodesResponse> Call(const ListNodesRequest& r) override {
    return Unary<ListNodesResponse>(*nodes_, &NodeService::Stub::ListNodes, r);
  }
  absl::StatusOr<GetNodeResponse> Call(const GetNodeRequest& r) override {
    return Unary<GetNodeResponse>(*nodes_, &NodeService::Stub::GetNode, r);
  }
  absl::StatusOr<WhoAmIResponse> Call(const WhoAmIRequest& r) override {
    return Unary<WhoAmIResponse>(*policy_, &PolicyService::Stub::WhoAmI, r);
  }
  absl::StatusOr<ExplainPolicyResponse> Call(const ExplainPolicyRequest& r) override {
    return Unary<ExplainPolicyResponse>(*policy_, &PolicyService::Stub::ExplainPolicy, r);
  }
  absl::StatusOr<ExplainTargetResponse> Call(const ExplainTargetRequest& r) override {
    return Unary<ExplainTargetResponse>(*policy_, &PolicyService::Stub::ExplainTarget, r);
  }
  absl::StatusOr<ListAuditResponse> Call(const ListAuditRequest& r) override {
    return Unary<ListAuditResponse>(*audit_, &AuditService::Stub::ListAudit, r);
  }
  std::unique_ptr<JobStream> Run(const RunJobRequest& r) override {
    return std::make_unique<ReadStream<RunJobResponse, WatchJobResponse>>(
        [&](grpc::ClientContext* context) { return jobs_->RunJob(context, r); }, diagnosis_);
  }
  std::unique_ptr<JobStream> Watch(const WatchJobRequest& r) override {
    return std::make_unique<ReadStream<WatchJobResponse, WatchJobResponse>>(
        [&](grpc::ClientContext* context) { return jobs_->WatchJob(context, r); }, diagnosis_);
  }
  std::unique_ptr<NodeStream> Discover(const DiscoverNodesRequest& r) override {
    return std::make_unique<ReadStream<DiscoverNodesResponse, DiscoverNodesResponse>>(
        [&](grpc::ClientContext* context) { return nodes_->DiscoverNodes(context, r); },
        diagnosis_);
  }
  std::unique_ptr<NodeChanges> WatchNodes(const WatchNodesRequest& r) override {
    return std::make_unique<ReadStream<WatchNodesResponse, WatchNodesResponse>>(
        [&](grpc::ClientContext* context) { return nodes_->WatchNodes(context, r); }, diagnosis_);
  }
  void AwaitReachable(absl::Duration most) override {
    channel_->WaitForConnected(absl::ToChronoTime(absl::Now() + most));
  }
  const std::string& address() const override { return diagnosis_.address(); }

 private:
  template <typename Response, typename Stub, typename Request>
  absl::StatusOr<Response> Unary(Stub& stub,
                                 grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                              Response*),
                                 const Request& request) {
    grpc::ClientContext context;
    AddTrace(&context);
    context.set_deadline(absl::ToChronoTime(absl::Now() + kUnaryDeadline));
    Response response;
    const grpc::Status status = (stub.*method)(&context, request, &response);
    if (!status.ok()) return diagnosis_.Of(status);
    return response;
  }

  const Diagnosis diagnosis_;
  const std::unique_ptr<JobService::Stub> jobs_;
  const std::unique_ptr<NodeService::Stub> nodes_;
  const std::unique_ptr<PolicyService::Stub> policy_;
  const std::unique_ptr<AuditService::Stub> audit_;
  const std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace

bool WasConnected(const absl::Status& status) {
  return status.GetPayload(kConnectedUrl).has_value();
}

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(const Context& context) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(16 << 20);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  if (context.insecure_loopback()) {
    if (!IsLoopback(context.server())) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--insecure-loopback is for a controller on this machine, not ", context.server()));
    }
    return std::make_unique<GrpcConnection>(
        grpc::CreateCustomChannel(context.server(), grpc::InsecureChannelCredentials(), arguments),
        Diagnosis(context.server(), "", false));
  }
  trust::TrustConfig config;
  config.set_certificate(context.cert());
  config.set_private_key(context.key());
  config.set_ca(context.ca());
  config.set_no_crl(true);
  ORCH_ASSIGN_OR_RETURN(const std::shared_ptr<trust::Credentials> credentials,
                        trust::Credentials::Load(config, absl::Now()));
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = credentials->ca_pem();
  options.pem_cert_chain = credentials->certificate_chain_pem();
  options.pem_private_key = credentials->private_key_pem();
  if (!context.server_name().empty()) arguments.SetSslTargetNameOverride(context.server_name());
  return std::make_unique<GrpcConnection>(
      grpc::CreateCustomChannel(context.server(), grpc::SslCredentials(options), arguments),
      Diagnosis(context.server(), absl::StrCat("the certificate ", context.cert()),
                credentials->self().role == trust::Role::kUser));
}

}  // namespace orch::cli
