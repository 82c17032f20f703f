// SPDX-License-Identifier: Apache-2.0

// Everything that can be wrong in the configuration of facts is found by CheckFacts, at start, by
// the name of its field; PlanSources then can't fail, and whoever reads a SourcePlan needs no
// defaults. FactSource is one message with a field for each kind instead of a oneof, because that
// is how it reads best in YAML; so it is checked here that exactly one of them is set.

#include "nodeagent/facts/fact_source.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "base/proto_time.h"
#include "base/status.h"

namespace orch::nodeagent {
namespace {

constexpr size_t kNameMax = 255;
constexpr size_t kArgumentsMax = 64;
constexpr absl::Duration kCollectorTimeout = absl::Seconds(60);
constexpr absl::Duration kProgramTimeout = absl::Seconds(30);
constexpr absl::Duration kIntervalMax = absl::Hours(24 * 7);
constexpr char kAuto[] = "auto";
constexpr char kFactsDirectory[] = "/etc/orch/facts.d";

absl::Duration DurationOr(const google::protobuf::Duration& value, absl::Duration otherwise) {
  const absl::Duration duration = ToDuration(value);
  return duration > absl::ZeroDuration() ? duration : otherwise;
}

std::string NameOf(const FactSource& source) {
  if (!source.name().empty()) return source.name();
  if (!source.facter().empty()) return "facter";
  if (!source.ohai().empty()) return "ohai";
  if (!source.file().empty()) return source.file();
  if (!source.directory().empty()) return source.directory();
  return source.program().empty() ? "" : source.program(0);
}

std::vector<std::string> ProgramsOf(const std::string& configured, std::vector<std::string> usual) {
  return configured == kAuto ? std::move(usual) : std::vector<std::string>{configured};
}

SourcePlan PlanOf(const FactSource& source, absl::Duration interval) {
  SourcePlan plan;
  plan.name = NameOf(source);
  plan.below = source.below();
  plan.optional = source.optional();
  plan.interval = DurationOr(source.interval(), interval);
  plan.arguments = {source.arguments().begin(), source.arguments().end()};
  absl::Duration timeout = kProgramTimeout;
  if (!source.facter().empty()) {
    plan.kind = SourceKind::kProgram;
    plan.paths = ProgramsOf(source.facter(), {"/opt/puppetlabs/bin/facter", "/usr/bin/facter"});
    plan.arguments.insert(plan.arguments.begin(), "--json");
    plan.also_good_exit = 1;
    plan.prints_json = true;
    timeout = kCollectorTimeout;
  } else if (!source.ohai().empty()) {
    plan.kind = SourceKind::kProgram;
    plan.paths = ProgramsOf(source.ohai(), {"/opt/chef/bin/ohai", "/opt/cinc/bin/ohai",
                                            "/opt/cinc-workstation/bin/ohai", "/usr/bin/ohai"});
    plan.prints_json = true;
    timeout = kCollectorTimeout;
  } else if (!source.program().empty()) {
    plan.kind = SourceKind::kProgram;
    plan.paths = {source.program(0)};
    plan.arguments = {source.program().begin() + 1, source.program().end()};
  } else if (!source.directory().empty()) {
    plan.kind = SourceKind::kDirectory;
    plan.paths = {source.directory()};
  } else {
    plan.kind = SourceKind::kFile;
    plan.paths = {source.file()};
  }
  plan.timeout = DurationOr(source.timeout(), timeout);
  return plan;
}

absl::Status CheckPath(const std::string& field, const std::string& path) {
  if (!path.empty() && path[0] == '/' && path.find('\0') == std::string::npos) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(field, ": \"", path, "\" is no absolute path"));
}

absl::Status CheckRange(const std::string& field, const google::protobuf::Duration& value,
                        absl::Duration least, absl::Duration most) {
  const absl::Duration duration = DurationOr(value, absl::ZeroDuration());
  if (duration >= least && duration <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(field, ": must be between ",
                                                 absl::FormatDuration(least), " and ",
                                                 absl::FormatDuration(most)));
}

absl::Status CheckKind(const std::string& field, const FactSource& source) {
  const bool collector = !source.facter().empty() || !source.ohai().empty();
  const int kinds = int{!source.facter().empty()} + int{!source.ohai().empty()} +
                    int{!source.file().empty()} + int{!source.directory().empty()} +
                    int{!source.program().empty()};
  if (kinds != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": ", kinds == 0 ? "name one" : "name only one",
                     " of facter, ohai, file, directory and program"));
  }
  if (!source.arguments().empty() && !collector) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ".arguments: are for facter and ohai; those of a program follow it"));
  }
  if (!source.file().empty() && (source.has_timeout() || source.has_interval())) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": a file has neither timeout nor interval: it is watched"));
  }
  if (source.program_size() + source.arguments_size() > static_cast<int>(kArgumentsMax)) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": more than ", kArgumentsMax, " arguments"));
  }
  for (const auto& [kind, path] :
       {std::pair{".facter", source.facter()}, std::pair{".ohai", source.ohai()},
        std::pair{".file", source.file()}, std::pair{".directory", source.directory()},
        std::pair{".program", source.program().empty() ? "" : source.program(0)}}) {
    if (path.empty() && std::string(kind) != ".program") continue;
    if (source.program().empty() && path.empty()) continue;
    if (collector && path == kAuto) continue;
    ORCH_RETURN_IF_ERROR(CheckPath(field + kind, path));
  }
  return absl::OkStatus();
}

absl::Status CheckSource(const std::string& field, const FactSource& source) {
  ORCH_RETURN_IF_ERROR(CheckKind(field, source));
  const std::string name = NameOf(source);
  if (name.size() > kNameMax ||
      std::any_of(name.begin(), name.end(), [](unsigned char c) { return c < ' ' || c == 127; })) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ".name: must be at most ", kNameMax, " printable characters"));
  }
  if (source.below().find('.') != std::string::npos || source.below().size() > kNameMax) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ".below: \"", source.below(), "\" must be one name without dots"));
  }
  if (source.has_timeout()) {
    ORCH_RETURN_IF_ERROR(CheckRange(field + ".timeout", source.timeout(), absl::Milliseconds(100),
                                    kFactsTimeoutMax));
  }
  if (source.has_interval()) {
    ORCH_RETURN_IF_ERROR(
        CheckRange(field + ".interval", source.interval(), kFactsIntervalMin, kIntervalMax));
  }
  return absl::OkStatus();
}

}  // namespace

void FillInFacts(FactsConfig* config) {
  if (!config->sources().empty()) return;
  FactSource* facter = config->add_sources();
  facter->set_facter(kAuto);
  facter->set_optional(true);
  FactSource* directory = config->add_sources();
  directory->set_directory(kFactsDirectory);
  directory->set_optional(true);
}

absl::Status CheckFacts(const FactsConfig& config) {
  if (config.sources_size() > kFactSourcesMax) {
    return absl::InvalidArgumentError(absl::StrCat("sources: more than ", kFactSourcesMax));
  }
  std::set<std::string> names;
  for (int i = 0; i < config.sources_size(); i++) {
    const std::string field = absl::StrCat("sources[", i, "]");
    ORCH_RETURN_IF_ERROR(CheckSource(field, config.sources(i)));
    const std::string name = NameOf(config.sources(i));
    if (name == kClassesSource || !names.insert(name).second) {
      return absl::InvalidArgumentError(
          absl::StrCat(field, ": a source is called \"", name, "\" already: give it a `name`"));
    }
  }
  if (config.class_files_size() > kClassFilesMax) {
    return absl::InvalidArgumentError(absl::StrCat("class_files: more than ", kClassFilesMax));
  }
  for (const std::string& path : config.class_files()) {
    ORCH_RETURN_IF_ERROR(CheckPath("class_files", path));
  }
  for (const std::string& path : config.fstat_paths()) {
    ORCH_RETURN_IF_ERROR(CheckPath("fstat_paths", path));
  }
  if (config.max_bytes() > kFactsMax) {
    return absl::InvalidArgumentError(absl::StrCat("max_bytes: must be at most ", kFactsMax));
  }
  if (config.has_interval()) {
    return CheckRange("interval", config.interval(), kFactsIntervalMin, kIntervalMax);
  }
  return absl::OkStatus();
}

std::vector<SourcePlan> PlanSources(const FactsConfig& config) {
  const absl::Duration interval = DurationOr(config.interval(), kFactsIntervalDefault);
  std::vector<SourcePlan> plans;
  for (const FactSource& source : config.sources()) plans.push_back(PlanOf(source, interval));
  SourcePlan classes;
  classes.name = kClassesSource;
  classes.kind = SourceKind::kClasses;
  classes.paths = {config.class_files().begin(), config.class_files().end()};
  classes.interval = interval;
  plans.push_back(std::move(classes));
  return plans;
}

size_t FactBytesMax(const FactsConfig& config) {
  return config.max_bytes() == 0 ? kFactsMax : std::min<size_t>(config.max_bytes(), kFactsMax);
}

}  // namespace orch::nodeagent
