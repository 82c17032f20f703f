// SPDX-License-Identifier: Apache-2.0
#include "test/integration/broker_conformance_fixture.h"

#include <signal.h>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "absl/random/random.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/config.h"
#include "base/log.h"
#include "base/status.h"

namespace orch::integration {
namespace {

using trust::Role;

bus::Flavour FlavourOf(const std::string& kind) {
  if (kind == "activemq") return bus::FLAVOUR_ACTIVEMQ;
  if (kind == "rabbitmq") return bus::FLAVOUR_RABBITMQ;
  ORCH_CHECK(kind == "orch-broker");
  return bus::FLAVOUR_EMBEDDED;
}

// Runs a command of ours and returns what it said on stdout.
std::string RunCommand(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");
  ORCH_CHECK(pipe != nullptr);
  std::string out;
  char buffer[4096];
  while (const size_t size = fread(buffer, 1, sizeof buffer, pipe)) out.append(buffer, size);
  const int status = pclose(pipe);
  if (status != 0) ADD_FAILURE() << command << ": status " << status;
  return out;
}

// Below the ephemeral range: no client that waits for a broker to come back gets its port.
std::string FreePort() {
  absl::BitGen random;
  base::asio::io_context io;
  for (;;) {
    const base::asio::ip::tcp::endpoint endpoint(base::asio::ip::address_v4::loopback(),
                                                 absl::Uniform<uint16_t>(random, 10000, 32768));
    base::asio::ip::tcp::acceptor acceptor(io, endpoint.protocol());
    boost::system::error_code error;
    acceptor.bind(endpoint, error);
    if (!error) return absl::StrCat(endpoint.port());
  }
}

}  // namespace

BrokerUnderTest* g_broker = nullptr;

BrokerUnderTest::BrokerUnderTest(std::string kind, bool login, int count)
    : kind_(std::move(kind)),
      login_(login),
      flavour_(FlavourOf(kind_)),
      directory_(testing::NewTestDirectory()),
      brokers_(static_cast<size_t>(count)) {
  if (count == 2 && flavour_ == bus::FLAVOUR_ACTIVEMQ) {
    const std::string ports[] = {FreePort(), FreePort()};
    for (size_t i : {0, 1}) {
      brokers_[i].flags = absl::StrCat(" --network-port ", ports[i], " --peer ", ports[1 - i]);
    }
  } else if (count == 2) {
    brokers_[1].flags = absl::StrCat(" --join ", DirectoryOf(0));
  }
  const std::string ca = absl::StrCat(directory_, "/ca");
  std::filesystem::create_directories(ca);
  const testing::Certificate revoked = ca_.Issue(this->revoked(), Role::kNode);
  ca_.Revoke(revoked);
  broker_files_ = testing::WriteTrust(&ca_, "broker", Role::kNode, ca);
  testing::WriteTrust(&ca_, revoked, this->revoked(), ca);
  std::string names = absl::StrCat(this->revoked(), "\n");
  for (int i = 0; i < kManyNodes; ++i) absl::StrAppend(&names, NodeName(i), "\n");
  ORCH_CHECK(base::WriteFileAtomically(absl::StrCat(directory_, "/nodes"), names, 0644).ok());
}

BrokerUnderTest::~BrokerUnderTest() {
  for (size_t i = 0; i < brokers_.size(); ++i) Kill(i);
}

std::string BrokerUnderTest::DirectoryOf(size_t number) const {
  return absl::StrCat(directory_, "/broker", number);
}

std::string BrokerUnderTest::NodeName(int number) {
  return absl::StrFormat("sim%03d.example.net", number);
}

void BrokerUnderTest::Start(size_t number) {
  Process& broker = brokers_[number];
  std::string command = absl::StrCat(
      "deploy/brokers/", kind_, "/try --dir ", DirectoryOf(number), " --ca ", broker_files_.ca(),
      " --cert ", broker_files_.certificate(), " --key ", broker_files_.private_key(), " --crl ",
      broker_files_.crl(), " --controller controller --controller controller2 --nodes ", directory_,
      "/nodes", broker.flags);
  if (login_) absl::StrAppend(&command, " --login");
  if (is_embedded()) absl::StrAppend(&command, " --program bus/orch-broker");
  if (!broker.address.empty()) {
    absl::StrAppend(&command, " --port ", broker.address.substr(broker.address.find(':') + 1));
  }
  const std::string said = RunCommand(command);
  for (absl::string_view line : absl::StrSplit(said, '\n')) {
    if (absl::ConsumePrefix(&line, "PID ")) ORCH_CHECK(absl::SimpleAtoi(line, &broker.pid));
    if (absl::ConsumePrefix(&line, "ADDRESS ")) broker.address = std::string(line);
  }
  ORCH_CHECK(broker.pid > 0 && !broker.address.empty());
}

void BrokerUnderTest::Kill(size_t number) {
  if (brokers_[number].pid > 0) kill(brokers_[number].pid, SIGKILL);
  brokers_[number].pid = 0;
}

size_t BrokerUnderTest::resident_bytes() const {
  std::ifstream statm(absl::StrCat("/proc/", brokers_[0].pid, "/statm"));
  size_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

std::shared_ptr<trust::Credentials> BrokerUnderTest::Credentials(const std::string& name,
                                                                 Role role) {
  std::shared_ptr<trust::Credentials>& known = credentials_[name];
  if (known != nullptr) return known;
  if (name != revoked()) return known = testing::NewCredentials(&ca_, name, role);
  trust::TrustConfig config = broker_files_;
  config.set_certificate(absl::StrCat(directory_, "/ca/", name, ".pem"));
  config.set_private_key(absl::StrCat(directory_, "/ca/", name, ".key"));
  // A node would not start with a certificate that its own list revokes.
  config.clear_crl();
  config.set_no_crl(true);
  const auto loaded = trust::Credentials::Load(config, absl::Now());
  ORCH_CHECK(loaded.ok());
  return known = *loaded;
}

std::shared_ptr<trust::Credentials> BrokerUnderTest::ForeignCredentials(const std::string& name) {
  const std::string directory = testing::NewTestDirectory();
  trust::TrustConfig config = testing::WriteTrust(&foreign_, name, Role::kNode, directory);
  // It knows the broker; the broker does not know it.
  const std::string both = absl::StrCat(directory, "/both.pem");
  ORCH_CHECK(base::WriteFileAtomically(both, absl::StrCat(foreign_.pem(), ca_.pem()), 0644).ok());
  config.set_ca(both);
  config.clear_crl();
  config.set_no_crl(true);
  const auto loaded = trust::Credentials::Load(config, absl::Now());
  if (!loaded.ok()) base::CheckFailed(__FILE__, __LINE__, loaded.status().ToString().c_str());
  return *loaded;
}

bus::BusConfig BrokerUnderTest::ConfigFor(Role role, size_t first) const {
  bus::BusConfig config;
  for (size_t i = 0; i < brokers_.size(); ++i) {
    config.add_brokers(brokers_[(first + i) % brokers_.size()].address);
  }
  config.set_flavour(flavour_);
  config.set_tls_server_name("localhost");
  config.mutable_reconnect_min()->set_nanos(20'000'000);
  config.mutable_reconnect_max()->set_nanos(200'000'000);
  if (login_) {
    config.set_login(role == Role::kController ? "controller" : "node");
    config.set_passcode_file(absl::StrCat(DirectoryOf(0), "/", config.login(), ".passcode"));
  }
  return config;
}

void BrokerConformance::TearDown() {
  clients_.clear();
  if (io_.stopped()) io_.restart();
  io_.poll();
}

bus::Client* BrokerConformance::MakeWith(bus::BusConfig config,
                                         std::shared_ptr<trust::Credentials> credentials) {
  auto streams = bus::NewClientStreams(config, credentials);
  ORCH_CHECK(streams.ok());
  bus::Client::Options options{std::move(config), credentials, "conformance"};
  clients_.push_back(
      std::make_unique<bus::Client>(strand_, std::move(options), *std::move(streams)));
  return clients_.back().get();
}

bus::Client* BrokerConformance::Make(const std::string& name, Role role, base::Strand* strand) {
  const bus::BusConfig config = g_broker->ConfigFor(role);
  const auto credentials = g_broker->Credentials(name, role);
  if (strand == nullptr) return MakeWith(config, credentials);
  auto streams = bus::NewClientStreams(config, credentials);
  ORCH_CHECK(streams.ok());
  clients_.push_back(std::make_unique<bus::Client>(
      *strand, bus::Client::Options{config, credentials, name}, *std::move(streams)));
  return clients_.back().get();
}

std::shared_ptr<std::vector<std::string>> BrokerConformance::Hear(bus::Client* client,
                                                                  const std::string& destination) {
  auto heard = std::make_shared<std::vector<std::string>>();
  client->Subscribe(
      destination, [heard](bus::Delivery delivery) { heard->push_back(std::move(delivery.body)); });
  return heard;
}

void BrokerConformance::Start(bus::Client* client) {
  On([client] { client->Start([](bool) {}); });
}

void BrokerConformance::StartAll() {
  On([this] {
    for (; started_ < clients_.size(); ++started_) clients_[started_]->Start([](bool) {});
  });
  for (const auto& client : clients_) UntilConnected(client.get(), absl::Seconds(60));
}

void BrokerConformance::Until(const std::string& what, const std::function<bool()>& condition,
                              absl::Duration limit) {
  const absl::Time end = absl::Now() + limit;
  while (!condition()) {
    ASSERT_LT(absl::Now(), end) << what;
    if (io_.stopped()) io_.restart();
    io_.run_one_for(std::chrono::milliseconds(20));
  }
}

void BrokerConformance::UntilConnected(bus::Client* client, absl::Duration limit) {
  Until(
      "connected", [client] { return client->status().connected; }, limit);
  ASSERT_TRUE(client->status().connected) << client->status().last_error;
}

void BrokerConformance::On(const std::function<void()>& action) {
  bool done = false;
  base::asio::post(strand_, [&] {
    action();
    done = true;
  });
  Until("the strand", [&] { return done; });
}

void BrokerConformance::Send(bus::Client* client, const std::string& destination,
                             const std::string& body, absl::Duration lifetime) {
  On([&] { client->Send(destination, body, absl::Now() + lifetime); });
}

absl::Status BrokerConformance::SendConfirmed(bus::Client* client, const std::string& destination,
                                              const std::string& body, absl::Duration lifetime) {
  auto answer = std::make_shared<std::optional<absl::Status>>();
  On([&] {
    client->SendWithReceipt(destination, body, absl::Now() + lifetime,
                            [answer](absl::Status status) { *answer = status; });
  });
  Until("an answer to SEND " + destination, [&] { return answer->has_value(); });
  return answer->value_or(absl::DeadlineExceededError("no answer"));
}

}  // namespace orch::integration

// `--broker=activemq [--login] [--brokers=2]`, from the target's args.
int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  std::string kind;
  bool login = false;
  int count = 1;
  for (int i = 1; i < argc; ++i) {
    absl::string_view argument = argv[i];
    if (argument == "--login") login = true;
    if (absl::ConsumePrefix(&argument, "--broker=")) kind = std::string(argument);
    if (absl::ConsumePrefix(&argument, "--brokers="))
      ORCH_CHECK(absl::SimpleAtoi(argument, &count));
  }
  orch::base::SetUpLog("conformance", orch::base::LogLevel::kError, orch::base::LogFormat::kText);
  orch::integration::BrokerUnderTest broker(kind, login, count);
  for (int i = 0; i < count; ++i) broker.Start(static_cast<size_t>(i));
  orch::integration::g_broker = &broker;
  const int result = RUN_ALL_TESTS();
  orch::integration::g_broker = nullptr;
  return result;
}
