// SPDX-License-Identifier: Apache-2.0

// Health is what the dispatcher answers, not what this strand believes: it is asked again and
// again, and its silence is a finding. Files are looked at by time as well as by SIGHUP, and what
// is refused leaves the old state in force and is counted. The end has a fixed order: calls get
// their grace, then the dispatcher stops (which answers the calls that still wait), then the bus,
// then the broker that carries it. A watchdog bounds the whole, because jobs live in the store and
// a process that hangs helps nobody.

#include "controller/process.h"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <future>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "base/version.h"

namespace orch::controller {

namespace asio = boost::asio;

Process::Process(Inputs inputs)
    : parts_(std::make_unique<Parts>(std::move(inputs))),
      strand_(parts_->io.get_executor()),
      signals_(strand_, SIGTERM, SIGINT, SIGHUP),
      health_timer_(strand_),
      files_timer_(strand_) {}

Process::~Process() = default;

absl::Status Process::Run() {
  Parts& parts = *parts_;
  ORCH_RETURN_IF_ERROR(Open(&parts, Sources()));
  parts.dispatcher->port().Post([](Dispatcher& there) { there.Start(); });
  std::promise<void> stop;
  std::future<void> stopped = stop.get_future();
  asio::post(strand_, [this, &stop] {
    WaitForSignal(&stop);
    WatchHealth();
    WatchFiles();
    WarnOfEnds();
  });
  base::LogInfo("started", {{"controller", parts.inputs.credentials->self().common_name},
                            {"version", base::kVersion}});
  auto work = asio::make_work_guard(parts.io);
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back([&parts] { parts.io.run(); });
  stopped.wait();
  StopAll();
  work.reset();
  parts.io.stop();
  for (std::thread& thread : threads) thread.join();
  base::LogInfo("stopped");
  return absl::OkStatus();
}

bus::HttpSources Process::Sources() {
  return {.readiness =
              [this](std::function<void(bus::Readiness)> done) {
                asio::post(strand_, [this, done = std::move(done)] { done(ReadinessNow()); });
              },
          .metrics = [this](std::function<void(std::string)> done) { GatherMetrics(done); }};
}

bus::Readiness Process::ReadinessNow() const {
  bus::Readiness out;
  const absl::Duration silence = absl::Now() - status_time_;
  if (stopping_) out.missing.push_back("stopping");
  if (status_time_ == absl::Time()) {
    out.missing.push_back("starting");
  } else if (silence > kSilenceMax) {
    out.missing.push_back(
        absl::StrCat("dispatcher: no answer for ", absl::ToInt64Seconds(silence), " s"));
  }
  if (!status_.bus_connected) {
    const absl::Time since = status_.bus_since;
    out.missing.push_back(absl::StrCat(
        "bus: not connected",
        since == absl::Time()
            ? ""
            : absl::StrCat(" since ",
                           absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", since, absl::UTCTimeZone())),
        status_.bus_error.empty() ? "" : ": ", status_.bus_error));
  }
  if (!status_.store_ok) out.missing.push_back("store: can't be written");
  if (!parts_->audit->healthy()) out.missing.push_back("audit: can't be written");
  // Nobody would accept a handshake with it, and nothing that is signed by it.
  const trust::Credentials& credentials = *parts_->inputs.credentials;
  const std::pair<const char*, absl::Time> ends[] = {{"certificate", credentials.certificate_end()},
                                                     {"crl", credentials.own_crl_end()}};
  for (const auto& [what, end] : ends) {
    if (end > absl::Now()) continue;
    out.missing.push_back(absl::StrCat(
        what, ": ended ", absl::FormatTime(absl::RFC3339_sec, end, absl::UTCTimeZone())));
  }
  return out;
}

void Process::WatchHealth() {
  if (stopping_) return;
  parts_->dispatcher->port().Post([this](Dispatcher& there) {
    asio::post(strand_, [this, status = there.Status()] {
      status_ = status;
      status_time_ = absl::Now();
      TellHealth();
    });
  });
  TellHealth();
  health_timer_.expires_after(
      absl::ToChronoNanoseconds(serving_ ? kHealthInterval : kUnhealthyInterval));
  health_timer_.async_wait([this](boost::system::error_code error) {
    if (!error) WatchHealth();
  });
}

void Process::TellHealth() {
  const bus::Readiness now = ReadinessNow();
  const bool serving = now.missing.empty();
  if (serving != serving_) {
    serving_ = serving;
    parts_->services->SetServing(serving);
  }
  // What comes and goes all the time is told once a minute, and in the end as it is.
  if (serving == told_serving_) return;
  if (!limiter_.Admit(serving ? "ready" : "not ready", base::SystemClock().Read())) return;
  told_serving_ = serving;
  if (serving) return base::LogInfo("ready");
  base::LogWarning("not ready", {{"missing", absl::StrJoin(now.missing, "; ")}});
}

void Process::WatchFiles() {
  files_timer_.expires_after(
      absl::ToChronoNanoseconds(policy_unsettled_ ? kPolicyQuiet : kReloadInterval));
  files_timer_.async_wait([this](boost::system::error_code error) {
    if (error || stopping_) return;
    Reload(/*asked=*/false);
    WatchFiles();
  });
}

void Process::Reload(bool asked) {
  ReloadCertificates(asked);
  ReloadPolicy(asked);
  WarnOfEnds();
}

void Process::ReloadCertificates(bool asked) {
  absl::StatusOr<bool> changed = parts_->inputs.credentials->Reload(absl::Now());
  if (changed.ok() && *changed) {
    const absl::Status shown = parts_->services->UpdateCertificates();
    if (!shown.ok()) changed = shown;
  }
  if (!changed.ok()) {
    const std::string why(changed.status().message());
    // Once for each reason: the files are looked at again every few seconds.
    if (asked || why != certificate_error_) {
      base::LogError("certificates not reloaded, the old ones stay in force", {{"why", why}});
      ++certificates_refused_;
    }
    certificate_error_ = why;
    return;
  }
  certificate_error_.clear();
  if (!*changed) return;
  ++certificates_reloaded_;
  base::LogInfo("certificates reloaded");
  next_warning_ = absl::Time();
  parts_->dispatcher->port().Post([](Dispatcher& there) { there.OnCrlChanged(); });
  if (parts_->broker == nullptr) return;
  asio::post(parts_->broker_strand, [this] { parts_->broker->JudgeAgain(); });
}

void Process::ReloadPolicy(bool asked) {
  PolicySource& source = *parts_->inputs.policy_source;
  if (!asked && !source.Changed()) return;
  // Looked at again: Changed stays true until it is loaded.
  policy_unsettled_ = source.Changed() && !source.Settled(absl::Now());
  if (policy_unsettled_) return WatchFiles();
  absl::StatusOr<std::shared_ptr<const policy::Policy>> policy = source.Load();
  if (!policy.ok()) return parts_->gate->PostPolicyRefused(std::string(policy.status().message()));
  parts_->gate->PostSetPolicy(*std::move(policy), source.Origin());
}

void Process::WarnOfEnds() {
  const absl::Time now = absl::Now();
  if (now < next_warning_) return;
  next_warning_ = now + absl::Hours(24);
  const trust::Credentials& credentials = *parts_->inputs.credentials;
  const std::pair<const char*, absl::Time> ends[] = {
      {"the controller's certificate ends soon", credentials.certificate_end()},
      {"a revocation list ends soon", credentials.crl_end(now)}};
  for (const auto& [text, end] : ends) {
    if (end - now > kWarnAhead) continue;
    base::LogWarning(text,
                     {{"end", absl::FormatTime(absl::RFC3339_sec, end, absl::UTCTimeZone())}});
  }
  for (const std::string& warning : credentials.Warnings(now)) {
    base::LogWarning("trust", {{"why", warning}});
  }
}

void Process::GatherMetrics(std::function<void(std::string)> done) {
  auto out = std::make_shared<ControllerMetrics>();
  asio::post(strand_, [this, out, done = std::move(done)] {
    GatherHere(out.get());
    parts_->dispatcher->port().Post([this, out, done](Dispatcher& there) {
      out->dispatcher = there.Metrics();
      out->status = there.Status();
      asio::post(parts_->bus_strand, [this, out, done] {
        out->bus = parts_->bus->status();
        if (parts_->broker == nullptr) return done(MetricsText(*out));
        asio::post(parts_->broker_strand, [this, out, done] {
          out->broker = parts_->broker->status();
          done(MetricsText(*out));
        });
      });
    });
  });
}

// What this strand knows, and what anybody may read.
void Process::GatherHere(ControllerMetrics* out) const {
  const CallCounts& calls = parts_->services->counts();
  for (const auto& [method, by_code] : calls.by_method()) {
    auto& counts = out->calls.emplace_back(method, std::array<uint64_t, 17>{}).second;
    for (size_t code = 0; code < counts.size(); ++code) counts[code] = by_code[code];
  }
  const EdgeCounts& edge = parts_->services->edge_counts();
  out->handshakes_refused = edge.handshakes_refused;
  out->handshakes_given_up = edge.handshakes_given_up;
  out->connections_refused = edge.connections_refused;
  out->connections_cut = edge.connections_cut;
  out->connections = static_cast<uint64_t>(std::max<int64_t>(edge.connections, 0));
  const Gate::Counts& gate = parts_->gate->counts();
  out->policy_allowed = gate.allowed;
  out->policy_denied = gate.denied;
  out->policies_loaded = gate.policies_loaded;
  out->policies_refused = gate.policies_refused;
  out->policy_stale = gate.policy_stale;
  out->unauthenticated = gate.unauthenticated;
  out->watchers = gate.watchers;
  const AuditStore::Counts& audit = parts_->audit->counts();
  out->audit_written = audit.written;
  out->audit_refused = audit.refused;
  out->audit_lost = audit.lost;
  out->audit_folded = audit.folded;
  out->audit_ok = parts_->audit->healthy();
  out->certificates_reloaded = certificates_reloaded_;
  out->certificates_refused = certificates_refused_;
  out->certificates_stale = !certificate_error_.empty();
  out->ready = ReadinessNow().missing.empty();
  out->certificate_end = parts_->inputs.credentials->certificate_end();
  out->crl_end = parts_->inputs.credentials->crl_end(absl::Now());
}

void Process::WaitForSignal(std::promise<void>* stop) {
  signals_.async_wait([this, stop](boost::system::error_code error, int signal) {
    if (error) return;
    if (signal == SIGHUP) {
      base::LogInfo("reloading", {{"signal", strsignal(signal)}});
      Reload(/*asked=*/true);
      return WaitForSignal(stop);
    }
    base::LogInfo("stopping", {{"signal", strsignal(signal)}});
    stopping_ = true;
    health_timer_.cancel();
    files_timer_.cancel();
    stop->set_value();
  });
}

void Process::StopAll() {
  Parts& parts = *parts_;
  // Whatever does not end by itself is ended: jobs live in the store, not here.
  std::promise<void> ended;
  std::thread watchdog([future = ended.get_future()] {
    if (future.wait_for(absl::ToChronoMilliseconds(kStopMax)) == std::future_status::ready) return;
    base::LogError("not everything ended in time");
    std::_Exit(EXIT_FAILURE);
  });
  const auto wait = [](auto begin) {
    auto done = std::make_shared<std::promise<void>>();
    begin([done] { done->set_value(); });
    done->get_future().wait();
  };
  // Calls that still wait after their grace are answered by the dispatcher's end.
  const std::future<void> calls =
      std::async(std::launch::async, [&parts] { parts.services->Stop(kCallsGrace); });
  calls.wait_for(absl::ToChronoMilliseconds(kCallsGrace));
  if (parts.http != nullptr) parts.http->Stop();
  wait([&](auto done) {
    parts.dispatcher->port().Post([done](Dispatcher& there) {
      there.Stop();
      done();
    });
  });
  calls.wait();
  wait([&](auto done) { asio::post(parts.bus_strand, [&parts, done] { parts.bus->Stop(done); }); });
  if (parts.broker != nullptr) {
    wait([&](auto done) {
      asio::post(parts.broker_strand, [&parts, done] { parts.broker->Stop(done); });
    });
  }
  ended.set_value();
  watchdog.join();
}

}  // namespace orch::controller
