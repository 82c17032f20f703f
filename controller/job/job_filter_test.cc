// SPDX-License-Identifier: Apache-2.0
#include "controller/job/job_filter.h"

#include <gtest/gtest.h>

#include <string>

namespace orch::controller {
namespace {

using orch::v1::Job;
using orch::v1::JobFilter;

Job PuppetRun() {
  Job job;
  job.mutable_spec()->mutable_action()->mutable_puppet_run()->set_noop(true);
  job.mutable_spec()->mutable_target()->add_facts("role=Web");
  job.mutable_spec()->add_nodes("db1.example.net");
  (*job.mutable_spec()->mutable_labels())["ticket"] = "OPS-1";
  job.set_mutating(true);
  job.mutable_create_time()->set_seconds(1000);
  return job;
}

TEST(JobFilterTest, EverythingThatIsSetMustBeTrue) {
  const Job job = PuppetRun();
  JobFilter filter;
  EXPECT_TRUE(Matches(filter, job));
  filter.add_actions("puppet.*");
  filter.set_mutating(true);
  filter.set_noop(true);
  filter.mutable_create_time_min()->set_seconds(1000);
  filter.mutable_create_time_max()->set_seconds(1001);
  (*filter.mutable_labels())["ticket"] = "OPS-1";
  filter.set_target("ROLE");
  EXPECT_TRUE(Matches(filter, job));
  const auto differs = [&](auto change) {
    JobFilter other = filter;
    change(&other);
    return !Matches(other, job);
  };
  EXPECT_TRUE(differs([](JobFilter* f) { f->set_actions(0, "node.*"); }));
  EXPECT_TRUE(differs([](JobFilter* f) { f->set_actions(0, "puppet.status"); }));
  EXPECT_TRUE(differs([](JobFilter* f) { f->set_mutating(false); }));
  EXPECT_TRUE(differs([](JobFilter* f) { f->set_noop(false); }));
  EXPECT_TRUE(differs([](JobFilter* f) { f->mutable_create_time_min()->set_nanos(1); }));
  EXPECT_TRUE(differs([](JobFilter* f) { f->mutable_create_time_max()->set_seconds(1000); }));
  EXPECT_TRUE(differs([](JobFilter* f) { (*f->mutable_labels())["ticket"] = "OPS-2"; }));
  EXPECT_TRUE(differs([](JobFilter* f) { (*f->mutable_labels())["other"] = ""; }));
  EXPECT_TRUE(differs([](JobFilter* f) { f->set_target("cache"); }));
  filter.set_target("DB1.");
  EXPECT_TRUE(Matches(filter, job));
}

TEST(JobFilterTest, NoopIsOfPuppetRunsAlone) {
  Job ping;
  ping.mutable_spec()->mutable_action()->mutable_node_ping();
  JobFilter filter;
  filter.set_noop(false);
  EXPECT_FALSE(Matches(filter, ping));
  Job run;
  run.mutable_spec()->mutable_action()->mutable_puppet_run();
  EXPECT_TRUE(Matches(filter, run));
}

TEST(JobFilterTest, WhatIsNoFilterIsNamed) {
  JobFilter filter;
  for (const char* good : {"puppet.run", "puppet.*", "a1.b_2"}) filter.add_actions(good);
  EXPECT_TRUE(ValidateJobFilter("filter", filter).ok());
  for (const char* bad : {"", "puppet", "*", "*.run", "puppet.", "Puppet.run", "puppet.r*"}) {
    filter.clear_actions();
    filter.add_actions("puppet.run");
    filter.add_actions(bad);
    const absl::Status status = ValidateJobFilter("filter", filter);
    EXPECT_NE(status.message().find("filter.actions[1]"), absl::string_view::npos) << bad << status;
  }
  filter.clear_actions();
  filter.set_target(std::string(kFilterTextMax + 1, 'x'));
  EXPECT_FALSE(ValidateJobFilter("filter", filter).ok());
  filter.clear_target();
  filter.mutable_create_time_min()->set_seconds(5);
  filter.mutable_create_time_max()->set_seconds(5);
  EXPECT_NE(ValidateJobFilter("filter", filter).message().find("create_time_max"),
            absl::string_view::npos);
}

}  // namespace
}  // namespace orch::controller
