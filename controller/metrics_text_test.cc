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
  m.status.bus_connected = true;
  m.status.jobs_running = 3;
  m.status.nodes_present = 41;
  m.calls[7] = 5;
  m.policy_denied = 2;
  m.dispatcher.outcomes[orch::v1::NODE_STATE_NO_RESPONSE] = 9;
  m.own_broker = true;
  m.broker_connections = 12;
  return m;
}

TEST(MetricsTextTest, TellsTheFigures) {
  const std::string text = MetricsText(Example());
  for (const char* line :
       {"orch_build_info{version=\"", "\norch_jobs_running 3\n",
        "\norch_nodes{state=\"present\"} 41\n", "\norch_bus_connected 1\n",
        "\norch_grpc_calls_total{code=\"PERMISSION_DENIED\"} 5\n",
        "\norch_policy_decisions_total{effect=\"deny\"} 2\n",
        "\norch_node_outcomes_total{outcome=\"no_response\"} 9\n", "\norch_broker_connections 12\n",
        "\norch_store_ok 1\n", "\norch_audit_ok 1\n"}) {
    EXPECT_TRUE(absl::StrContains(text, line)) << line;
  }
  EXPECT_FALSE(absl::StrContains(text, "crl_end"));
}

TEST(MetricsTextTest, EveryLineIsWellFormedAndEveryFamilyDeclaredOnce) {
  const std::string text = MetricsText(Example());
  ASSERT_EQ(text.back(), '\n');
  std::set<std::string> declared;
  for (const absl::string_view view :
       absl::StrSplit(absl::string_view(text).substr(0, text.size() - 1), '\n')) {
    const std::string line(view);
    std::string name;
    if (RE2::FullMatch(line, "# TYPE (orch_[a-z_]+) (?:gauge|counter)", &name)) {
      EXPECT_TRUE(declared.insert(name).second) << line;
    } else if (!RE2::FullMatch(line, "# HELP orch_[a-z_]+ .+\\.")) {
      ASSERT_TRUE(RE2::FullMatch(line, "(orch_[a-z_]+)(?:\\{[a-z]+=\"[^\"]+\"\\})? [0-9]+", &name))
          << line;
      EXPECT_TRUE(declared.contains(name)) << line;
    }
  }
  EXPECT_GT(declared.size(), 20u);
}

}  // namespace
}  // namespace orch::controller
