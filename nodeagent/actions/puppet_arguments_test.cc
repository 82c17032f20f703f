// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/actions/puppet_arguments.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/str_join.h"

namespace orch::nodeagent {
namespace {

using orch::v1::PuppetRun;

class PuppetArgumentsTest : public testing::Test {
 protected:
  PuppetArgumentsTest() {
    paths_.program = "/usr/bin/puppet";
    paths_.flags = {"--confdir", "/c"};
    paths_.runtimeout = absl::Hours(2);
  }
  std::string Line() const {
    return absl::StrJoin(PuppetArguments(run_, config_, paths_, "/run/log.jsonl"), " ");
  }
  std::string Refusal() const { return std::string(CheckPuppetRun(run_, config_).message()); }

  PuppetRun run_;
  PuppetConfig config_;
  PuppetPaths paths_;
};

TEST_F(PuppetArgumentsTest, AnAgentsRunIsPutTogetherAsDocumented) {
  EXPECT_EQ(Line(),
            "/usr/bin/puppet agent --confdir /c --onetime --no-daemonize --no-usecacheonfailure "
            "--no-splay --detailed-exitcodes --color=false --logdest /run/log.jsonl "
            "--no-show_diff");
}

TEST_F(PuppetArgumentsTest, EachOptionHasItsPlace) {
  run_.set_noop(true);
  run_.add_tags("web");
  run_.add_tags("a::b");
  run_.add_skip_tags("slow");
  run_.set_environment("staging");
  run_.set_server("p.example.com:8141");
  run_.set_use_cached_catalog(true);
  run_.set_ignore_schedules(true);
  run_.set_show_diff(true);
  run_.set_evaltrace(true);
  run_.set_debug(true);
  const std::string line = Line();
  for (const char* part :
       {" --noop ", " --tags web,a::b ", " --skip_tags slow ", " --environment staging ",
        " --server p.example.com --serverport 8141 ", " --use_cached_catalog ",
        " --ignoreschedules ", " --show_diff ", " --evaltrace --verbose --debug"}) {
    EXPECT_NE(line.find(part), std::string::npos) << part << " in " << line;
  }
  EXPECT_NE(line.find(" --strict_environment_mode"), std::string::npos) << line;
  run_.set_allow_environment_override(true);
  EXPECT_EQ(Line().find("--strict_environment_mode"), std::string::npos);
  run_.set_noop(false);
  run_.set_use_cached_catalog(false);
  EXPECT_NE(Line().find(" --no-noop "), std::string::npos);
  EXPECT_NE(Line().find(" --no-use_cached_catalog "), std::string::npos);
}

TEST_F(PuppetArgumentsTest, ApplyEndsWithTheManifest) {
  config_.set_mode(PUPPET_MODE_APPLY);
  config_.set_manifest("/etc/site.pp");
  EXPECT_EQ(Line(),
            "/usr/bin/puppet apply --confdir /c --write-catalog-summary --detailed-exitcodes "
            "--color=false --logdest /run/log.jsonl --no-show_diff /etc/site.pp");
  EXPECT_EQ(Refusal(), "");
  run_.set_use_cached_catalog(true);
  EXPECT_NE(Refusal(), "");
  config_.set_manifest("site.pp");
  run_.Clear();
  EXPECT_NE(Refusal().find("absolute"), std::string::npos);
}

TEST_F(PuppetArgumentsTest, ValuesThatCouldBeOptionsAreRefused) {
  for (const char* value : {"-x", "--server=evil", "a b", "a;b", "a\nb", "$(id)"}) {
    run_.Clear();
    run_.set_environment(value);
    EXPECT_NE(Refusal(), "") << value;
    run_.Clear();
    run_.add_tags(value);
    EXPECT_NE(Refusal(), "") << value;
    run_.Clear();
    run_.add_skip_tags(value);
    EXPECT_NE(Refusal(), "") << value;
  }
  run_.Clear();
  for (int i = 0; i < 33; i++) run_.add_tags("t");
  EXPECT_NE(Refusal(), "");
}

TEST_F(PuppetArgumentsTest, WhatPuppetTakesIsTaken) {
  for (const char* environment : {"2024_q1", "ABC123_test", "_x", "production"}) {
    run_.set_environment(environment);
    EXPECT_EQ(Refusal(), "") << environment;
  }
  run_.set_environment(std::string(255, 'x'));
  EXPECT_EQ(Refusal(), "");
  for (const char* tag : {"Profile::Base", "_x", "2nd", "a.b-c:d", "größe"}) {
    run_.clear_tags();
    run_.add_tags(tag);
    EXPECT_EQ(Refusal(), "") << tag;
  }
  run_.clear_tags();
  run_.set_environment(std::string(256, 'x'));
  EXPECT_NE(Refusal(), "");
  for (const char* environment : {"a-b", "a/b", "..", "a b", "é"}) {
    run_.set_environment(environment);
    EXPECT_NE(Refusal(), "") << environment;
  }
}

TEST_F(PuppetArgumentsTest, OnlyServersOfTheConfigurationAreAccepted) {
  run_.set_server("evil.example.com");
  EXPECT_NE(Refusal().find("evil.example.com"), std::string::npos);
  config_.add_servers("puppet.example.com");
  EXPECT_NE(Refusal(), "");
  run_.set_server("puppet.example.com");
  EXPECT_EQ(Refusal(), "");
  run_.set_server("puppet.example.com:8140");
  EXPECT_NE(Refusal(), "");
}

TEST_F(PuppetArgumentsTest, NegativeAndEndlessTimesAreRefused) {
  run_.mutable_timeout()->set_seconds(-1);
  EXPECT_NE(Refusal(), "");
  run_.Clear();
  run_.mutable_splay_limit()->set_seconds(3601);
  EXPECT_NE(Refusal(), "");
  run_.Clear();
  run_.mutable_wait_for_lock()->set_nanos(-1);
  EXPECT_NE(Refusal(), "");
}

TEST_F(PuppetArgumentsTest, TheTimeoutIsTheRequestsOrTheTighterOne) {
  EXPECT_EQ(RunTimeout(run_, absl::ZeroDuration(), config_, paths_), absl::Seconds(7260));
  EXPECT_EQ(RunTimeout(run_, absl::Minutes(61), config_, paths_), absl::Minutes(61));
  paths_.runtimeout = absl::ZeroDuration();
  EXPECT_EQ(RunTimeout(run_, absl::ZeroDuration(), config_, paths_), absl::Hours(1));
  config_.set_mode(PUPPET_MODE_APPLY);
  paths_.runtimeout = absl::Hours(2);
  EXPECT_EQ(RunTimeout(run_, absl::Hours(9), config_, paths_), absl::Hours(1));
  run_.mutable_timeout()->set_seconds(90);
  EXPECT_EQ(RunTimeout(run_, absl::Seconds(5), config_, paths_), absl::Seconds(90));
}

}  // namespace
}  // namespace orch::nodeagent
