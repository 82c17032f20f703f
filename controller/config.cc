// SPDX-License-Identifier: Apache-2.0

// Checking and filling in defaults happen in one pass, so that a check sees the value that will be
// in force and nobody behind it has a default of his own. Errors name the file and the field as it
// is written in YAML. What contradicts itself is refused instead of guessed: brokers elsewhere
// beside one in this process, a prefix that differs between bus and broker, a beacon so rare that
// nodes would take the broker for deaf.

#include "controller/config.h"

#include <google/protobuf/util/time_util.h>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/ids.h"
#include "base/status.h"
#include "bus/stomp/address.h"
#include "bus/stomp/bus_config.h"
#include "controller/puppetdb/pql.h"

namespace orch::controller {
namespace {

using google::protobuf::Duration;
using google::protobuf::util::TimeUtil;

constexpr char kDefaultGrpcListen[] = "127.0.0.1:7443";
constexpr char kDefaultHttpListen[] = "127.0.0.1:7480";
constexpr char kDefaultStateDir[] = "/var/lib/orch";
constexpr char kDefaultPrefix[] = "orch";
constexpr int kCollectivesMax = 64;
constexpr int64_t kRequestTtlMaxSeconds = 900;
// What nodes go by (nodeagent/beacons.h).
constexpr int64_t kBeaconIntervalMaxSeconds = 30;

void Default(absl::string_view value, std::string* field) {
  if (field->empty()) *field = std::string(value);
}

// Checks one configuration; errors name the file and the field.
class Checker {
 public:
  explicit Checker(const std::string& name) : name_(name) {}

  absl::Status Error(absl::string_view field, absl::string_view why) const {
    return absl::InvalidArgumentError(absl::StrCat(name_, ": ", field, ": ", why));
  }

  absl::Status Listen(absl::string_view field, const std::string& address, bool insecure) const {
    const absl::StatusOr<bus::Address> parsed = bus::ParseAddress(address);
    if (!parsed.ok()) return Error(field, parsed.status().message());
    if (insecure && !bus::IsLoopback(parsed->host)) {
      return Error(field,
                   absl::StrCat("insecure_loopback permits 127.0.0.1, ::1 and localhost, not ",
                                parsed->host));
    }
    return absl::OkStatus();
  }

  absl::Status Positive(absl::string_view field, int64_t seconds, const Duration& value,
                        Duration* out) const {
    if (value.seconds() < 0 || value.nanos() < 0) return Error(field, "must not be negative");
    if (value.seconds() == 0 && value.nanos() == 0) *out = TimeUtil::SecondsToDuration(seconds);
    return absl::OkStatus();
  }

  absl::Status Trust(const std::string& field, const trust::TrustConfig& trust) const {
    if (trust.certificate().empty()) return Error(field + ".certificate", "is missing");
    if (trust.private_key().empty()) return Error(field + ".private_key", "is missing");
    if (trust.ca().empty()) return Error(field + ".ca", "is missing");
    if (trust.crl().empty() && !trust.no_crl()) {
      return Error(field + ".crl",
                   "is missing; `no_crl: true` says that there are no revocation lists");
    }
    return absl::OkStatus();
  }

  absl::Status Collectives(ControllerConfig* config) const {
    if (config->collectives().empty()) config->add_collectives("main");
    if (config->collectives_size() > kCollectivesMax) {
      return Error("collectives", absl::StrCat("more than ", kCollectivesMax));
    }
    absl::flat_hash_set<std::string> seen;
    for (const std::string& collective : config->collectives()) {
      if (!base::IsCollective(collective)) {
        return Error("collectives", absl::StrCat("`", collective, "` is not [a-z0-9_-]{1,32}"));
      }
      if (!seen.insert(collective).second) {
        return Error("collectives", absl::StrCat("`", collective, "` is given twice"));
      }
    }
    return absl::OkStatus();
  }

  absl::Status Grpc(GrpcConfig* grpc) const {
    Default(kDefaultGrpcListen, grpc->mutable_listen());
    if (grpc->roles().empty()) grpc->add_roles("orch-user");
    for (const std::string& role : grpc->roles()) {
      if (role != "orch-user" && role != "orch-controller") {
        return Error("grpc.roles",
                     absl::StrCat("`", role, "` is neither orch-user nor orch-controller"));
      }
    }
    return Listen("grpc.listen", grpc->listen(), grpc->insecure_loopback());
  }

  absl::Status Log(const std::string& format) const {
    if (format.empty() || format == "text" || format == "json") return absl::OkStatus();
    return Error("log_format", absl::StrCat("`", format, "` is neither text nor json"));
  }

  absl::Status Bus(ControllerConfig* config) const {
    if (!HasOwnBroker(*config)) {
      if (config->has_broker()) {
        return Error("broker", "there are bus.brokers already; a controller uses one or the other");
      }
      const absl::Status valid = bus::ValidateBusConfig(config->bus());
      if (!valid.ok()) {
        return absl::InvalidArgumentError(absl::StrCat(name_, ": bus.", valid.message()));
      }
      return absl::OkStatus();
    }
    bus::BrokerConfig& broker = *config->mutable_broker();
    if (!broker.listen().empty()) {
      ORCH_RETURN_IF_ERROR(Listen("broker.listen", broker.listen(), broker.insecure_loopback()));
    }
    if (config->bus().flavour() > bus::FLAVOUR_EMBEDDED) {
      return Error("bus.brokers",
                   "is missing: the flavour is not that of the broker in this process");
    }
    Default(config->bus().destination_prefix(), broker.mutable_destination_prefix());
    Default(kDefaultPrefix, broker.mutable_destination_prefix());
    Default(broker.destination_prefix(), config->mutable_bus()->mutable_destination_prefix());
    if (config->bus().destination_prefix() != broker.destination_prefix()) {
      return Error("broker.destination_prefix", "is not that of the bus");
    }
    return absl::OkStatus();
  }

  absl::Status PuppetDb(const PuppetDbConfig& puppetdb) const {
    if (puppetdb.url().empty()) return Error("puppetdb.url", "is missing");
    const absl::StatusOr<PuppetDbAddress> address = ParsePuppetDbUrl(puppetdb.url());
    if (!address.ok()) return Error("puppetdb.url", address.status().message());
    if (!puppetdb.has_trust()) return absl::OkStatus();
    return Trust("puppetdb.trust", puppetdb.trust());
  }

  absl::Status Jobs(JobsConfig* jobs) const {
    if (jobs->confirm_above() == 0) jobs->set_confirm_above(50);
    if (jobs->concurrency() == 0) jobs->set_concurrency(8);
    if (jobs->running_max() == 0) jobs->set_running_max(1000);
    if (jobs->kept() == 0) jobs->set_kept(10000);
    ORCH_RETURN_IF_ERROR(
        Positive("jobs.kept_for", 30 * 86400, jobs->kept_for(), jobs->mutable_kept_for()));
    ORCH_RETURN_IF_ERROR(
        Positive("jobs.request_ttl", 60, jobs->request_ttl(), jobs->mutable_request_ttl()));
    if (TimeUtil::DurationToSeconds(jobs->request_ttl()) > kRequestTtlMaxSeconds) {
      return Error("jobs.request_ttl", absl::StrCat("is above ", kRequestTtlMaxSeconds, "s"));
    }
    return absl::OkStatus();
  }

  absl::Status Diffs(DiffsConfig* diffs) const {
    return Positive("diffs.kept_for", 86400, diffs->kept_for(), diffs->mutable_kept_for());
  }

  absl::Status Roster(RosterConfig* roster) const {
    ORCH_RETURN_IF_ERROR(Positive("roster.presence_interval", 300, roster->presence_interval(),
                                  roster->mutable_presence_interval()));
    const int64_t thrice = 3 * TimeUtil::DurationToSeconds(roster->presence_interval());
    ORCH_RETURN_IF_ERROR(Positive("roster.stale_after", std::max<int64_t>(thrice, 1),
                                  roster->stale_after(), roster->mutable_stale_after()));
    ORCH_RETURN_IF_ERROR(Positive("roster.discovery_timeout", 2, roster->discovery_timeout(),
                                  roster->mutable_discovery_timeout()));
    ORCH_RETURN_IF_ERROR(Positive("roster.beacon_interval", kBeaconIntervalMaxSeconds,
                                  roster->beacon_interval(), roster->mutable_beacon_interval()));
    if (roster->beacon_interval() > TimeUtil::SecondsToDuration(kBeaconIntervalMaxSeconds)) {
      return Error(
          "roster.beacon_interval",
          absl::StrCat("is above ", kBeaconIntervalMaxSeconds, "s: nodes that hear no beacon for ",
                       3 * kBeaconIntervalMaxSeconds, "s take the broker for deaf and reconnect"));
    }
    return absl::OkStatus();
  }

 private:
  const std::string& name_;
};

}  // namespace

bool HasOwnBroker(const ControllerConfig& config) { return config.bus().brokers().empty(); }

std::string StorePath(const ControllerConfig& config) {
  return absl::StrCat(config.state_dir(), "/orch.db");
}

std::string AuditPath(const ControllerConfig& config) {
  return absl::StrCat(config.state_dir(), "/audit.jsonl");
}

absl::Status CompleteConfig(const std::string& name, ControllerConfig* config) {
  const Checker checker(name);
  ORCH_RETURN_IF_ERROR(checker.Trust("trust", config->trust()));
  ORCH_RETURN_IF_ERROR(checker.Collectives(config));
  ORCH_RETURN_IF_ERROR(checker.Grpc(config->mutable_grpc()));
  Default(kDefaultHttpListen, config->mutable_http()->mutable_listen());
  if (config->http().listen() != "none") {
    ORCH_RETURN_IF_ERROR(checker.Listen("http.listen", config->http().listen(), false));
  }
  ORCH_RETURN_IF_ERROR(checker.Log(config->log_format()));
  ORCH_RETURN_IF_ERROR(checker.Bus(config));
  Default(kDefaultStateDir, config->mutable_state_dir());
  if (config->state_dir().front() != '/') {
    return checker.Error("state_dir", absl::StrCat("`", config->state_dir(),
                                                   "` is not absolute: where it is would depend on "
                                                   "where the controller is started"));
  }
  if (config->policy().file().empty() && config->policy().action_policy_dir().empty()) {
    return checker.Error("policy.file", "is missing; without a policy nobody may do anything");
  }
  if (config->has_puppetdb()) ORCH_RETURN_IF_ERROR(checker.PuppetDb(config->puppetdb()));
  ORCH_RETURN_IF_ERROR(checker.Jobs(config->mutable_jobs()));
  ORCH_RETURN_IF_ERROR(checker.Diffs(config->mutable_diffs()));
  ORCH_RETURN_IF_ERROR(checker.Roster(config->mutable_roster()));
  LimitsConfig& limits = *config->mutable_limits();
  if (limits.watchers() == 0) limits.set_watchers(1000);
  if (limits.watchers_per_caller() == 0) limits.set_watchers_per_caller(200);
  if (limits.calls() == 0) limits.set_calls(1000);
  return absl::OkStatus();
}

absl::StatusOr<ControllerConfig> LoadConfig(const std::string& path) {
  ControllerConfig config;
  ORCH_RETURN_IF_ERROR(base::LoadYaml(path, &config));
  ORCH_RETURN_IF_ERROR(CompleteConfig(path, &config));
  return config;
}

}  // namespace orch::controller
