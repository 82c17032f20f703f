// SPDX-License-Identifier: Apache-2.0
#include "controller/service/service.h"

#include <grpc/support/log.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/service_type.h>
#include <grpcpp/resource_quota.h>

#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "base/telemetry/traceparent.h"
#include "bus/stomp/address.h"
#include "controller/edge/edge.h"
#include "controller/service/parse_failure.h"
#include "controller/service/service_core.h"

namespace orch::controller {
namespace {

// What one connection may cost, in bytes, streams and pings.
constexpr int kRequestBytesMax = 4 << 20;
constexpr int kStreamsPerConnectionMax = 256;
constexpr int kMetadataBytesMax = 16 << 10;
constexpr size_t kMemoryMax = 512 << 20;
// We ask a silent peer whether it is there, and let peers ask us as often as every 10 s.
constexpr int kKeepaliveTimeMs = 30'000;
constexpr int kKeepaliveTimeoutMs = 10'000;
constexpr int kPeerPingsEveryMs = 10'000;

// What a caller is told to wait while the controller is stopping or full.
constexpr absl::Duration kRetryDelay = absl::Seconds(2);

constexpr const char* kServiceNames[] = {"", "orch.v1.JobService", "orch.v1.NodeService",
                                         "orch.v1.PolicyService", "orch.v1.AuditService"};

// gRPC's own words are for developers: what matters of them, we say ourselves.
void LogFromGrpc(gpr_log_func_args* arguments) {
  base::LogDebug("grpc", {{"says", arguments->message}});
}

void SetArguments(grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(kRequestBytesMax);
  builder->SetMaxSendMessageSize(-1);
  builder->SetResourceQuota(grpc::ResourceQuota("orch").Resize(kMemoryMax));
  const std::pair<const char*, int> integers[] = {
      {GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsPerConnectionMax},
      {GRPC_ARG_MAX_METADATA_SIZE, kMetadataBytesMax},
      {GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs},
      {GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs},
      {GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1},
      {GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kPeerPingsEveryMs},
  };
  for (const auto& [name, value] : integers) builder->AddChannelArgument(name, value);
}

}  // namespace

absl::Status Stopping() {
  return api::WithRetry(
      api::Error(absl::StatusCode::kUnavailable, "STOPPING", "the controller is stopping"),
      kRetryDelay);
}

absl::Status TooManyCalls() {
  return api::WithRetry(api::Error(absl::StatusCode::kResourceExhausted, "TOO_MANY_CALLS",
                                   "too many calls wait for an answer"),
                        kRetryDelay);
}

std::optional<EdgeCaller> CallerOf(const ServiceCore& core,
                                   const grpc::CallbackServerContext& context) {
  return core.edge->callers().Find(context.peer());
}

CallerEvidence EvidenceOf(std::optional<EdgeCaller> caller) {
  if (!caller.has_value()) return {.certificate_pem = "", .peer = "", .known = false};
  return {.certificate_pem = std::move(caller->certificate_pem), .peer = std::move(caller->peer)};
}

CallerEvidence EvidenceOf(const ServiceCore& core, const grpc::CallbackServerContext& context) {
  return EvidenceOf(CallerOf(core, context));
}

std::string TraceparentOf(const grpc::CallbackServerContext& context) {
  const auto& metadata = context.client_metadata();
  // Two of them say nothing: which one would it be?
  if (metadata.count("traceparent") != 1) return "";
  const grpc::string_ref header = metadata.find("traceparent")->second;
  return base::ParseTraceparent({header.data(), header.size()}).ToString();
}

class Services::Server {
 public:
  Server(ServiceParts parts, ServiceOptions options)
      : core_(std::make_shared<ServiceCore>(std::move(parts), std::move(options))) {
    services_.push_back(NewJobService(core_));
    services_.push_back(NewNodeService(core_));
    services_.push_back(NewPolicyService(core_));
    services_.push_back(NewAuditService(core_));
  }
  ~Server() { Stop(absl::ZeroDuration()); }

  absl::Status Start() {
    const ServiceOptions& options = core_->options;
    ORCH_ASSIGN_OR_RETURN(const bus::Address address, bus::ParseAddress(options.listen));
    if (options.insecure_loopback && !bus::IsLoopback(address.host)) {
      return absl::FailedPreconditionError(
          absl::StrCat("listen ", options.listen, ": insecure_loopback is for loopback only"));
    }
    gpr_set_log_function(&LogFromGrpc);
    const auto& credentials = core_->parts.credentials;
    ORCH_ASSIGN_OR_RETURN(
        core_->edge, Edge::Bind(core_->parts.io, options.listen,
                                options.insecure_loopback ? nullptr : credentials, options.roles));
    grpc::EnableDefaultHealthCheckService(true);
    grpc::ServerBuilder builder;
    SetArguments(&builder);
    using Kind = grpc::ServerBuilder::experimental_type::ExternalConnectionType;
    // TLS ends at the edge.
    std::shared_ptr<Acceptor> acceptor = builder.experimental().AddExternalConnectionAcceptor(
        Kind::FROM_FD, grpc::InsecureServerCredentials());
    for (const auto& service : services_) builder.RegisterService(service.get());
    builder.experimental().SetInterceptorCreators(ParseFailureInterceptors());
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) {
      return absl::InternalError(absl::StrCat("listen ", options.listen, ": gRPC did not start"));
    }
    SetServing(false);
    core_->edge->PostStart([acceptor = std::move(acceptor)](int fd) {
      Acceptor::NewConnectionParameters connection;
      connection.fd = fd;
      acceptor->HandleNewConnection(&connection);
    });
    return absl::OkStatus();
  }

  void SetServing(bool serving) {
    if (server_ == nullptr) return;
    grpc::HealthCheckServiceInterface* const health = server_->GetHealthCheckService();
    for (const char* name : kServiceNames) health->SetServingStatus(name, serving);
  }

  absl::Status UpdateCertificates() { return core_->edge->UpdateCertificates(); }

  void Stop(absl::Duration grace) {
    if (server_ == nullptr) return;
    SetServing(false);
    core_->stopping = true;
    core_->edge->PostStop();
    boost::asio::post(core_->strand, [core = core_] {
      for (const auto& stream : core->streams) stream->PostStop(Stopping());
    });
    server_->Shutdown(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(grace));
    server_->Wait();
    server_.reset();
  }

  const std::string& address() const { return core_->edge->address(); }
  const CallCounts& counts() const { return core_->counts; }
  const EdgeCounts& edge_counts() const { return core_->edge->counts(); }

 private:
  using Acceptor = grpc::experimental::ExternalConnectionAcceptor;

  const std::shared_ptr<ServiceCore> core_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<grpc::Server> server_;
};

Services::Services(std::unique_ptr<Server> server) : server_(std::move(server)) {}
Services::~Services() = default;

absl::StatusOr<std::unique_ptr<Services>> Services::Start(ServiceParts parts,
                                                          ServiceOptions options) {
  auto server = std::make_unique<Server>(std::move(parts), std::move(options));
  ORCH_RETURN_IF_ERROR(server->Start());
  return std::unique_ptr<Services>(new Services(std::move(server)));
}

const std::string& Services::address() const { return server_->address(); }
void Services::SetServing(bool serving) { server_->SetServing(serving); }
absl::Status Services::UpdateCertificates() { return server_->UpdateCertificates(); }
void Services::Stop(absl::Duration grace) { server_->Stop(grace); }
const CallCounts& Services::counts() const { return server_->counts(); }
const EdgeCounts& Services::edge_counts() const { return server_->edge_counts(); }

}  // namespace orch::controller
