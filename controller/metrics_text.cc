// SPDX-License-Identifier: Apache-2.0
#include "controller/metrics_text.h"

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/version.h"
#include "orch/v1/job.pb.h"
#include "trust/identity.h"

namespace orch::controller {
namespace {

// Writes families one after the other.
class Page {
 public:
  Page& Family(absl::string_view name, absl::string_view type, absl::string_view about) {
    name_ = absl::StrCat("orch_", name);
    absl::StrAppend(&text_, "# HELP ", name_, " ", about, "\n# TYPE ", name_, " ", type, "\n");
    return *this;
  }
  template <typename Number>
  Page& Value(Number value) {
    absl::StrAppend(&text_, name_, " ", value, "\n");
    return *this;
  }
  template <typename Number>
  Page& Value(absl::string_view label, absl::string_view label_value, Number value) {
    absl::StrAppend(&text_, name_, "{", label, "=\"", label_value, "\"} ", value, "\n");
    return *this;
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string name_;
  std::string text_;
};

std::string OutcomeName(int state) {
  constexpr size_t kPrefix = sizeof("NODE_STATE_") - 1;
  return absl::AsciiStrToLower(
      orch::v1::NodeState_Name(static_cast<orch::v1::NodeState>(state)).substr(kPrefix));
}

void Jobs(const ControllerMetrics& m, Page* page) {
  const DispatcherMetrics& d = m.dispatcher;
  page->Family("jobs_running", "gauge", "Jobs that have not ended.").Value(m.status.jobs_running);
  page->Family("jobs_total", "counter", "Jobs by what became of them.")
      .Value("event", "created", d.jobs_created)
      .Value("event", "refused", d.jobs_refused)
      .Value("event", "adopted", d.jobs_adopted)
      .Value("event", "ended", d.jobs_ended);
  page->Family("node_outcomes_total", "counter", "How nodes ended in jobs.");
  for (int state = orch::v1::NODE_STATE_SUCCEEDED; state <= orch::v1::NODE_STATE_CANCELLED;
       ++state) {
    page->Value("outcome", OutcomeName(state), d.outcomes[state]);
  }
  page->Family("nodes", "gauge", "Nodes of the roster by state.")
      .Value("state", "present", m.status.nodes_present)
      .Value("state", "stale", m.status.nodes_stale)
      .Value("state", "gone", d.nodes_gone);
}

void Bus(const ControllerMetrics& m, Page* page) {
  const DispatcherMetrics& d = m.dispatcher;
  page->Family("bus_connected", "gauge", "Whether the bus is connected.")
      .Value(m.status.bus_connected ? 1 : 0);
  page->Family("bus_connects_total", "counter", "Connections made to a broker.")
      .Value(m.bus_connects);
  page->Family("bus_frames_total", "counter", "STOMP frames.")
      .Value("direction", "in", m.bus_frames_in)
      .Value("direction", "out", m.bus_frames_out);
  page->Family("bus_bytes_total", "counter", "Bytes to and from the broker.")
      .Value("direction", "in", m.bus_bytes_in)
      .Value("direction", "out", m.bus_bytes_out);
  page->Family("replies_total", "counter", "Replies of nodes by what became of them.")
      .Value("result", "taken", d.replies_in)
      .Value("result", "late", d.replies_late)
      .Value("result", "unknown_request", d.replies_unknown)
      .Value("result", "wrong_node", d.replies_wrong_node)
      .Value("result", "wrong_digest", d.replies_wrong_digest)
      .Value("result", "malformed", d.replies_malformed)
      .Value("result", "busy", d.replies_busy);
  page->Family("presences_total", "counter", "Presence messages by what became of them.")
      .Value("result", "taken", d.presences_in)
      .Value("result", "old", d.presences_old)
      .Value("result", "malformed", d.presences_malformed);
  page->Family("envelopes_refused_total", "counter", "Envelopes refused, by the failed check.");
  for (int step = 0; step <= static_cast<int>(trust::Refusal::kSignature); ++step) {
    const auto refusal = static_cast<trust::Refusal>(step);
    page->Value("check", trust::RefusalName(refusal), d.refused[step]);
  }
  page->Family("requests_signed_total", "counter", "Requests signed.").Value(d.requests_signed);
  page->Family("messages_sent_total", "counter", "Messages given to the bus.")
      .Value("result", "sent", d.messages_sent)
      .Value("result", "failed", d.sends_failed);
  if (!m.own_broker) return;
  page->Family("broker_connections", "gauge", "Connections to the broker in this process.")
      .Value(m.broker_connections);
  page->Family("broker_refused_total", "counter", "Connections that the broker refused.")
      .Value(m.broker_refused);
  page->Family("broker_slow_consumers_total", "counter", "Consumers dropped for being slow.")
      .Value(m.broker_slow_consumers);
  page->Family("broker_held_bytes", "gauge", "Bytes of messages that the broker holds.")
      .Value(m.broker_bytes_held);
}

void Front(const ControllerMetrics& m, Page* page) {
  page->Family("grpc_calls_total", "counter", "Calls that ended, by code.");
  for (size_t code = 0; code < m.calls.size(); ++code) {
    page->Value("code", absl::StatusCodeToString(static_cast<absl::StatusCode>(code)),
                m.calls[code]);
  }
  page->Family("grpc_handshakes_refused_total", "counter", "TLS handshakes refused.")
      .Value(m.handshakes_refused);
  page->Family("grpc_watchers", "gauge", "Streams that are watched.").Value(m.watchers);
  page->Family("unauthenticated_total", "counter", "Calls without an accepted certificate.")
      .Value(m.unauthenticated);
  page->Family("policy_decisions_total", "counter", "Decisions by effect.")
      .Value("effect", "allow", m.policy_allowed)
      .Value("effect", "deny", m.policy_denied);
}

}  // namespace

std::string MetricsText(const ControllerMetrics& metrics) {
  Page page;
  page.Family("build_info", "gauge", "The version in a label.").Value("version", base::kVersion, 1);
  Jobs(metrics, &page);
  Bus(metrics, &page);
  Front(metrics, &page);
  page.Family("store_ok", "gauge", "Whether the store can be written.")
      .Value(metrics.status.store_ok ? 1 : 0);
  page.Family("store_commits_total", "counter", "Commits of the store.")
      .Value("result", "done", metrics.dispatcher.commits)
      .Value("result", "failed", metrics.dispatcher.commits_failed);
  page.Family("audit_ok", "gauge", "Whether the audit log can be written.")
      .Value(metrics.audit_ok ? 1 : 0);
  page.Family("certificate_end_timestamp_seconds", "gauge",
              "When the controller's certificate ends.")
      .Value(metrics.certificate_end_seconds);
  if (metrics.crl_end_seconds > 0) {
    page.Family("crl_end_timestamp_seconds", "gauge", "When the first revocation list ends.")
        .Value(metrics.crl_end_seconds);
  }
  return page.Take();
}

}  // namespace orch::controller
