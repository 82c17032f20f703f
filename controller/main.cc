// SPDX-License-Identifier: Apache-2.0
// orch-controller: takes calls over gRPC, runs them as jobs over the bus.
#include <CLI/CLI.hpp>
#include <csignal>
#include <iostream>
#include <string>

#include "absl/time/clock.h"
#include "base/log.h"
#include "base/telemetry/protobuf_log.h"
#include "base/version.h"
#include "controller/process.h"

namespace orch::controller {
namespace {

constexpr int kExitRuntime = 1;
constexpr int kExitUsage = 64;
constexpr int kExitInternal = 70;

struct Flags {
  std::string config_file = "/etc/orch/controller.yaml";
  std::string log_format;  // empty: as the configuration says
  bool check_config = false;
  bool verbose = false;
};

int Complain(absl::string_view text, int exit_code) {
  std::cerr << "orch-controller: " << std::string(text) << std::endl;
  return exit_code;
}

void SetUpLog(const Flags& flags, absl::string_view format) {
  base::SetUpLog("orch-controller", flags.verbose ? base::LogLevel::kDebug : base::LogLevel::kInfo,
                 format == "json" ? base::LogFormat::kJson : base::LogFormat::kText);
  base::SetUpProtobufLog();
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("The controller of orch: takes jobs over gRPC and runs them on the fleet.",
               "orch-controller");
  app.add_option("--config", flags.config_file, "YAML file (see deploy/controller.yaml)")
      ->type_name("FILE")
      ->capture_default_str();
  app.add_flag("--check-config", flags.check_config,
               "Check the configuration and every file that it names, then exit");
  app.add_flag("--verbose", flags.verbose, "Log more");
  app.add_option("--log-format", flags.log_format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->type_name("FORMAT");
  app.set_version_flag("--version", std::string("orch-controller ") + base::kVersion);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {
    return app.exit(asked);  // --help, --version
  } catch (const CLI::ParseError& error) {
    return Complain(error.what(), kExitUsage);
  }
  SetUpLog(flags, flags.log_format);
  // A peer that goes away is an error of its connection, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);

  absl::StatusOr<Inputs> inputs = ReadInputs(flags.config_file);
  if (!inputs.ok()) return Complain(inputs.status().message(), kExitUsage);
  if (flags.log_format.empty()) SetUpLog(flags, inputs->config.log_format());
  base::SetLogOrigin("controller", inputs->credentials->self().common_name);
  if (flags.check_config) {
    for (const std::string& warning : inputs->credentials->Warnings(absl::Now())) {
      std::cerr << "orch-controller: warning: " << warning << std::endl;
    }
    std::cout << "ok" << std::endl;
    return 0;
  }
  Process process(*std::move(inputs));
  const absl::Status status = process.Run();
  return status.ok() ? 0 : Complain(status.message(), kExitRuntime);
}

}  // namespace
}  // namespace orch::controller

int main(int argc, char** argv) {
  try {
    return orch::controller::Main(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "orch-controller: " << error.what() << std::endl;
    return orch::controller::kExitInternal;
  }
}
