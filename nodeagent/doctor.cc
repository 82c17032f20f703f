// SPDX-License-Identifier: Apache-2.0
// `orch-nodeagent doctor`: what can be seen only live.
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "base/asio.h"
#include "base/config.h"
#include "bus/stomp/bus_config.h"
#include "bus/stream/stream.h"
#include "nodeagent/puppet/puppet_paths.h"
#include "nodeagent/status.h"
#include "nodeagent/status_file.h"
#include "trust/identity.h"

namespace orch::nodeagent {
namespace {

namespace asio = base::asio;

constexpr absl::Duration kConnectMax = absl::Seconds(5);

// Connects and hangs up. Completes when: usable or not. Errors: in `*out`. Cancellation: none. Runs
// on: `strand`.
base::Awaitable<void> TryBroker(base::Strand strand, std::shared_ptr<bus::StreamFactory> streams,
                                std::string address, absl::Status* out) {
  auto connected = co_await base::WithDeadline(streams->Connect(strand, address), kConnectMax);
  if (!connected) {
    *out = absl::DeadlineExceededError(
        absl::StrCat("connect ", address, ": no answer in ", absl::FormatDuration(kConnectMax)));
  } else if (!connected->ok()) {
    *out = connected->status();
  } else {
    (**connected)->Close();
    *out = absl::OkStatus();
  }
}

Check CheckBroker(const bus::BusConfig& config, const std::string& address,
                  std::shared_ptr<trust::Credentials> credentials) {
  asio::io_context context{1};
  const base::Strand strand = asio::make_strand(context);
  absl::Status status = absl::UnknownError("not tried");
  const auto streams = bus::NewNetworkStreams(bus::UsesTls(config) ? credentials : nullptr,
                                              config.tls_server_name());
  asio::co_spawn(strand, TryBroker(strand, streams, address, &status), asio::detached);
  context.run();
  const std::string what = absl::StrCat("connect ", address);
  if (!status.ok()) return {Finding::kBad, what, std::string(status.message())};
  return {Finding::kGood, what, bus::UsesTls(config) ? "TLS handshake done" : "open, no TLS"};
}

void CheckTrust(const NodeAgentConfig& config, std::vector<Check>* checks) {
  const auto credentials = trust::Credentials::Load(config.trust(), absl::Now());
  if (!credentials.ok()) {
    checks->push_back({Finding::kBad, "trust", std::string(credentials.status().message())});
    return;
  }
  for (const std::string& warning : (*credentials)->Warnings(absl::Now())) {
    checks->push_back({Finding::kWarning, "trust", warning});
  }
  const trust::Peer& self = (*credentials)->self();
  const bool fits = config.identity().empty() || config.identity() == self.common_name;
  checks->push_back(
      {fits && self.role == trust::Role::kNode ? Finding::kGood : Finding::kBad, "identity",
       absl::StrCat(self.common_name, ", role ", trust::RoleName(self.role),
                    fits ? "" : ", but the configuration says ", fits ? "" : config.identity())});
  for (const std::string& address : config.bus().brokers()) {
    checks->push_back(CheckBroker(config.bus(), address, *credentials));
  }
}

Check CheckDirectory(absl::string_view what, const std::string& path) {
  if (access(path.c_str(), R_OK | W_OK | X_OK) == 0) {
    // As much as the journal needs for a request, down to the disk: a full one is a fault.
    const std::string probe = absl::StrCat(path, "/doctor.probe");
    const absl::Status written = base::WriteFileAtomically(probe, std::string(64 << 10, 'x'), 0600);
    unlink(probe.c_str());
    if (written.ok()) return {Finding::kGood, std::string(what), path};
    return {Finding::kBad, std::string(what), std::string(written.message())};
  }
  return {Finding::kBad, std::string(what),
          std::string(absl::ErrnoToStatus(errno, path).message())};
}

Check CheckPuppet(const PuppetConfig& config) {
  const std::string program = PuppetProgram(config);
  if (program.empty()) return {Finding::kBad, "puppet program", "none found"};
  if (access(program.c_str(), X_OK) == 0) return {Finding::kGood, "puppet program", program};
  return {Finding::kBad, "puppet program",
          std::string(absl::ErrnoToStatus(errno, program).message())};
}

}  // namespace

int ShowDoctor(const NodeAgentConfig& config, const std::string& config_path) {
  std::vector<Check> checks = {{Finding::kGood, "configuration", config_path}};
  CheckTrust(config, &checks);
  checks.push_back(CheckDirectory("state_dir", config.state_dir()));
  checks.push_back(CheckDirectory("run_dir", config.run_dir()));
  checks.push_back(CheckPuppet(config.puppet()));
  const auto status = ReadStatusFile(absl::StrCat(config.run_dir(), "/", kStatusFileName));
  const bool alive = status.ok() && (kill(status->pid(), 0) == 0 || errno == EPERM);
  for (Check& check : CheckStatus(alive ? *status : AgentStatus(), alive, absl::Now())) {
    checks.push_back(std::move(check));
  }
  bool bad = false;
  for (const Check& check : checks) {
    bad = bad || check.finding == Finding::kBad;
    std::cout << (check.finding == Finding::kGood      ? "ok    "
                  : check.finding == Finding::kWarning ? "warn  "
                                                       : "BAD   ")
              << check.what << ": " << check.text << "\n";
  }
  return bad ? 1 : 0;
}

}  // namespace orch::nodeagent
