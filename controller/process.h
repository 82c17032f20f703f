// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/signal_set.hpp>
#include <functional>
#include <future>
#include <memory>
#include <string>

#include "base/log.h"
#include "controller/metrics_text.h"
#include "controller/parts.h"

namespace orch::controller {

// A running controller: starts the parts, looks after their health and files, and ends them.
//
// Lives on: its strand; Run is called by main, once, and returns when everything has ended.
class Process {
 public:
  // How often health is looked at while all is well and while it is not, and how often files that
  // may be reloaded.
  static constexpr absl::Duration kHealthInterval = absl::Milliseconds(500);
  static constexpr absl::Duration kUnhealthyInterval = absl::Milliseconds(50);
  static constexpr absl::Duration kReloadInterval = absl::Seconds(5);
  // A dispatcher that has not answered for longer than this makes the process not ready.
  static constexpr absl::Duration kSilenceMax = absl::Seconds(5);
  // After the signal to stop: how long calls may go on, and how long everything together may take.
  static constexpr absl::Duration kCallsGrace = absl::Seconds(2);
  static constexpr absl::Duration kStopMax = absl::Seconds(5);
  // Certificates and revocation lists are warned about so long before their end.
  static constexpr absl::Duration kWarnAhead = absl::Hours(24 * 60);
  static constexpr int kThreads = 4;

  explicit Process(Inputs inputs);
  ~Process();
  // Runs until SIGTERM or SIGINT. Errors are those of Open, one sentence each.
  absl::Status Run();

 private:
  bus::HttpSources Sources();
  bus::Readiness ReadinessNow() const;
  void GatherMetrics(std::function<void(std::string)> done);
  void GatherHere(ControllerMetrics* out) const;
  // SIGHUP reloads; SIGTERM and SIGINT fulfil `stop`.
  void WaitForSignal(std::promise<void>* stop);
  void WatchHealth();
  void TellHealth();
  void WatchFiles();
  void Reload(bool asked);
  void ReloadCertificates(bool asked);
  void ReloadPolicy(bool asked);
  void WarnOfEnds();
  // Blocks main's thread; those of the context run on.
  void StopAll();

  std::unique_ptr<Parts> parts_;
  base::Strand strand_;

  // On strand_ only.
  boost::asio::signal_set signals_;
  boost::asio::steady_timer health_timer_, files_timer_;
  DispatcherStatus status_;
  absl::Time status_time_;
  bool serving_ = false;
  bool told_serving_ = false;  // what the log says
  base::LogLimiter limiter_;
  bool stopping_ = false;
  bool policy_unsettled_ = false;  // it is being written, and looked at again
  std::string certificate_error_;
  uint64_t certificates_reloaded_ = 0, certificates_refused_ = 0;
  absl::Time next_warning_;
};

}  // namespace orch::controller
