// SPDX-License-Identifier: Apache-2.0
#include "controller/metrics_text.h"

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/telemetry/metrics_page.h"
#include "bus/broker/broker_metrics.h"
#include "bus/client/client_metrics.h"
#include "orch/v1/job.pb.h"
#include "trust/identity.h"

namespace orch::controller {
namespace {

using base::MetricsPage;

// `NODE_STATE_SUCCEEDED` without its beginning, as a label.
std::string Word(const std::string& name, absl::string_view prefix) {
  return absl::AsciiStrToLower(absl::string_view(name).substr(prefix.size()));
}

void Jobs(const ControllerMetrics& m, MetricsPage* page) {
  const DispatcherMetrics& d = m.dispatcher;
  page->Gauge("jobs_running", "Jobs that have not ended.").Value(m.status.jobs_running);
  page->Counter("jobs_total", "Jobs by what became of them.")
      .Value(d.jobs_created, {{"event", "created"}})
      .Value(d.jobs_refused, {{"event", "refused"}})
      .Value(d.jobs_adopted, {{"event", "taken_up_again"}})
      .Value(d.jobs_ended, {{"event", "ended"}});
  page->Counter("job_ends_total", "Jobs that ended, by their state.");
  for (int state = orch::v1::JOB_STATE_SUCCEEDED; state <= orch::v1::JobState_MAX; ++state) {
    const auto end = static_cast<orch::v1::JobState>(state);
    page->Value(d.ends[state], {{"state", Word(orch::v1::JobState_Name(end), "JOB_STATE_")}});
  }
  page->Counter("node_outcomes_total", "How nodes ended in jobs that ended.");
  for (int state = orch::v1::NODE_STATE_SUCCEEDED; state <= orch::v1::NODE_STATE_CANCELLED;
       ++state) {
    const auto outcome = static_cast<orch::v1::NodeState>(state);
    page->Value(d.outcomes[state],
                {{"outcome", Word(orch::v1::NodeState_Name(outcome), "NODE_STATE_")}});
  }
  page->Counter("puppet_runs_total", "Puppet runs in jobs that ended, by verdict.");
  for (int number = 1; number <= orch::v1::PuppetRunVerdict_MAX; ++number) {
    const auto verdict = static_cast<orch::v1::PuppetRunVerdict>(number);
    page->Value(
        d.verdicts[number],
        {{"verdict", Word(orch::v1::PuppetRunVerdict_Name(verdict), "PUPPET_RUN_VERDICT_")}});
  }
  page->Histogram("job_dispatch_seconds",
                  "From a job's creation until the broker has its first request.")
      .Value(d.dispatch);
  page->Histogram("node_acceptance_seconds",
                  "From publishing a request until a node's acceptance arrived.")
      .Value(d.acceptance);
  page->Histogram("node_outcome_seconds",
                  "From publishing a request until a node's outcome arrived.")
      .Value(d.answer, {{"mutating", "false"}})
      .Value(d.outcome, {{"mutating", "true"}});
}

void Nodes(const ControllerMetrics& m, MetricsPage* page) {
  const DispatcherMetrics& d = m.dispatcher;
  page->Gauge("nodes", "Nodes of the roster by state.")
      .Value(d.nodes_present, {{"state", "present"}})
      .Value(d.nodes_stale, {{"state", "stale"}})
      .Value(d.nodes_gone, {{"state", "gone"}});
  page->Gauge("nodes_facts_known", "Nodes whose facts are known.").Value(d.facts_known);
  page->Counter("replies_total", "Replies of nodes by what became of them.")
      .Value(d.replies_in, {{"result", "taken"}})
      .Value(d.replies_late, {{"result", "late"}})
      .Value(d.replies_unknown, {{"result", "unknown_request"}})
      .Value(d.replies_wrong_node, {{"result", "wrong_node"}})
      .Value(d.replies_wrong_digest, {{"result", "wrong_digest"}})
      .Value(d.replies_malformed, {{"result", "malformed"}})
      .Value(d.replies_busy, {{"result", "busy"}});
  page->Counter("presences_total", "Presence messages by what became of them.")
      .Value(d.presences_in, {{"result", "taken"}})
      .Value(d.presences_old, {{"result", "old"}})
      .Value(d.presences_malformed, {{"result", "malformed"}});
  page->Counter("envelopes_refused_total",
                "Envelopes of nodes that were refused, by the check that failed.");
  for (size_t step = 0; step < d.refused.size(); ++step) {
    const auto refusal = static_cast<trust::Refusal>(step);
    page->Value(d.refused[step], {{"check", trust::RefusalName(refusal)}});
  }
}

void Bus(const ControllerMetrics& m, MetricsPage* page) {
  const DispatcherMetrics& d = m.dispatcher;
  bus::WriteClient(m.bus, page);
  page->Counter("requests_signed_total", "Requests signed.").Value(d.requests_signed);
  page->Counter("messages_sent_total", "Messages by whether the broker confirmed them.")
      .Value(d.messages_sent, {{"result", "sent"}})
      .Value(d.sends_failed, {{"result", "failed"}});
  page->Gauge("messages_waiting", "Messages that wait for the bus.").Value(d.messages_waiting);
  page->Gauge("unconfirmed_bytes", "Bytes given to the broker that it has not confirmed.")
      .Value(d.bytes_unconfirmed);
  if (m.broker.has_value()) bus::WriteBroker(*m.broker, page);
}

void Front(const ControllerMetrics& m, MetricsPage* page) {
  page->Counter("grpc_calls_total", "Calls that ended, by method and code.");
  for (const auto& [method, by_code] : m.calls) {
    for (size_t code = 0; code < by_code.size(); ++code) {
      // Sixteen zeros a method would say nothing; OK is there from the start, for rates.
      if (code != 0 && by_code[code] == 0) continue;
      page->Value(by_code[code],
                  {{"method", method},
                   {"code", absl::StatusCodeToString(static_cast<absl::StatusCode>(code))}});
    }
  }
  page->Counter("grpc_handshakes_refused_total", "TLS handshakes refused.")
      .Value(m.handshakes_refused);
  page->Counter("grpc_handshakes_given_up_total", "Handshakes too slow, or too many of an address.")
      .Value(m.handshakes_given_up);
  page->Gauge("grpc_connections", "Open connections, handshakes included.").Value(m.connections);
  page->Counter("grpc_connections_refused_total", "Connections over a caller's share.")
      .Value(m.connections_refused);
  page->Counter("grpc_connections_cut_total", "Connections ended for what their HTTP/2 cost.")
      .Value(m.connections_cut);
  page->Gauge("grpc_watchers", "Streams that are watched.").Value(m.watchers);
  page->Counter("unauthenticated_total", "Calls without an accepted certificate.")
      .Value(m.unauthenticated);
  page->Counter("policy_decisions_total", "Decisions by effect.")
      .Value(m.policy_allowed, {{"effect", "allow"}})
      .Value(m.policy_denied, {{"effect", "deny"}});
}

void Files(const ControllerMetrics& m, MetricsPage* page) {
  page->Counter("reloads_total", "Files that changed and were read again, by what came of it.")
      .Value(m.policies_loaded, {{"file", "policy"}, {"result", "done"}})
      .Value(m.policies_refused, {{"file", "policy"}, {"result", "refused"}})
      .Value(m.certificates_reloaded, {{"file", "certificates"}, {"result", "done"}})
      .Value(m.certificates_refused, {{"file", "certificates"}, {"result", "refused"}});
  page->Gauge("reload_refused", "Whether the newest file is refused and an older one is in force.")
      .Value(m.policy_stale, {{"file", "policy"}})
      .Value(m.certificates_stale, {{"file", "certificates"}});
  page->Gauge("store_ok", "Whether the store can be written.").Value(m.status.store_ok);
  page->Counter("store_commits_total", "Commits of the store.")
      .Value(m.dispatcher.commits, {{"result", "done"}})
      .Value(m.dispatcher.commits_failed, {{"result", "failed"}});
  page->Gauge("audit_ok", "Whether the audit log can be written.").Value(m.audit_ok);
  page->Counter("audit_records_total", "Audit records: refused ones took their call with them.")
      .Value(m.audit_written, {{"result", "written"}})
      .Value(m.audit_refused, {{"result", "refused"}})
      .Value(m.audit_lost, {{"result", "lost"}})
      .Value(m.audit_folded, {{"result", "folded"}});
  page->Gauge("certificate_end_timestamp_seconds", "When the controller's certificate ends.")
      .Value(m.certificate_end);
  page->Gauge("crl_end_timestamp_seconds",
              "When the first revocation list ends; absent where there are none.")
      .Value(m.crl_end);
}

}  // namespace

std::string MetricsText(const ControllerMetrics& metrics) {
  MetricsPage page("orch_");
  page.Process();
  page.Gauge("ready", "Whether /readyz says so.").Value(metrics.ready);
  Jobs(metrics, &page);
  Nodes(metrics, &page);
  Bus(metrics, &page);
  Front(metrics, &page);
  Files(metrics, &page);
  return page.Take();
}

}  // namespace orch::controller
