// SPDX-License-Identifier: Apache-2.0
// swarm: thousands of simulated nodes in one process, with real identities and signatures on a real
// bus.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <boost/asio/signal_set.hpp>
#include <filesystem>
#include <iostream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/config.h"
#include "base/log.h"
#include "base/version.h"
#include "bus/stomp/bus_config.h"
#include "test/load/swarm_node.h"
#include "test/testing/test_ca.h"

namespace orch::load {
namespace {

struct Options {
  std::string directory, controller = "controller", prefix = "orch", flavour = "embedded", login,
                         passcode_file;
  std::vector<std::string> brokers;
  int nodes = 100;
  bool plain = false;
  int run_time_ms = 1000, failed_percent = 0, silent_percent = 0;
  int failure_causes = 1, change_sets = 0;
  int per_second = 2000;  // connections made, so that the broker's backlog is not what is measured
};

std::string NameOf(int number) { return absl::StrFormat("sim%05d.example.net", number); }

// Writes a CA, a controller, a broker, two users and `nodes` nodes, in the layout of tools/make-ca.
int MakeFleet(const Options& options) {
  std::filesystem::create_directories(options.directory);
  testing::TestCa ca("Simulated CA");
  testing::WriteTrust(&ca, options.controller, trust::Role::kController, options.directory);
  testing::WriteTrust(&ca, "broker", trust::Role::kNode, options.directory);
  testing::WriteTrust(&ca, "operator", trust::Role::kUser, options.directory);
  testing::WriteTrust(&ca, "guest", trust::Role::kUser, options.directory);
  for (int i = 0; i < options.nodes; ++i) {
    const std::string name = NameOf(i);
    const testing::Certificate certificate = ca.Issue(name);
    const std::string path = absl::StrCat(options.directory, "/", name);
    for (const auto& [file, text] :
         {std::pair(path + ".pem", &certificate.pem), {path + ".key", &certificate.key_pem}}) {
      const absl::Status status = base::WriteFileAtomically(file, *text, 0600);
      if (!status.ok()) {
        std::cerr << "swarm: " << status.message() << std::endl;
        return 1;
      }
    }
  }
  std::cout << options.nodes << " nodes in " << options.directory << std::endl;
  return 0;
}

bus::BusConfig ConfigOf(const Options& options) {
  bus::BusConfig config;
  for (const std::string& broker : options.brokers) config.add_brokers(broker);
  config.set_flavour(options.flavour == "activemq"   ? bus::FLAVOUR_ACTIVEMQ
                     : options.flavour == "rabbitmq" ? bus::FLAVOUR_RABBITMQ
                                                     : bus::FLAVOUR_EMBEDDED);
  config.set_destination_prefix(options.prefix);
  config.set_login(options.login);
  config.set_passcode_file(options.passcode_file);
  if (options.plain) {
    config.set_tls(false);
    options.login.empty() ? config.set_insecure_loopback(true) : config.set_allow_plaintext(true);
  }
  return config;
}

absl::StatusOr<std::shared_ptr<trust::Credentials>> Load(const Options& options, int number) {
  trust::TrustConfig config;
  config.set_certificate(absl::StrCat(options.directory, "/", NameOf(number), ".pem"));
  config.set_private_key(absl::StrCat(options.directory, "/", NameOf(number), ".key"));
  config.set_ca(absl::StrCat(options.directory, "/ca.pem"));
  config.set_crl(absl::StrCat(options.directory, "/crl.pem"));
  return trust::Credentials::Load(config, absl::Now());
}

// The whole run: nodes, the figures once a second, and the end.
class Swarm {
 public:
  explicit Swarm(const Options& options)
      : options_(options),
        strand_(boost::asio::make_strand(io_)),
        ticker_(strand_),
        signals_(strand_, SIGINT, SIGTERM) {
    shared_ = std::make_unique<SwarmShared>(strand_);
    shared_->controller = options.controller;
    shared_->destinations.prefix = options.prefix;
    shared_->destinations.flavour = ConfigOf(options).flavour();
    shared_->run_time = absl::Milliseconds(options.run_time_ms);
    shared_->failed_percent = options.failed_percent;
    shared_->silent_percent = options.silent_percent;
    shared_->failure_causes = options.failure_causes;
    shared_->change_sets = options.change_sets;
  }

  absl::Status Prepare() {
    const bus::BusConfig config = ConfigOf(options_);
    for (int i = 0; i < options_.nodes; ++i) {
      absl::StatusOr<std::shared_ptr<trust::Credentials>> credentials = Load(options_, i);
      if (!credentials.ok()) return credentials.status();
      auto streams = bus::NewClientStreams(config, *credentials);
      if (!streams.ok()) return streams.status();
      nodes_.push_back(std::make_unique<SwarmNode>(shared_.get(), i, NameOf(i), *credentials,
                                                   config, *std::move(streams)));
    }
    return absl::OkStatus();
  }

  void Run() {
    signals_.async_wait([this](boost::system::error_code, int) { Stop(); });
    boost::asio::post(strand_, [this] { Tick(); });
    io_.run();
    PrintFigures();
  }

 private:
  // A line of JSON, if anything has changed since the last.
  void PrintFigures() {
    uint64_t starts = 0, twice = 0;
    for (const auto& node : nodes_) {
      for (const auto& [id, count] : node->node().starts()) {
        starts += count;
        twice += count > 1 ? 1 : 0;
      }
    }
    std::string figures = absl::StrFormat(
        "{\"connected\":%d,\"deliveries\":%d,\"refused\":%d,\"starts\":%d,\"started_twice\":%d,"
        "\"running\":%d}",
        shared_->connected, shared_->deliveries, shared_->refused, starts, twice, shared_->running);
    if (figures == figures_) return;
    std::cout << figures << std::endl;
    figures_ = std::move(figures);
  }

  void Tick() {
    for (int i = 0; i < options_.per_second / 20 && started_ < nodes_.size(); ++i)
      nodes_[started_++]->Start();
    if (!ready_ && shared_->connected == nodes_.size()) {
      ready_ = true;
      std::cerr << "ready: " << nodes_.size() << " nodes" << std::endl;
    }
    if (stopping_) return;
    if (++ticks_ % kTicksPerFigures == 0) PrintFigures();
    ticker_.expires_after(std::chrono::milliseconds(50));
    ticker_.async_wait([this](boost::system::error_code error) {
      if (!error) Tick();
    });
  }

  void Stop() {
    stopping_ = true;
    ticker_.cancel();
    for (size_t i = 0; i < started_; ++i) nodes_[i]->Stop();
    // What is under way ends within the clients' own limit of 2 s.
    ticker_.expires_after(std::chrono::milliseconds(500));
    ticker_.async_wait([this](boost::system::error_code) { io_.stop(); });
  }

  const Options options_;
  boost::asio::io_context io_{1};
  base::Strand strand_;
  boost::asio::steady_timer ticker_;
  boost::asio::signal_set signals_;
  std::unique_ptr<SwarmShared> shared_;
  std::vector<std::unique_ptr<SwarmNode>> nodes_;
  static constexpr int kTicksPerFigures = 20;  // of 50 ms
  int ticks_ = 0;
  std::string figures_;  // as printed last
  size_t started_ = 0;
  bool ready_ = false, stopping_ = false;
};

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("swarm: simulated nodes for load and fault tests, on loopback", "swarm");
  app.set_version_flag("--version", absl::StrCat("swarm ", base::kVersion));
  app.require_subcommand(1);
  CLI::App* make = app.add_subcommand(
      "make-fleet", "write a CA, a controller, a broker, users and nodes into a directory");
  CLI::App* run = app.add_subcommand(
      "run", "connect the nodes and answer until SIGTERM; figures as JSON when they change");
  for (CLI::App* sub : {make, run}) {
    sub->add_option("--dir", options.directory, "the directory of make-fleet")->required();
    sub->add_option("--nodes", options.nodes, "how many")->check(CLI::Range(1, 100000));
    sub->add_option("--controller", options.controller, "the controller's name")
        ->capture_default_str();
  }
  run->add_option("--broker", options.brokers, "HOST:PORT; again for each further one")->required();
  run->add_option("--prefix", options.prefix, "destination prefix")->capture_default_str();
  run->add_option("--flavour", options.flavour)
      ->check(CLI::IsMember({"embedded", "activemq", "rabbitmq"}));
  run->add_option("--login", options.login);
  run->add_option("--passcode-file", options.passcode_file);
  run->add_flag("--plain", options.plain, "without TLS");
  run->add_option("--run-time-ms", options.run_time_ms, "of a simulated Puppet run, on average");
  run->add_option("--failed-percent", options.failed_percent, "runs that fail")
      ->check(CLI::Range(0, 100));
  run->add_option("--failure-causes", options.failure_causes, "different causes of failures")
      ->check(CLI::Range(1, 1000));
  run->add_option("--change-sets", options.change_sets,
                  "different sets of one to five changes that runs make; 0: none")
      ->check(CLI::Range(0, 100000));
  run->add_option("--silent-percent", options.silent_percent, "nodes that never answer")
      ->check(CLI::Range(0, 100));
  run->add_option("--per-second", options.per_second, "connections begun in a second")
      ->check(CLI::Range(20, 100000));
  CLI11_PARSE(app, argc, argv);
  rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  base::SetUpLog("swarm", base::LogLevel::kError, base::LogFormat::kText);
  if (make->parsed()) return MakeFleet(options);
  Swarm swarm(options);
  const absl::Status prepared = swarm.Prepare();
  if (!prepared.ok()) {
    std::cerr << "swarm: " << prepared.message() << std::endl;
    return 1;
  }
  swarm.Run();
  return 0;
}

}  // namespace
}  // namespace orch::load

int main(int argc, char** argv) { return orch::load::Main(argc, argv); }
