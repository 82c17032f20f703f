// SPDX-License-Identifier: Apache-2.0

// orch-broker: the embedded STOMP broker as a process of its own; `check` tries any broker's
// rights.
//
// Everything runs on one thread, and the broker on one strand of it: its work is to move bytes
// between sockets, and its decisions depend on each other, so more threads would add locks and no
// speed that a fleet needs. Certificates are looked at every minute as well as on SIGHUP: what
// renews them does not know of us; a file that is refused leaves the old certificates in force and
// shows in the metrics.

#include <CLI/CLI.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <iostream>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "base/status.h"
#include "base/strand.h"
#include "base/telemetry/protobuf_log.h"
#include "base/version.h"
#include "bus/broker/broker.h"
#include "bus/broker/broker_metrics.h"
#include "bus/broker_main_config.pb.h"
#include "bus/check/check_command.h"
#include "bus/http/http.h"
#include "bus/stomp/address.h"
#include "trust/identity.h"

namespace orch::bus {
namespace {

constexpr int kExitFailure = 1;
constexpr int kExitUsage = 64;
constexpr int kExitInternal = 70;

constexpr absl::Duration kReloadInterval = absl::Minutes(1);
constexpr absl::Duration kWarnBefore = absl::Hours(24 * 60);

constexpr char kNoHttp[] = "none";

struct Flags {
  std::string config_file;
  std::string listen;
  std::string log_format;
  bool insecure_loopback = false;
  bool check_config = false;
  bool verbose = false;
};

int Complain(const std::string& text, int exit_code) {
  std::cerr << "orch-broker: " << text << std::endl;
  return exit_code;
}

void Declare(CLI::App* app, Flags* flags) {
  app->add_option("--config", flags->config_file, "YAML file with `broker` and `trust`")
      ->type_name("FILE");
  app->add_option("--listen", flags->listen, "host:port to listen on; port 0: any that is free")
      ->type_name("ADDRESS");
  app->add_flag("--insecure-loopback", flags->insecure_loopback,
                "Plain STOMP, any login, any destination; only on loopback");
  app->add_flag("--check-config", flags->check_config, "Check configuration and files, then exit");
  app->add_flag("--verbose", flags->verbose, "Log each connection");
  app->add_option("--log-format", flags->log_format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->type_name("FORMAT");
  app->set_version_flag("--version", std::string("orch-broker ") + base::kVersion);
}

// The configuration file with the flags over it.
absl::StatusOr<BrokerMainConfig> ReadConfig(const Flags& flags) {
  BrokerMainConfig config;
  std::string origin = "--listen";
  if (!flags.config_file.empty()) {
    ORCH_RETURN_IF_ERROR(base::LoadYaml(flags.config_file, &config));
    origin = flags.config_file;
  }
  if (!flags.listen.empty()) config.mutable_broker()->set_listen(flags.listen);
  if (flags.insecure_loopback) config.mutable_broker()->set_insecure_loopback(true);
  if (!flags.log_format.empty()) config.set_log_format(flags.log_format);
  if (flags.verbose) config.set_verbose(true);
  const BrokerConfig& broker = config.broker();
  if (broker.listen().empty()) {
    return absl::InvalidArgumentError(
        flags.config_file.empty()
            ? "nothing to do: give --config FILE, or --listen ADDRESS with --insecure-loopback"
            : absl::StrCat(origin, ": broker.listen: no address to listen on"));
  }
  if (const absl::Status status = ValidateBrokerConfig(broker); !status.ok()) {
    return base::Annotate(status,
                          flags.config_file.empty() ? origin : absl::StrCat(origin, ": broker"));
  }
  if (!broker.insecure_loopback() && !config.has_trust()) {
    return absl::InvalidArgumentError(
        flags.config_file.empty()
            ? "--listen without --insecure-loopback needs certificates: give --config FILE"
            : absl::StrCat(origin, ": trust: missing, and broker.insecure_loopback is not set"));
  }
  const std::string& http = config.http().listen();
  if (!http.empty() && http != kNoHttp) {
    if (const auto address = ParseAddress(http); !address.ok()) {
      return base::Annotate(address.status(), absl::StrCat(origin, ": http.listen"));
    }
  }
  if (!config.log_format().empty() && config.log_format() != "text" &&
      config.log_format() != "json") {
    return absl::InvalidArgumentError(
        absl::StrCat(origin, ": log_format: `", config.log_format(), "` is neither text nor json"));
  }
  return config;
}

// What the signals act on. Lives on: the strand.
class Process {
 public:
  Process(base::asio::io_context* io, base::Strand strand, Broker* broker,
          std::shared_ptr<trust::Credentials> credentials)
      : io_(io),
        strand_(strand),
        broker_(broker),
        credentials_(std::move(credentials)),
        signals_(strand, SIGINT, SIGTERM, SIGHUP),
        timer_(strand) {
    WaitForSignal();
    if (credentials_ == nullptr) return;
    WarnOfEnds();
    WaitToLook();
  }

  // What is asked over HTTP; from anywhere.
  HttpSources Sources() {
    return {.readiness =
                [this](std::function<void(Readiness)> done) {
                  base::asio::post(strand_, [this, done] { done(ReadinessNow()); });
                },
            .metrics =
                [this](std::function<void(std::string)> done) {
                  base::asio::post(strand_, [this, done] { done(MetricsNow()); });
                }};
  }

 private:
  void WaitForSignal() {
    signals_.async_wait([this](const boost::system::error_code& error, int signal) {
      if (error) return;
      if (signal == SIGHUP) {
        Reload(true);
        WaitForSignal();
        return;
      }
      base::LogInfo("stopping", {{"signal", strsignal(signal)}});
      stopping_ = true;
      broker_->Stop([this] { io_->stop(); });
    });
  }

  // Certificates and revocation lists are taken over when their files change.
  void WaitToLook() {
    timer_.expires_after(absl::ToChronoNanoseconds(kReloadInterval));
    timer_.async_wait([this](const boost::system::error_code& error) {
      if (error) return;
      Reload(false);
      WaitToLook();
    });
  }

  void Reload(bool asked) {
    if (credentials_ == nullptr) return;
    const absl::StatusOr<bool> changed = credentials_->Reload(base::SystemClock().Read().wall);
    stale_ = !changed.ok();
    if (!changed.ok()) {
      base::LogError("certificates not reloaded, the old ones stay in force",
                     {{"why", changed.status().message()}});
    } else if (*changed || asked) {
      base::LogInfo(*changed ? "certificates reloaded" : "certificates have not changed");
      WarnOfEnds();
      if (*changed) broker_->JudgeAgain();
    }
  }

  void WarnOfEnds() const {
    const absl::Time soon = base::SystemClock().Read().wall + kWarnBefore;
    if (credentials_->certificate_end() < soon) {
      base::LogWarning("the certificate ends soon",
                       {{"end", absl::FormatTime(credentials_->certificate_end())}});
    }
    const absl::Time now = base::SystemClock().Read().wall;
    if (credentials_->crl_end(now) < soon) {
      base::LogWarning("a revocation list ends soon",
                       {{"end", absl::FormatTime(credentials_->crl_end(now))}});
    }
    for (const std::string& warning : credentials_->Warnings(now)) {
      base::LogWarning("trust", {{"why", warning}});
    }
  }

  // What keeps clients away; a handshake with what has ended fails.
  Readiness ReadinessNow() const {
    Readiness out;
    if (stopping_) out.missing.push_back("stopping");
    if (credentials_ == nullptr) return out;
    const absl::Time now = base::SystemClock().Read().wall;
    const std::pair<const char*, absl::Time> ends[] = {
        {"certificate", credentials_->certificate_end()}, {"crl", credentials_->own_crl_end()}};
    for (const auto& [what, end] : ends) {
      if (end > now) continue;
      out.missing.push_back(absl::StrCat(
          what, ": ended ", absl::FormatTime(absl::RFC3339_sec, end, absl::UTCTimeZone())));
    }
    return out;
  }

  std::string MetricsNow() const {
    base::MetricsPage page("orch_");
    page.Process();
    page.Gauge("ready", "Whether /readyz says so.").Value(ReadinessNow().missing.empty());
    WriteBroker(broker_->status(), &page);
    if (credentials_ == nullptr) return page.Take();
    page.Gauge("reload_refused", "Whether the newest file is refused and an older one is in force.")
        .Value(stale_, {{"file", "certificates"}});
    page.Gauge("certificate_end_timestamp_seconds", "When the broker's certificate ends.")
        .Value(credentials_->certificate_end());
    page.Gauge("crl_end_timestamp_seconds",
               "When the first revocation list ends; absent where there are none.")
        .Value(credentials_->crl_end(base::SystemClock().Read().wall));
    return page.Take();
  }

  base::asio::io_context* const io_;
  const base::Strand strand_;
  Broker* const broker_;
  const std::shared_ptr<trust::Credentials> credentials_;
  base::asio::signal_set signals_;
  base::asio::steady_timer timer_;
  bool stale_ = false;  // certificates that changed are refused
  bool stopping_ = false;
};

int Serve(const BrokerMainConfig& config, std::shared_ptr<trust::Credentials> credentials) {
  base::asio::io_context io(1);
  const base::Strand strand = base::asio::make_strand(io);
  Broker broker(strand, config.broker(), credentials);
  if (const absl::Status status = broker.Listen(); !status.ok()) {
    return Complain(std::string(status.message()), kExitFailure);
  }
  Process process(&io, strand, &broker, credentials);
  std::unique_ptr<HttpServer> http;
  if (const std::string& listen = config.http().listen(); !listen.empty() && listen != kNoHttp) {
    absl::StatusOr<std::unique_ptr<HttpServer>> started =
        HttpServer::Start(&io, listen, process.Sources());
    if (!started.ok())
      return Complain(absl::StrCat("http: ", started.status().message()), kExitFailure);
    http = *std::move(started);
  }
  base::LogInfo(
      absl::StrCat("listening ", broker.address()),
      {{"version", base::kVersion}, {"tls", config.broker().insecure_loopback() ? "no" : "yes"}});
  if (http != nullptr) base::LogInfo(absl::StrCat("http listening ", http->address()));
  io.run();
  base::LogInfo("stopped");
  return 0;
}

int Main(int argc, char** argv) {
  CLI::App app("STOMP broker of orch: topics, queues, rights by certificate.", "orch-broker");
  Flags flags;
  Declare(&app, &flags);
  CheckFlags check_flags;
  const CLI::App* check = AddCheckCommand(&app, &check_flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    return Complain(std::string(error.what()) + " (see --help)", kExitUsage);
  }
  if (check->parsed()) return RunCheckCommand(check_flags);
  absl::StatusOr<BrokerMainConfig> config = ReadConfig(flags);
  if (!config.ok()) return Complain(std::string(config.status().message()), kExitUsage);
  base::SetUpLog("orch-broker", config->verbose() ? base::LogLevel::kDebug : base::LogLevel::kInfo,
                 config->log_format() == "json" ? base::LogFormat::kJson : base::LogFormat::kText);
  base::SetUpProtobufLog();
  std::shared_ptr<trust::Credentials> credentials;
  if (!config->broker().insecure_loopback()) {
    absl::StatusOr<std::shared_ptr<trust::Credentials>> loaded =
        trust::Credentials::Load(config->trust(), base::SystemClock().Read().wall);
    if (!loaded.ok()) return Complain(std::string(loaded.status().message()), kExitUsage);
    credentials = *std::move(loaded);
  }
  if (flags.check_config) {
    if (credentials != nullptr) {
      for (const std::string& warning : credentials->Warnings(base::SystemClock().Read().wall)) {
        std::cerr << "orch-broker: warning: " << warning << std::endl;
      }
    }
    std::cout << "configuration is valid" << std::endl;
    return 0;
  }
  return Serve(*config, std::move(credentials));
}

}  // namespace
}  // namespace orch::bus

int main(int argc, char** argv) {
  try {
    return orch::bus::Main(argc, argv);
  } catch (const std::exception& error) {
    return orch::bus::Complain(error.what(), orch::bus::kExitInternal);
  }
}
