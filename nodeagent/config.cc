// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/config.h"

#include <algorithm>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/ids.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "bus/stomp/bus_config.h"
#include "nodeagent/facts/fact_source.h"

namespace orch::nodeagent {
namespace {

absl::Status Bad(absl::string_view name, absl::string_view field, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(name, ": ", field, ": ", why));
}

template <typename List>
bool HasTwice(const List& list) {
  return std::set<std::string>(list.begin(), list.end()).size() != static_cast<size_t>(list.size());
}

void FillIn(NodeAgentConfig* config) {
  if (config->collectives().empty()) config->add_collectives("main");
  std::sort(config->mutable_collectives()->begin(), config->mutable_collectives()->end());
  if (config->state_dir().empty()) config->set_state_dir("/var/lib/orch-nodeagent");
  if (config->run_dir().empty()) config->set_run_dir("/run/orch-nodeagent");
  if (!config->has_presence_interval()) config->mutable_presence_interval()->set_seconds(300);
  if (!config->has_result_retention()) config->mutable_result_retention()->set_seconds(86400);
  if (config->max_running() == 0) config->set_max_running(16);
  FillInFacts(config->mutable_facts());
}

absl::Status CheckNames(const NodeAgentConfig& config, absl::string_view name) {
  if (!config.identity().empty() && !base::IsIdentity(config.identity())) {
    return Bad(name, "identity", "must be [a-z0-9._-]{1,253}");
  }
  if (config.collectives_size() > kCollectivesMax) {
    return Bad(name, "collectives", absl::StrCat("more than ", kCollectivesMax));
  }
  for (const std::string& collective : config.collectives()) {
    if (!base::IsCollective(collective)) {
      return Bad(name, "collectives",
                 absl::StrCat("\"", collective, "\" must be [a-z0-9_-]{1,32}"));
    }
  }
  if (HasTwice(config.collectives())) return Bad(name, "collectives", "a name stands there twice");
  if (config.controllers().empty()) {
    return Bad(name, "controllers", "names no controller: list the exact CN of each");
  }
  if (config.controllers_size() > kControllersMax) {
    return Bad(name, "controllers", absl::StrCat("more than ", kControllersMax));
  }
  for (const std::string& controller : config.controllers()) {
    if (!base::IsIdentity(controller)) {
      return Bad(name, "controllers",
                 absl::StrCat("\"", controller, "\" is not an exact CN, ", "[a-z0-9._-]{1,253}"));
    }
  }
  if (HasTwice(config.controllers())) return Bad(name, "controllers", "a name stands there twice");
  return absl::OkStatus();
}

absl::Status CheckPath(absl::string_view name, absl::string_view field, const std::string& path) {
  if (path[0] == '/') return absl::OkStatus();
  return Bad(name, field, absl::StrCat("\"", path, "\" is not an absolute path"));
}

absl::Status CheckTrust(const NodeAgentConfig& config, absl::string_view name) {
  const trust::TrustConfig& trust = config.trust();
  if (trust.certificate().empty()) return Bad(name, "trust.certificate", "is missing");
  if (trust.private_key().empty()) return Bad(name, "trust.private_key", "is missing");
  if (trust.ca().empty()) return Bad(name, "trust.ca", "is missing");
  if (trust.crl().empty() && !trust.no_crl()) {
    return Bad(name, "trust.crl", "is missing; where there are no CRLs, say `no_crl: true`");
  }
  if (!trust.crl().empty() && trust.no_crl()) {
    return Bad(name, "trust.no_crl", "contradicts trust.crl");
  }
  return absl::OkStatus();
}

absl::Status CheckTelling(const NodeAgentConfig& config, absl::string_view name) {
  const std::string& metrics = config.metrics_file();
  if (!metrics.empty()) {
    ORCH_RETURN_IF_ERROR(CheckPath(name, "metrics_file", metrics));
    if (!absl::EndsWith(metrics, ".prom")) {
      return Bad(
          name, "metrics_file",
          absl::StrCat("\"", metrics, "\" does not end in .prom: node_exporter reads no other"));
    }
  }
  const std::string& format = config.log_format();
  if (format.empty() || format == "text" || format == "json") return absl::OkStatus();
  return Bad(name, "log_format", absl::StrCat("`", format, "` is neither text nor json"));
}

absl::Status CheckLimits(const NodeAgentConfig& config, absl::string_view name) {
  const absl::Duration presence = ToDuration(config.presence_interval());
  if (presence < absl::Seconds(10) || presence > absl::Hours(24)) {
    return Bad(name, "presence_interval", "must be between 10s and 24h");
  }
  const absl::Duration retention = ToDuration(config.result_retention());
  if (retention < absl::Hours(1) || retention > absl::Hours(24 * 30)) {
    return Bad(name, "result_retention", "must be between 1h and 30d");
  }
  if (config.max_running() > 1000) return Bad(name, "max_running", "must be at most 1000");
  return absl::OkStatus();
}

absl::Status Check(const NodeAgentConfig& config, absl::string_view name) {
  ORCH_RETURN_IF_ERROR(CheckNames(config, name));
  if (config.bus().brokers().empty()) {
    return Bad(name, "bus.brokers", "names no broker: list `host:port` of each");
  }
  if (const absl::Status bus = bus::ValidateBusConfig(config.bus()); !bus.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": bus.", bus.message()));
  }
  ORCH_RETURN_IF_ERROR(CheckTrust(config, name));
  ORCH_RETURN_IF_ERROR(CheckPath(name, "state_dir", config.state_dir()));
  ORCH_RETURN_IF_ERROR(CheckPath(name, "run_dir", config.run_dir()));
  if (!config.policy_file().empty()) {
    ORCH_RETURN_IF_ERROR(CheckPath(name, "policy_file", config.policy_file()));
  }
  if (config.state_dir() == config.run_dir()) {
    return Bad(name, "run_dir",
               "must not be state_dir: a boot empties the one and keeps the other");
  }
  if (const absl::Status facts = CheckFacts(config.facts()); !facts.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": facts.", facts.message()));
  }
  ORCH_RETURN_IF_ERROR(CheckTelling(config, name));
  return CheckLimits(config, name);
}

}  // namespace

absl::StatusOr<NodeAgentConfig> LoadConfig(const std::string& path) {
  NodeAgentConfig config;
  ORCH_RETURN_IF_ERROR(base::LoadYaml(path, &config));
  FillIn(&config);
  ORCH_RETURN_IF_ERROR(Check(config, path));
  return config;
}

absl::StatusOr<NodeAgentConfig> ParseConfig(absl::string_view text, const std::string& name) {
  NodeAgentConfig config;
  ORCH_RETURN_IF_ERROR(base::ParseYaml(text, name, &config));
  FillIn(&config);
  ORCH_RETURN_IF_ERROR(Check(config, name));
  return config;
}

}  // namespace orch::nodeagent
