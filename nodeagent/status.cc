// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/status.h"

#include <signal.h>

#include <cerrno>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "api/json.h"
#include "base/proto_time.h"
#include "nodeagent/agent/beacons.h"
#include "nodeagent/status_file.h"

namespace orch::nodeagent {
namespace {

std::string Ago(const google::protobuf::Timestamp& time, absl::Time now) {
  return absl::StrCat(absl::FormatDuration(absl::Trunc(now - ToTime(time), absl::Seconds(1))),
                      " ago");
}

std::string Day(const google::protobuf::Timestamp& time) {
  return absl::FormatTime("%Y-%m-%d", ToTime(time), absl::UTCTimeZone());
}

void Line(std::string* out, absl::string_view name, absl::string_view text) {
  absl::StrAppend(out, name, std::string(name.size() < 13 ? 13 - name.size() : 1, ' '), text, "\n");
}

std::string BusWords(const BusStatus& bus, absl::Time now) {
  if (bus.connected()) {
    return absl::StrCat("connected to ", bus.broker(), ", since ", Ago(bus.since(), now));
  }
  std::string out = "not connected";
  if (bus.has_since()) absl::StrAppend(&out, ", since ", Ago(bus.since(), now));
  // The error names the broker that was tried last.
  if (!bus.last_error().empty()) absl::StrAppend(&out, ": ", bus.last_error());
  return out;
}

std::string ControllerWords(const ControllerStatus& controller, absl::Time now) {
  if (!controller.has_last_beacon()) return "no beacon yet";
  return absl::StrCat(
      "last beacon ", Ago(controller.last_beacon(), now), ", clock skew ",
      absl::FormatDuration(absl::Trunc(ToDuration(controller.clock_skew()), absl::Milliseconds(1))),
      controller.frozen() ? ", mutating actions are frozen" : "");
}

std::string FactErrorWords(const FactErrorStatus& error, absl::Time now) {
  return absl::StrCat(error.source(), " fails since ", Ago(error.since(), now), ": ",
                      error.message());
}

Check CheckEnd(absl::string_view what, const google::protobuf::Timestamp& end, absl::Time now) {
  const absl::Time time = ToTime(end);
  if (time <= now) return {Finding::kBad, std::string(what), absl::StrCat("ended ", Day(end))};
  const Finding finding = time - now < kEndWarning ? Finding::kWarning : Finding::kGood;
  return {finding, std::string(what), absl::StrCat("ends ", Day(end))};
}

}  // namespace

std::string StatusText(const AgentStatus& status, bool alive, absl::Time now) {
  std::string out;
  Line(&out, "node",
       absl::StrCat(status.identity(), " (", absl::StrJoin(status.collectives(), ", "), "), role ",
                    status.role()));
  Line(&out, "agent",
       alive ? absl::StrCat("version ", status.version(), ", pid ", status.pid(), ", started ",
                            Ago(status.start_time(), now))
             : absl::StrCat("not running; what follows is of ", Ago(status.time(), now)));
  Line(&out, "broker", BusWords(status.bus(), now));
  for (const ControllerStatus& controller : status.controllers()) {
    Line(&out, "controller",
         absl::StrCat(controller.name(), ": ", ControllerWords(controller, now)));
  }
  if (status.has_deaf_time()) {
    Line(&out, "deaf",
         absl::StrCat(status.times_deaf(), status.times_deaf() == 1 ? " time" : " times", ", last ",
                      Ago(status.deaf_time(), now)));
  }
  Line(&out, "certificate", absl::StrCat("ends ", Day(status.certificate_end_time())));
  Line(&out, "CRL",
       status.has_crl_end_time() ? absl::StrCat("ends ", Day(status.crl_end_time())) : "none");
  Line(&out, "facts",
       status.has_facts_time() ? absl::StrCat("read ", Ago(status.facts_time(), now))
                               : "not read yet");
  for (const FactErrorStatus& error : status.fact_errors()) {
    Line(&out, "", FactErrorWords(error, now));
  }
  const PuppetPathStatus& puppet = status.puppet();
  Line(&out, "puppet",
       puppet.error().empty() ? absl::StrCat(puppet.program(), ", ", puppet.state())
                              : puppet.error());
  for (const std::string* path : {&puppet.config(), &puppet.disabled_lock(), &puppet.run_lock(),
                                  &puppet.summary(), &puppet.report()}) {
    if (!path->empty()) Line(&out, "", *path);
  }
  for (const RunStatus& run : status.running()) {
    Line(&out, "running",
         absl::StrCat(run.action(), " for ", run.caller(), ", job ", run.job_id(), ", since ",
                      Ago(run.accept_time(), now)));
  }
  if (!status.journal_reset().empty()) Line(&out, "journal", status.journal_reset());
  std::vector<std::string> stopped;
  for (const auto& [rung, count] : status.requests_stopped()) {
    stopped.push_back(absl::StrCat(rung, " ", count));
  }
  std::sort(stopped.begin(), stopped.end());
  Line(&out, "requests",
       absl::StrCat(status.requests_received(), " received, ", status.requests_passed(), " passed",
                    stopped.empty() ? "" : "; stopped: ", absl::StrJoin(stopped, ", ")));
  for (const RefusalStatus& refusal : status.refusals()) {
    Line(&out, "refused",
         absl::StrCat(Ago(refusal.time(), now), " ", refusal.reason(), ": ", refusal.message(),
                      " (", refusal.what(), refusal.signer().empty() ? "" : " of ",
                      refusal.signer(), ")"));
  }
  return out;
}

std::vector<Check> CheckStatus(const AgentStatus& status, bool alive, absl::Time now) {
  std::vector<Check> checks;
  if (!alive) return {{Finding::kBad, "agent", "not running"}};
  checks.push_back({Finding::kGood, "agent",
                    absl::StrCat("pid ", status.pid(), ", version ", status.version())});
  checks.push_back({status.bus().connected() ? Finding::kGood : Finding::kBad, "broker",
                    BusWords(status.bus(), now)});
  bool heard = false;
  for (const ControllerStatus& controller : status.controllers()) {
    const bool fresh = controller.has_last_beacon() &&
                       now - ToTime(controller.last_beacon()) < kBeaconsMissedMax * kBeaconInterval;
    const bool off = absl::AbsDuration(ToDuration(controller.clock_skew())) > kClockSkewMax;
    heard = heard || fresh;
    checks.push_back({off ? Finding::kBad : (fresh ? Finding::kGood : Finding::kWarning),
                      absl::StrCat("controller ", controller.name()),
                      absl::StrCat(ControllerWords(controller, now),
                                   off ? ": mutating requests are refused" : "")});
  }
  if (!heard && status.bus().connected()) {
    checks.push_back({Finding::kWarning, "bus", "no controller is heard"});
  }
  if (status.has_deaf_time() && now - ToTime(status.deaf_time()) < kDeafWarning) {
    checks.push_back({Finding::kWarning, "bus",
                      absl::StrCat("connected, but heard no controller ",
                                   Ago(status.deaf_time(), now), ", and connected anew")});
  }
  for (const FactErrorStatus& error : status.fact_errors()) {
    checks.push_back({Finding::kWarning, "facts", FactErrorWords(error, now)});
  }
  if (!status.puppet().error().empty()) {
    checks.push_back({Finding::kBad, "puppet", status.puppet().error()});
  }
  checks.push_back(CheckEnd("certificate", status.certificate_end_time(), now));
  if (status.has_crl_end_time()) checks.push_back(CheckEnd("CRL", status.crl_end_time(), now));
  return checks;
}

int ShowStatus(const NodeAgentConfig& config, bool json) {
  const std::string path = absl::StrCat(config.run_dir(), "/", kStatusFileName);
  const auto status = ReadStatusFile(path);
  if (!status.ok()) {
    std::cerr << "orch-nodeagent: the agent does not run here: " << status.status().message()
              << "\n";
    return 1;
  }
  const bool alive = kill(status->pid(), 0) == 0 || errno == EPERM;
  std::cout << (json ? api::ToJson(*status, /*pretty=*/true) + "\n"
                     : StatusText(*status, alive, absl::Now()));
  if (!alive) std::cerr << "orch-nodeagent: pid " << status->pid() << " is gone\n";
  return alive && status->bus().connected() ? 0 : 1;
}

}  // namespace orch::nodeagent
