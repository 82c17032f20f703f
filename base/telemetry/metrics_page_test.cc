// SPDX-License-Identifier: Apache-2.0
#include "base/telemetry/metrics_page.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace orch::base {
namespace {

TEST(MetricsPageTest, WritesFamiliesAndEscapes) {
  MetricsPage page("orch_");
  page.Gauge("nodes", "Nodes\nby \\state.").Value(uint64_t{3}, {{"state", "a\"b\\c\nd"}});
  page.Counter("bytes_total", "Bytes.").Value(uint64_t{18446744073709551615u});
  page.Gauge("load", "Load.").Value(0.1).Value(true, {{"a", "1"}, {"b", "2"}}).Value(-2);
  EXPECT_EQ(page.Take(),
            "# HELP orch_nodes Nodes\\nby \\\\state.\n"
            "# TYPE orch_nodes gauge\n"
            "orch_nodes{state=\"a\\\"b\\\\c\\nd\"} 3\n"
            "# HELP orch_bytes_total Bytes.\n"
            "# TYPE orch_bytes_total counter\n"
            "orch_bytes_total 18446744073709551615\n"
            "# HELP orch_load Load.\n"
            "# TYPE orch_load gauge\n"
            "orch_load 0.1\n"
            "orch_load{a=\"1\",b=\"2\"} 1\n"
            "orch_load -2\n");
}

TEST(MetricsPageTest, TimesThatNeverComeAreLeftOut) {
  MetricsPage page("");
  page.Gauge("end_timestamp_seconds", "End.")
      .Value(absl::FromUnixMillis(1500))
      .Value(absl::InfiniteFuture())
      .Value(absl::InfinitePast());
  EXPECT_TRUE(absl::EndsWith(page.Take(), " gauge\nend_timestamp_seconds 1.5\n"));
}

TEST(MetricsPageTest, BucketsAreSummedUp) {
  LatencyHistogram latency;
  latency.Observe(absl::Milliseconds(5));  // a bound belongs to its bucket
  latency.Observe(absl::Milliseconds(6));
  latency.Observe(absl::Seconds(-1));  // a clock that was set back
  latency.Observe(absl::Hours(2));
  MetricsPage page("orch_");
  page.Histogram("ack_seconds", "Ack.").Value(latency, {{"kind", "read"}});
  const std::string text = page.Take();
  for (const char* line : {"orch_ack_seconds_bucket{kind=\"read\",le=\"0.005\"} 2\n",
                           "orch_ack_seconds_bucket{kind=\"read\",le=\"0.01\"} 3\n",
                           "orch_ack_seconds_bucket{kind=\"read\",le=\"3600\"} 3\n",
                           "orch_ack_seconds_bucket{kind=\"read\",le=\"+Inf\"} 4\n",
                           "orch_ack_seconds_sum{kind=\"read\"} 7200.011\n",
                           "orch_ack_seconds_count{kind=\"read\"} 4\n"}) {
    EXPECT_TRUE(absl::StrContains(text, line)) << line << text;
  }
}

// The value of a series without labels.
double Read(const std::string& text, const std::string& name) {
  const size_t at = text.find(absl::StrCat("\n", name, " "));
  return at == std::string::npos ? -1 : std::stod(text.substr(at + name.size() + 2));
}

TEST(MetricsPageTest, TellsOfThisProcess) {
  MetricsPage page("orch_");
  page.Process();
  const std::string text = page.Take();
  EXPECT_TRUE(absl::StrContains(text, "\norch_build_info{version=\""));
  EXPECT_GE(Read(text, "process_cpu_seconds_total"), 0);
  EXPECT_GT(Read(text, "process_resident_memory_bytes"), 1 << 20);
  EXPECT_GT(Read(text, "process_virtual_memory_bytes"), 1 << 20);
  EXPECT_GE(Read(text, "process_open_fds"), 3);
  EXPECT_GT(Read(text, "process_max_fds"), 3);
  const double started = Read(text, "process_start_time_seconds");
  EXPECT_NEAR(started, absl::ToUnixSeconds(absl::Now()), 3600);
  MetricsPage own("orch_nodeagent_");
  own.Process(/*own_prefix=*/true);
  EXPECT_FALSE(absl::StrContains(own.Take(), "\nprocess_"));
}

}  // namespace
}  // namespace orch::base
