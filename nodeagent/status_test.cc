// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/status.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "api/json.h"
#include "base/config.h"
#include "base/proto_time.h"
#include "nodeagent/status_file.h"
#include "nodeagent/text/replace_file.h"

namespace orch::nodeagent {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

AgentStatus Healthy() {
  AgentStatus status;
  *status.mutable_time() = ToTimestamp(kNow - absl::Seconds(3));
  status.set_pid(4711);
  status.set_version("0.1.0");
  *status.mutable_start_time() = ToTimestamp(kNow - absl::Hours(3));
  status.set_identity("web1");
  status.add_collectives("main");
  status.set_role("node");
  *status.mutable_certificate_end_time() = ToTimestamp(kNow + absl::Hours(24 * 365));
  *status.mutable_crl_end_time() = ToTimestamp(kNow + absl::Hours(24 * 365));
  status.mutable_bus()->set_connected(true);
  status.mutable_bus()->set_broker("broker1:61614");
  *status.mutable_bus()->mutable_since() = ToTimestamp(kNow - absl::Minutes(7));
  ControllerStatus* controller = status.add_controllers();
  controller->set_name("c1");
  *controller->mutable_last_beacon() = ToTimestamp(kNow - absl::Seconds(12));
  *status.mutable_facts_time() = ToTimestamp(kNow - absl::Minutes(1));
  status.mutable_puppet()->set_program("/usr/bin/puppet");
  status.mutable_puppet()->set_state("Currently stopped; last completed run 5 minutes ago");
  return status;
}

bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// How the checks judge one thing; kGood where it is not spoken of.
Finding Judge(const AgentStatus& status, const std::string& what) {
  for (const Check& check : CheckStatus(status, true, kNow)) {
    if (check.what == what) return check.finding;
  }
  return Finding::kGood;
}

TEST(StatusText, SaysWhatMatters) {
  AgentStatus status = Healthy();
  RefusalStatus* refusal = status.add_refusals();
  *refusal->mutable_time() = ToTimestamp(kNow - absl::Seconds(30));
  refusal->set_reason("role");
  refusal->set_message("signed by web2, whose role is node");
  refusal->set_signer("web2");
  refusal->set_what("request");
  (*status.mutable_requests_stopped())["role"] = 1;
  status.set_requests_received(8);
  status.set_requests_passed(7);
  RunStatus* run = status.add_running();
  run->set_action("puppet.run");
  run->set_caller("cert=operator");
  const std::string text = StatusText(status, true, kNow);
  EXPECT_TRUE(Has(text, "web1 (main), role node")) << text;
  EXPECT_TRUE(Has(text, "connected to broker1:61614, since 7m ago")) << text;
  EXPECT_TRUE(Has(text, "c1: last beacon 12s ago, clock skew 0")) << text;
  EXPECT_TRUE(Has(text, "8 received, 7 passed; stopped: role 1")) << text;
  EXPECT_TRUE(Has(text, "30s ago role: signed by web2, whose role is node (request of web2)"))
      << text;
  EXPECT_TRUE(Has(text, "puppet.run for cert=operator")) << text;
  EXPECT_TRUE(Has(text, "/usr/bin/puppet, Currently stopped")) << text;
}

TEST(StatusText, OfAGoneAgentIsMarked) {
  EXPECT_TRUE(Has(StatusText(Healthy(), false, kNow), "not running; what follows is of 3s ago"));
}

TEST(CheckStatus, FindsNothingWhereAllIsWell) {
  for (const Check& check : CheckStatus(Healthy(), true, kNow)) {
    EXPECT_EQ(check.finding, Finding::kGood) << check.what << ": " << check.text;
  }
}

TEST(CheckStatus, FindsEachFault) {
  AgentStatus status = Healthy();
  status.mutable_bus()->set_connected(false);
  EXPECT_EQ(Judge(status, "broker"), Finding::kBad);
  *status.mutable_bus()->mutable_since() = ToTimestamp(kNow - absl::Seconds(75));
  status.mutable_bus()->set_last_error("connect broker2:61614: Connection refused");
  EXPECT_TRUE(absl::StrContains(
      StatusText(status, true, kNow),
      "not connected, since 1m15s ago: connect broker2:61614: Connection refused"));

  status = Healthy();
  status.set_times_deaf(2);
  *status.mutable_deaf_time() = ToTimestamp(kNow - absl::Minutes(2));
  EXPECT_EQ(Judge(status, "bus"), Finding::kWarning);
  EXPECT_TRUE(absl::StrContains(StatusText(status, true, kNow), "2 times, last 2m ago"));
  *status.mutable_deaf_time() = ToTimestamp(kNow - kDeafWarning);
  for (const Check& check : CheckStatus(status, true, kNow)) {
    EXPECT_EQ(check.finding, Finding::kGood) << check.what << ": " << check.text;
  }

  status = Healthy();
  status.mutable_controllers(0)->mutable_clock_skew()->set_seconds(-31);
  EXPECT_EQ(Judge(status, "controller c1"), Finding::kBad);

  status = Healthy();
  *status.mutable_controllers(0)->mutable_last_beacon() = ToTimestamp(kNow - absl::Seconds(90));
  EXPECT_EQ(Judge(status, "controller c1"), Finding::kWarning);
  EXPECT_EQ(Judge(status, "bus"), Finding::kWarning);
  status.mutable_controllers(0)->clear_last_beacon();
  EXPECT_EQ(Judge(status, "controller c1"), Finding::kWarning);

  status = Healthy();
  *status.mutable_certificate_end_time() = ToTimestamp(kNow + absl::Hours(24 * 59));
  EXPECT_EQ(Judge(status, "certificate"), Finding::kWarning);
  *status.mutable_crl_end_time() = ToTimestamp(kNow);
  EXPECT_EQ(Judge(status, "CRL"), Finding::kBad);

  status = Healthy();
  FactErrorStatus* const fails = status.add_fact_errors();
  fails->set_source("facter");
  fails->set_message("timed out");
  EXPECT_EQ(Judge(status, "facts"), Finding::kWarning);
  status.mutable_puppet()->set_error("no such program");
  EXPECT_EQ(Judge(status, "puppet"), Finding::kBad);

  const auto gone = CheckStatus(Healthy(), false, kNow);
  ASSERT_EQ(gone.size(), 1u);
  EXPECT_EQ(gone[0].finding, Finding::kBad);
}

class StatusFileTest : public ::testing::Test {
 protected:
  StatusFileTest() {
    char name[] = "/tmp/orch-status-XXXXXX";
    directory_ = mkdtemp(name);
  }
  ~StatusFileTest() override { std::filesystem::remove_all(directory_); }
  std::string directory_;
};

TEST_F(StatusFileTest, IsReadAsItWasWritten) {
  const std::string path = absl::StrCat(directory_, "/", kStatusFileName);
  EXPECT_EQ(ReadStatusFile(path).status().code(), absl::StatusCode::kNotFound);

  base::asio::io_context context{1};
  int gathered = 0;
  StatusFile file(base::asio::make_strand(context), path, [&gathered] {
    ++gathered;
    return Healthy();
  });
  for (int i = 0; i < 100; ++i) file.OnChange();
  context.run();
  EXPECT_EQ(gathered, 1);
  const auto status = ReadStatusFile(path);
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(api::ToJson(*status), api::ToJson(Healthy()));

  file.Remove();
  EXPECT_EQ(ReadStatusFile(path).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(StatusFileTest, WhatOthersLeftInTheWayIsNeverWrittenTo) {
  const std::string path = absl::StrCat(directory_, "/orch.prom");
  const std::string victim = absl::StrCat(directory_, "/victim");
  ASSERT_TRUE(base::WriteFileAtomically(victim, "precious", 0600).ok());
  ASSERT_EQ(symlink(victim.c_str(), absl::StrCat(path, ".new").c_str()), 0);
  EXPECT_TRUE(ReplaceFile(path, "one").ok());
  ASSERT_EQ(link(victim.c_str(), absl::StrCat(path, ".new").c_str()), 0);
  EXPECT_TRUE(ReplaceFile(path, "two").ok());
  EXPECT_EQ(*base::ReadFile(path, 100), "two");
  EXPECT_EQ(*base::ReadFile(victim, 100), "precious");
  const absl::Status none = ReplaceFile(absl::StrCat(directory_, "/none/orch.prom"), "x");
  EXPECT_TRUE(Has(std::string(none.message()), "/none/orch.prom.new")) << none;
  std::filesystem::create_directory(absl::StrCat(directory_, "/taken"));
  EXPECT_FALSE(ReplaceFile(absl::StrCat(directory_, "/taken"), "x").ok());
  EXPECT_FALSE(std::filesystem::exists(absl::StrCat(directory_, "/taken.new")));
}

TEST_F(StatusFileTest, ShowsAndJudgesForTheShell) {
  NodeAgentConfig config;
  config.set_run_dir(directory_);
  EXPECT_EQ(ShowStatus(config, false), 1);
  AgentStatus status = Healthy();
  status.set_pid(getpid());
  const std::string path = absl::StrCat(directory_, "/", kStatusFileName);
  ASSERT_TRUE(base::WriteFileAtomically(path, api::ToJson(status), 0644).ok());
  EXPECT_EQ(ShowStatus(config, true), 0);
  status.mutable_bus()->set_connected(false);
  ASSERT_TRUE(base::WriteFileAtomically(path, api::ToJson(status), 0644).ok());
  EXPECT_EQ(ShowStatus(config, false), 1);
  ASSERT_TRUE(base::WriteFileAtomically(path, "{\"pid\": \"x\"}", 0644).ok());
  EXPECT_EQ(ShowStatus(config, false), 1);
}

}  // namespace
}  // namespace orch::nodeagent
