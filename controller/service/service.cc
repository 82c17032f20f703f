// SPDX-License-Identifier: Apache-2.0
#include "controller/service/service.h"

#include <grpc/support/log.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/service_type.h>
#include <grpcpp/resource_quota.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "base/log.h"
#include "base/status.h"
#include "base/traceparent.h"
#include "bus/stomp/address.h"
#include "controller/service/parse_failure.h"
#include "controller/service/service_core.h"
#include "controller/service/service_listener.h"
#include "controller/service/tls.h"

namespace orch::controller {
namespace {

// What one connection may cost, in bytes, streams and pings.
constexpr int kRequestBytesMax = 4 << 20;
constexpr int kStreamsPerConnectionMax = 256;
constexpr int kMetadataBytesMax = 16 << 10;
constexpr size_t kMemoryMax = 512 << 20;
constexpr int kHandshakeTimeoutMs = 10'000;
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
      {GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeTimeoutMs},
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

CallerEvidence EvidenceOf(const grpc::CallbackServerContext& context) {
  CallerEvidence out;
  // `ipv4:127.0.0.1:4711`, `ipv6:%5B::1%5D:4711`.
  out.peer = absl::StrReplaceAll(context.peer(), {{"%5B", "["}, {"%5D", "]"}});
  for (const char* prefix : {"ipv4:", "ipv6:"}) {
    out.peer = std::string(absl::StripPrefix(out.peer, prefix));
  }
  const std::shared_ptr<const grpc::AuthContext> auth = context.auth_context();
  if (auth == nullptr) return out;
  const auto value = [&auth](const char* property) {
    const std::vector<grpc::string_ref> values = auth->FindPropertyValues(property);
    return values.empty() ? std::string() : std::string(values[0].data(), values[0].size());
  };
  out.certificate_pem = JoinChain(value("x509_pem_cert"), value("x509_pem_cert_chain"));
  return out;
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
    std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials();
    if (!options.insecure_loopback) {
      ORCH_ASSIGN_OR_RETURN(tls_, ServerTls::Make(core_->parts.credentials, options.roles,
                                                  &core_->counts.handshakes_refused));
      credentials = tls_->credentials();
    }
    ORCH_ASSIGN_OR_RETURN(listener_, ServiceListener::Bind(core_->parts.io, options.listen));
    grpc::EnableDefaultHealthCheckService(true);
    grpc::ServerBuilder builder;
    SetArguments(&builder);
    using Kind = grpc::ServerBuilder::experimental_type::ExternalConnectionType;
    std::unique_ptr<ServiceListener::Acceptor> acceptor =
        builder.experimental().AddExternalConnectionAcceptor(Kind::FROM_FD, credentials);
    for (const auto& service : services_) builder.RegisterService(service.get());
    builder.experimental().SetInterceptorCreators(ParseFailureInterceptors());
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) {
      return absl::InternalError(absl::StrCat("listen ", options.listen, ": gRPC did not start"));
    }
    SetServing(false);
    listener_->PostStart(std::move(acceptor));
    return absl::OkStatus();
  }

  void SetServing(bool serving) {
    if (server_ == nullptr) return;
    grpc::HealthCheckServiceInterface* const health = server_->GetHealthCheckService();
    for (const char* name : kServiceNames) health->SetServingStatus(name, serving);
  }

  absl::Status UpdateCertificates() { return tls_ ? tls_->Update() : absl::OkStatus(); }

  void Stop(absl::Duration grace) {
    if (server_ == nullptr) return;
    SetServing(false);
    core_->stopping = true;
    listener_->PostStop();
    boost::asio::post(core_->strand, [core = core_] {
      for (const auto& stream : core->streams) stream->PostStop(Stopping());
    });
    server_->Shutdown(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(grace));
    server_->Wait();
    server_.reset();
  }

  const std::string& address() const { return listener_->address(); }
  const CallCounts& counts() const { return core_->counts; }

 private:
  const std::shared_ptr<ServiceCore> core_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<ServerTls> tls_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<ServiceListener> listener_;
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

}  // namespace orch::controller
