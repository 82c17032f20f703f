// SPDX-License-Identifier: Apache-2.0
// orch-nodeagent: obeys signed requests on a node.
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <cstring>
#include <iostream>

#include "base/log.h"
#include "base/status.h"
#include "base/telemetry/protobuf_log.h"
#include "base/version.h"
#include "nodeagent/config.h"
#include "nodeagent/facts_command.h"
#include "nodeagent/run.h"
#include "nodeagent/status.h"
#include "nodeagent/wrapper/run_wrapper.h"
#include "policy/policy.h"
#include "trust/identity.h"

namespace orch::nodeagent {
namespace {

constexpr int kExitUsage = 64;
constexpr int kExitInternal = 70;

struct Flags {
  std::string config = kConfigPathDefault;
  bool check_config = false;
  bool verbose = false;
  std::string log_format;  // empty: as the configuration says
  std::string output = "table";
};

int Fail(const absl::Status& status) {
  std::cerr << "orch-nodeagent: " << status.message() << "\n";
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kPermissionDenied:
      return kExitUsage;
    default:
      return kExitInternal;
  }
}

base::LogLevel LevelOf(const NodeAgentConfig& config, bool verbose) {
  if (verbose) return base::LogLevel::kDebug;
  switch (config.log_level()) {
    case LOG_LEVEL_DEBUG:
      return base::LogLevel::kDebug;
    case LOG_LEVEL_WARNING:
      return base::LogLevel::kWarning;
    case LOG_LEVEL_ERROR:
      return base::LogLevel::kError;
    default:
      return base::LogLevel::kInfo;
  }
}

// What --check-config looks at besides the file itself: all that it names and that must be good at
// the start.
absl::Status CheckFiles(const NodeAgentConfig& config) {
  const auto credentials = trust::Credentials::Load(config.trust(), absl::Now());
  ORCH_RETURN_IF_ERROR(credentials.status());
  for (const std::string& warning : (*credentials)->Warnings(absl::Now())) {
    std::cerr << "orch-nodeagent: warning: " << warning << "\n";
  }
  if (config.policy_file().empty()) return absl::OkStatus();
  return policy::Policy::LoadNative(config.policy_file()).status();
}

int Serve(const NodeAgentConfig& config, const Flags& flags) {
  const std::string& format = flags.log_format.empty() ? config.log_format() : flags.log_format;
  base::SetUpLog("orch-nodeagent", LevelOf(config, flags.verbose),
                 format == "json" ? base::LogFormat::kJson : base::LogFormat::kText);
  base::SetUpProtobufLog();
  const absl::Status status = RunNodeAgent(config);  // returns only if it could not start
  return Fail(status.code() == absl::StatusCode::kInvalidArgument
                  ? base::Annotate(status, flags.config)
                  : status);
}

int Main(int argc, char** argv) {
  // The process that stands by a Puppet run: nothing else may happen in it.
  if (argc == 3 && std::strcmp(argv[1], "run-wrapper") == 0) return RunWrapperMain(argv[2]);
  mallopt(M_ARENA_MAX, 1);

  Flags flags;
  CLI::App app("Obeys signed requests of orch controllers on this node.", "orch-nodeagent");
  app.add_option("--config", flags.config, "the configuration")->capture_default_str();
  app.add_flag("--check-config", flags.check_config, "check the configuration and exit");
  app.add_flag("--verbose", flags.verbose, "log everything");
  app.add_option("--log-format", flags.log_format, "text or json")
      ->check(CLI::IsMember({"text", "json"}));
  app.set_version_flag("--version", std::string("orch-nodeagent ") + base::kVersion);
  CLI::App* status = app.add_subcommand("status", "show what the running agent does");
  status->add_option("-o,--output", flags.output, "table or json")
      ->check(CLI::IsMember({"table", "json"}));
  CLI::App* doctor = app.add_subcommand("doctor", "look for faults");
  FactsCommand shown;
  CLI::App* facts = app.add_subcommand("facts", "show this node's facts and where they are from");
  facts->add_option("PATH", shown.path, "one fact, for example os.family");
  facts->add_flag("--source", shown.source, "say where each top-level fact is from");
  facts->add_flag("--fresh", shown.fresh, "read all sources now instead of what the agent has");
  facts->add_option("-o,--output", flags.output, "table or json")
      ->check(CLI::IsMember({"table", "json"}));
  for (CLI::App* command : {status, doctor, facts}) command->fallthrough();
  app.require_subcommand(0, 1);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    std::cerr << "orch-nodeagent: " << error.what() << " (see --help)\n";
    return kExitUsage;
  }

  const auto config = LoadConfig(flags.config);
  if (!config.ok()) return Fail(config.status());
  if (flags.check_config) {
    if (const absl::Status files = CheckFiles(*config); !files.ok()) {
      std::cerr << "orch-nodeagent: " << files.message() << "\n";
      return kExitUsage;
    }
    std::cout << flags.config << ": good\n";
    return 0;
  }
  if (status->parsed()) return ShowStatus(*config, flags.output == "json");
  if (doctor->parsed()) return ShowDoctor(*config, flags.config);
  if (facts->parsed()) {
    shown.json = flags.output == "json";
    return ShowFacts(*config, shown);
  }
  return Serve(*config, flags);
}

}  // namespace
}  // namespace orch::nodeagent

int main(int argc, char** argv) { return orch::nodeagent::Main(argc, argv); }
