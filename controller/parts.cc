// SPDX-License-Identifier: Apache-2.0

// Everything is read and checked (ReadInputs) before anything is opened that others could notice,
// so that --check-config and a start refuse the same things. Parts are made in the order in which
// they need each other, and their members end in the opposite order. The audit comes first, since
// nothing may happen that it can't record, and gRPC last, when there is somebody behind it to
// answer. The configuration is translated into each part's own options here, so that no part
// includes the controller's schema.

#include "controller/parts.h"

#include <google/protobuf/util/time_util.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/log.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "bus/stream/stream.h"
#include "controller/config.h"

namespace orch::controller {
namespace {

// Read from the bus: more than the machine can verify, and no more than it can throw away.
constexpr uint32_t kMessagesPerSecondMax = 50'000;

absl::Status MakeStateDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("create state_dir ", path, ": ", strerror(errno)));
}

std::vector<trust::Role> RolesOf(const GrpcConfig& config) {
  std::vector<trust::Role> out;
  for (const std::string& role : config.roles()) {
    out.push_back(role == "orch-controller" ? trust::Role::kController : trust::Role::kUser);
  }
  return out;
}

DispatcherOptions DispatcherOptionsOf(const Inputs& inputs) {
  const ControllerConfig& config = inputs.config;
  DispatcherOptions out;
  out.controller = inputs.credentials->self().common_name;
  out.collectives.assign(config.collectives().begin(), config.collectives().end());
  out.destinations = bus::Destinations::FromConfig(config.bus());
  out.store_path = StorePath(config);
  out.confirm_above = config.jobs().confirm_above();
  out.concurrency = config.jobs().concurrency();
  out.presence_interval = ToDuration(config.roster().presence_interval());
  out.stale_after = ToDuration(config.roster().stale_after());
  out.request_ttl = ToDuration(config.jobs().request_ttl());
  out.beacon_interval = ToDuration(config.roster().beacon_interval());
  out.discovery_timeout = ToDuration(config.roster().discovery_timeout());
  out.jobs_kept = config.jobs().kept();
  out.jobs_kept_for = ToDuration(config.jobs().kept_for());
  out.diffs_kept_for = ToDuration(config.diffs().kept_for());
  out.jobs_running_max = config.jobs().running_max();
  return out;
}

void OpenBus(Parts* parts) {
  const ControllerConfig& config = parts->inputs.config;
  bus::Client::Options options;
  options.config = config.bus();
  // Without its one controller the whole fleet waits: it comes back sooner than nodes, which are
  // many.
  if (!config.bus().has_reconnect_max()) options.config.mutable_reconnect_max()->set_seconds(2);
  if (!config.bus().has_reconnect_spread()) options.config.mutable_reconnect_spread();
  options.client_id = parts->inputs.credentials->self().common_name;
  options.messages_per_second = kMessagesPerSecondMax;
  std::shared_ptr<bus::StreamFactory> streams;
  if (HasOwnBroker(config)) {
    parts->broker = std::make_unique<bus::Broker>(parts->broker_strand, config.broker(),
                                                  parts->inputs.credentials);
    streams = parts->broker->MemoryStreams(parts->inputs.credentials->self());
  } else {
    const bool tls = !config.bus().has_tls() || config.bus().tls();
    if (tls) options.credentials = parts->inputs.credentials;
    streams = bus::NewNetworkStreams(options.credentials, config.bus().tls_server_name());
  }
  parts->bus =
      std::make_unique<bus::Client>(parts->bus_strand, std::move(options), std::move(streams));
}

absl::Status OpenDispatcher(Parts* parts) {
  const DispatcherParts dispatcher_parts{.io = &parts->io,
                                         .strand = parts->dispatcher_strand,
                                         .bus_strand = parts->bus_strand,
                                         .client = parts->bus.get(),
                                         .credentials = parts->inputs.credentials,
                                         .audit = parts->audit};
  ORCH_ASSIGN_OR_RETURN(parts->dispatcher,
                        Dispatcher::Open(dispatcher_parts, DispatcherOptionsOf(parts->inputs)));
  return absl::OkStatus();
}

absl::Status OpenPuppetDb(Parts* parts) {
  const PuppetDbConfig& config = parts->inputs.config.puppetdb();
  if (config.url().empty()) return absl::OkStatus();
  ORCH_ASSIGN_OR_RETURN(PuppetDbAddress address, ParsePuppetDbUrl(config.url()));
  const std::shared_ptr<trust::Credentials>& own = parts->inputs.puppetdb_credentials;
  const std::shared_ptr<trust::Credentials> shown = !address.tls     ? nullptr
                                                    : own != nullptr ? own
                                                                     : parts->inputs.credentials;
  parts->puppetdb =
      std::make_shared<PuppetDb>(base::Strand(parts->io.get_executor()), std::move(address),
                                 bus::NewNetworkStreams(shown, config.tls_server_name()), own);
  return absl::OkStatus();
}

void OpenGate(Parts* parts) {
  const ControllerConfig& config = parts->inputs.config;
  GateParts gate_parts{.strand = parts->gate_strand,
                       .dispatcher = parts->dispatcher->port(),
                       .credentials = parts->inputs.credentials,
                       .audit = [audit = parts->audit](auto record, auto done) {
                         audit->PostAppend(std::move(record), std::move(done));
                       }};
  if (parts->puppetdb != nullptr) {
    gate_parts.puppetdb = [puppetdb = parts->puppetdb](std::string pql, auto done) {
      puppetdb->PostQuery(std::move(pql), std::move(done));
    };
  }
  GateOptions options;
  options.controller = parts->inputs.credentials->self().common_name;
  options.collectives.assign(config.collectives().begin(), config.collectives().end());
  options.insecure_loopback = config.grpc().insecure_loopback();
  options.roles = RolesOf(config.grpc());
  options.watchers_max = config.limits().watchers();
  options.watchers_per_caller_max = config.limits().watchers_per_caller();
  parts->gate =
      std::make_shared<Gate>(std::move(gate_parts), std::move(options), parts->inputs.policy);
}

absl::Status OpenServices(Parts* parts) {
  const ControllerConfig& config = parts->inputs.config;
  ServiceOptions options;
  options.listen = config.grpc().listen();
  options.insecure_loopback = config.grpc().insecure_loopback();
  options.roles = RolesOf(config.grpc());
  options.calls_max = config.limits().calls();
  ORCH_ASSIGN_OR_RETURN(parts->services, Services::Start({.io = &parts->io,
                                                          .gate = parts->gate,
                                                          .dispatcher = parts->dispatcher->port(),
                                                          .audit = parts->audit.get(),
                                                          .credentials = parts->inputs.credentials},
                                                         std::move(options)));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Inputs> ReadInputs(const std::string& config_path) {
  Inputs inputs;
  ORCH_ASSIGN_OR_RETURN(inputs.config, LoadConfig(config_path));
  if (HasOwnBroker(inputs.config)) {
    const absl::Status valid = bus::ValidateBrokerConfig(inputs.config.broker());
    if (!valid.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(config_path, ": broker.", valid.message()));
    }
  }
  ORCH_ASSIGN_OR_RETURN(inputs.credentials,
                        trust::Credentials::Load(inputs.config.trust(), absl::Now()));
  const trust::Peer& self = inputs.credentials->self();
  if (self.role != trust::Role::kController) {
    return absl::FailedPreconditionError(absl::StrCat(
        inputs.config.trust().certificate(), ": CN=", self.common_name, " has the role ",
        std::string(trust::RoleName(self.role)),
        ", a controller needs orch-controller (extension pp_auth_role, or trust.roles)"));
  }
  if (inputs.config.puppetdb().has_trust()) {
    auto credentials = trust::Credentials::Load(inputs.config.puppetdb().trust(), absl::Now());
    if (!credentials.ok()) return base::Annotate(credentials.status(), "puppetdb.trust");
    inputs.puppetdb_credentials = *std::move(credentials);
  }
  inputs.policy_source = std::make_unique<PolicySource>(inputs.config.policy());
  ORCH_ASSIGN_OR_RETURN(inputs.policy, inputs.policy_source->Load());
  return inputs;
}

absl::Status Open(Parts* parts, bus::HttpSources sources) {
  const ControllerConfig& config = parts->inputs.config;
  ORCH_RETURN_IF_ERROR(MakeStateDirectory(config.state_dir()));
  ORCH_ASSIGN_OR_RETURN(parts->audit, AuditStore::Open(AuditPath(config)));
  OpenBus(parts);
  ORCH_RETURN_IF_ERROR(OpenDispatcher(parts));
  ORCH_RETURN_IF_ERROR(OpenPuppetDb(parts));
  OpenGate(parts);
  if (parts->broker != nullptr && !config.broker().listen().empty()) {
    ORCH_RETURN_IF_ERROR(base::Annotate(parts->broker->Listen(), "broker"));
    base::LogInfo(absl::StrCat("broker listening ", parts->broker->address()));
  }
  if (config.http().listen() != "none") {
    absl::StatusOr<std::unique_ptr<bus::HttpServer>> http =
        bus::HttpServer::Start(&parts->io, config.http().listen(), std::move(sources));
    if (!http.ok()) return base::Annotate(http.status(), "http");
    parts->http = *std::move(http);
    base::LogInfo(absl::StrCat("http listening ", parts->http->address()));
  }
  ORCH_RETURN_IF_ERROR(base::Annotate(OpenServices(parts), "grpc"));
  if (config.grpc().insecure_loopback()) {
    base::LogWarning("grpc without certificates: whoever reaches this port is local=insecure");
  }
  base::LogInfo(absl::StrCat("grpc listening ", parts->services->address()));
  return absl::OkStatus();
}

}  // namespace orch::controller
