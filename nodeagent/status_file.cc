// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/status_file.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "api/json.h"
#include "base/config.h"
#include "base/log.h"
#include "base/proto_time.h"
#include "base/version.h"
#include "nodeagent/text/replace_file.h"

namespace orch::nodeagent {
namespace {

void GatherBus(const bus::ClientStatus& from, BusStatus* out) {
  out->set_connected(from.connected);
  out->set_broker(from.broker);
  out->set_last_error(from.last_error);
  out->set_connects(from.connects);
  *out->mutable_since() = ToTimestamp(from.connected ? from.connected_since : from.away_since);
  out->set_reconnects(from.reconnects);
  out->set_failovers(from.failovers);
  out->set_failures(from.failures);
}

void GatherControllers(const StatusSources& sources, base::Now now, AgentStatus* out) {
  const Beacons& beacons = sources.agent->beacons();
  for (const std::string& name : sources.self.controllers) {
    ControllerStatus* controller = out->add_controllers();
    controller->set_name(name);
    const auto seen = beacons.seen().find(name);
    if (seen == beacons.seen().end()) continue;
    *controller->mutable_last_beacon() = ToTimestamp(seen->second.at.wall);
    *controller->mutable_clock_skew() = ToProtoDuration(*beacons.Skew(name, now));
    controller->set_frozen(seen->second.frozen);
  }
  out->set_times_deaf(beacons.times_deaf());
  if (beacons.deaf_time() > absl::InfinitePast()) {
    *out->mutable_deaf_time() = ToTimestamp(beacons.deaf_time());
  }
}

void GatherRequests(const Agent& agent, AgentStatus* out) {
  out->set_requests_received(agent.counters().received);
  out->set_requests_passed(agent.counters().passed);
  for (size_t i = 0; i < kRungs; ++i) {
    const uint64_t count = agent.counters().stopped[i];
    if (count == 0) continue;
    (*out->mutable_requests_stopped())[std::string(RungName(static_cast<Rung>(i)))] = count;
  }
  for (const RecentStop& recent : agent.recent_stops()) {
    RefusalStatus* refusal = out->add_refusals();
    *refusal->mutable_time() = ToTimestamp(recent.time);
    refusal->set_reason(std::string(RungName(recent.stop.rung)));
    refusal->set_message(recent.stop.why);
    refusal->set_signer(recent.signer);
    refusal->set_what(recent.what);
  }
  for (const auto& [id, running] : agent.running()) {
    RunStatus* run = out->add_running();
    run->set_action(running.action);
    run->set_job_id(running.exchange->job_id);
    run->set_caller(running.caller);
    *run->mutable_accept_time() = ToTimestamp(running.accept_time);
  }
}

void GatherPuppet(const StatusSources& sources, PuppetPathStatus* out) {
  if (!sources.paths->last_error().ok()) {
    out->set_error(std::string(sources.paths->last_error().message()));
  }
  out->set_program(PuppetProgram(sources.paths->config()));
  const auto paths = sources.paths->Known();
  if (paths == nullptr) return;
  out->set_program(paths->program);
  out->set_config(paths->config);
  out->set_disabled_lock(paths->agent_disabled_lockfile);
  out->set_run_lock(paths->agent_catalog_run_lockfile);
  out->set_summary(paths->lastrunfile);
  out->set_report(paths->lastrunreport);
  out->set_state(sources.actions->PuppetState().message());
}

}  // namespace

AgentStatus GatherStatus(const StatusSources& sources) {
  const base::Now now = sources.clock->Read();
  AgentStatus out;
  *out.mutable_time() = ToTimestamp(now.wall);
  out.set_pid(getpid());
  out.set_version(base::kVersion);
  *out.mutable_start_time() = ToTimestamp(sources.start_time);
  out.set_identity(sources.self.identity);
  for (const std::string& collective : sources.self.collectives) out.add_collectives(collective);
  out.set_role(std::string(trust::RoleName(sources.credentials->self().role)));
  *out.mutable_certificate_end_time() = ToTimestamp(sources.credentials->certificate_end());
  const absl::Time crl_end = sources.credentials->crl_end(now.wall);
  if (crl_end < absl::InfiniteFuture()) {
    *out.mutable_crl_end_time() = ToTimestamp(crl_end);
  }
  GatherBus(sources.client->status(), out.mutable_bus());
  GatherControllers(sources, now, &out);
  GatherRequests(*sources.agent, &out);
  GatherPuppet(sources, out.mutable_puppet());
  if (sources.facts->read_time() > absl::InfinitePast()) {
    *out.mutable_facts_time() = ToTimestamp(sources.facts->read_time());
  }
  for (const orch::v1::FactSourceError& error : sources.facts->errors()) {
    FactErrorStatus* fails = out.add_fact_errors();
    fails->set_source(error.source());
    fails->set_message(error.message());
    *fails->mutable_since() = error.since();
  }
  out.set_journal_reset(sources.journal_reset);
  return out;
}

StatusFile::StatusFile(base::Strand strand, std::string path, std::function<AgentStatus()> gather)
    : path_(std::move(path)), gather_(std::move(gather)), timer_(strand) {}

void StatusFile::OnChange() {
  if (waiting_ || removed_) return;
  waiting_ = true;
  // The first change of a second is written at its end, with all that came meanwhile.
  timer_.expires_after(absl::ToChronoNanoseconds(kStatusFileInterval));
  timer_.async_wait(lifetime_.Guard([this](boost::system::error_code error) {
    if (!error) Write();
  }));
}

void StatusFile::Write() {
  waiting_ = false;
  if (removed_) return;
  const absl::Status status = ReplaceFile(path_, api::ToJson(gather_(), /*pretty=*/true));
  if (!status.ok()) base::LogWarning("status file", {{"error", status.ToString()}});
}

void StatusFile::Remove() {
  removed_ = true;
  timer_.cancel();
  unlink(path_.c_str());
}

absl::StatusOr<AgentStatus> ReadStatusFile(const std::string& path) {
  ORCH_ASSIGN_OR_RETURN(const std::string json, base::ReadFile(path, kStatusFileMax));
  AgentStatus status;
  ORCH_RETURN_IF_ERROR(base::Annotate(api::FromJson(json, &status), path));
  return status;
}

}  // namespace orch::nodeagent
