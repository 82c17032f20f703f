// SPDX-License-Identifier: Apache-2.0
#include "controller/metrics_text.h"

#include <gtest/gtest.h>

#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "orch/v1/job.pb.h"
#include "re2/re2.h"

namespace orch::controller {
namespace {

ControllerMetrics Example() {
  ControllerMetrics m;
  m.bus.connected = true;
  m.status.jobs_running = 3;
  m.dispatcher.nodes_present = 41;
  m.calls.emplace_back("JobService/CreateJob", std::array<uint64_t, 17>{});
  m.calls[0].second[7] = 5;
  m.policy_denied = 2;
  m.policy_stale = true;
  m.dispatcher.outcomes[orch::v1::NODE_STATE_NO_RESPONSE] = 9;
  m.dispatcher.ends[orch::v1::JOB_STATE_STOPPED] = 4;
  m.dispatcher.verdicts[orch::v1::PUPPET_RUN_VERDICT_CHANGED] = 6;
  m.dispatcher.acceptance.Observe(absl::Milliseconds(20));
  m.broker.emplace();
  m.broker->connections_by = {{"node", 12}};
  m.broker->destinations_by = {{.kind = "reply", .messages = 7}};
  m.certificate_end = absl::FromUnixSeconds(1'900'000'000);
  return m;
}

TEST(MetricsTextTest, TellsTheFigures) {
  const std::string text = MetricsText(Example());
  for (const char* line :
       {"orch_build_info{version=\"", "\norch_jobs_running 3\n",
        "\norch_nodes{state=\"present\"} 41\n", "\norch_bus_connected 1\n",
        "\norch_grpc_calls_total{method=\"JobService/CreateJob\",code=\"OK\"} 0\n",
        "\norch_grpc_calls_total{method=\"JobService/CreateJob\",code=\"PERMISSION_DENIED\"} 5\n",
        "\norch_policy_decisions_total{effect=\"deny\"} 2\n",
        "\norch_reload_refused{file=\"policy\"} 1\n",
        "\norch_node_outcomes_total{outcome=\"no_response\"} 9\n",
        "\norch_job_ends_total{state=\"stopped\"} 4\n",
        "\norch_puppet_runs_total{verdict=\"changed\"} 6\n",
        "\norch_node_acceptance_seconds_bucket{le=\"0.025\"} 1\n",
        "\norch_node_outcome_seconds_count{mutating=\"true\"} 0\n",
        "\norch_broker_connections{peer=\"node\"} 12\n",
        "\norch_broker_queue_messages{kind=\"reply\"} 7\n", "\norch_store_ok 1\n",
        "\norch_audit_ok 1\n", "\norch_certificate_end_timestamp_seconds 1.9e+09\n",
        "\nprocess_cpu_seconds_total "}) {
    EXPECT_TRUE(absl::StrContains(text, line)) << line;
  }
  EXPECT_FALSE(absl::StrContains(text, "\norch_crl_end_timestamp_seconds "));
}

TEST(MetricsTextTest, EveryLineIsWellFormedAndEveryFamilyDeclaredOnce) {
  const std::string text = MetricsText(Example());
  ASSERT_EQ(text.back(), '\n');
  std::set<std::string> declared;
  for (const absl::string_view view :
       absl::StrSplit(absl::string_view(text).substr(0, text.size() - 1), '\n')) {
    const std::string line(view);
    std::string name;
    if (RE2::FullMatch(line, "# TYPE ([a-z_]+) (?:gauge|counter|histogram)", &name)) {
      EXPECT_TRUE(declared.insert(name).second) << line;
    } else if (!RE2::FullMatch(line, "# HELP [a-z_]+ [A-Z].+\\.")) {
      ASSERT_TRUE(RE2::FullMatch(
          line, "([a-z_]+?)(?:_bucket|_sum|_count)?(?:\\{[a-z]+=\"[^\"]+\".*\\})? [0-9.e+]+",
          &name))
          << line;
      EXPECT_TRUE(declared.contains(name)) << line;
    }
  }
  EXPECT_GT(declared.size(), 50u);
}

}  // namespace
}  // namespace orch::controller
