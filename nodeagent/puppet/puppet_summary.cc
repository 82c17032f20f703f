// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/puppet/puppet_summary.h"

#include <yaml-cpp/yaml.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/sha256.h"
#include "base/status.h"
#include "nodeagent/text/plain_file.h"

namespace orch::nodeagent {
namespace {

std::string TextAt(const YAML::Node& section, const char* name) {
  if (!section.IsMap() || !section[name] || !section[name].IsScalar()) return "";
  return section[name].Scalar();
}

uint64_t CountAt(const YAML::Node& section, const char* name) {
  uint64_t count = 0;
  return absl::SimpleAtoi(TextAt(section, name), &count) ? count : 0;
}

std::optional<absl::Duration> SecondsAt(const YAML::Node& section, const char* name) {
  double seconds = 0;
  if (!absl::SimpleAtod(TextAt(section, name), &seconds)) return std::nullopt;
  return absl::Seconds(seconds);
}

absl::StatusOr<PuppetSummary> Read(const YAML::Node& root) {
  if (!root.IsMap()) return absl::DataLossError("not a mapping");
  const YAML::Node version = root["version"];
  const YAML::Node time = root["time"];
  int64_t last_run_s = 0;
  if (!version || !time || !absl::SimpleAtoi(TextAt(time, "last_run"), &last_run_s)) {
    return absl::DataLossError("no version or time.last_run");
  }
  PuppetSummary summary;
  summary.last_run = absl::FromUnixSeconds(last_run_s);
  summary.puppet_version = TextAt(version, "puppet");
  summary.configuration_version = TextAt(version, "config");
  if (const YAML::Node application = root["application"]) {
    summary.environment = TextAt(application, "converged_environment");
  }
  summary.config_retrieval_time = SecondsAt(time, "config_retrieval");
  summary.total_time = SecondsAt(time, "total");
  // Puppet names only what there was, beside the total.
  if (const YAML::Node events = root["events"]; events && !TextAt(events, "total").empty()) {
    summary.noop_events = CountAt(events, "noop");
  }
  const YAML::Node resources = root["resources"];
  if (!resources || TextAt(resources, "total").empty()) return summary;
  orch::v1::ResourceCounts& counts = summary.resources.emplace();
  counts.set_total(CountAt(resources, "total"));
  counts.set_changed(CountAt(resources, "changed"));
  counts.set_failed(CountAt(resources, "failed"));
  counts.set_out_of_sync(CountAt(resources, "out_of_sync"));
  counts.set_skipped(CountAt(resources, "skipped"));
  counts.set_corrective_change(CountAt(resources, "corrective_change"));
  counts.set_failed_to_restart(CountAt(resources, "failed_to_restart"));
  counts.set_restarted(CountAt(resources, "restarted"));
  return summary;
}

}  // namespace

absl::StatusOr<PuppetSummary> ParsePuppetSummary(const std::string& text) {
  // Puppet ends each line; one that stops elsewhere was cut, and a cut number is another number.
  if (!absl::EndsWith(text, "\n")) return absl::DataLossError("truncated");
  try {
    absl::StatusOr<PuppetSummary> summary = Read(YAML::Load(text));
    if (summary.ok()) summary->digest = base::HexSha256(text);
    return summary;
  } catch (const YAML::Exception& error) {
    return absl::DataLossError(error.what());
  }
}

absl::StatusOr<PuppetSummary> ReadPuppetSummary(const std::string& path) {
  ORCH_ASSIGN_OR_RETURN(const std::string text, ReadPlainFile(path, kSummaryMax));
  absl::StatusOr<PuppetSummary> summary = ParsePuppetSummary(text);
  if (!summary.ok()) return base::Annotate(summary.status(), path);
  return summary;
}

}  // namespace orch::nodeagent
