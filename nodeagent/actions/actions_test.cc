// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/actions/actions.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "api/catalog.h"
#include "base/config.h"
#include "nodeagent/actions/actions_parts.h"

namespace orch::nodeagent {
namespace {

using orch::bus::v1::Outcome;
using orch::v1::Action;

// Everything but puppet.run, which has tests of its own in nodeagent/actions.
class ActionsTest : public testing::Test {
 protected:
  ActionsTest() {
    std::string pattern = testing::TempDir() + "actionsXXXXXX";
    directory_ = mkdtemp(pattern.data());
    puppet_.set_program("/bin/true");
    puppet_.set_agent_disabled_lockfile(DisabledLock());
    puppet_.set_agent_catalog_run_lockfile(directory_ + "/run.lock");
    puppet_.set_pidfile(directory_ + "/pid");
    puppet_.set_lastrunfile(directory_ + "/summary");
    puppet_.set_lastrunreport(directory_ + "/report");
    puppet_.set_classfile(directory_ + "/classes");
    puppet_.set_resourcefile(directory_ + "/resources");
    puppet_.mutable_runtimeout()->set_seconds(60);
    std::ofstream(directory_ + "/facts.json")
        << R"({"os": {"family": "Debian"}, "a.b": "flat", "a": {"b": "nested"}, "list": [1, 2],
               "nothing": null})";
    facts_config_.add_sources()->set_file(directory_ + "/facts.json");
    std::ofstream(directory_ + "/classes") << "nginx\n";
  }
  ~ActionsTest() override {
    actions_.reset();
    facts_.reset();
    worker_->Stop();
    std::filesystem::remove_all(directory_);
  }
  std::string DisabledLock() const { return directory_ + "/state/disabled.lock"; }

  void Open() {
    paths_ = std::make_unique<PuppetPathsFinder>(strand_, &clock_, puppet_, directory_ + "/paths");
    facts_ = std::make_unique<Facts>(FactsParts{
        strand_, &clock_, paths_.get(), facts_config_, directory_ + "/cache", "node1", {"main"}});
    actions_ = NewActions(ActionsParts{strand_,
                                       worker_.get(),
                                       &clock_,
                                       paths_.get(),
                                       facts_.get(),
                                       directory_,
                                       {"/bin/false"},
                                       absl::FromUnixSeconds(5)});
    std::vector<std::string> names;
    for (const orch::v1::NodeAction& action : actions_->Offered()) names.push_back(action.name());
    facts_->SetActions(names);
    bool read = false;
    facts_->Start([&] { read = true; });
    const absl::Time limit = absl::Now() + absl::Seconds(10);
    while (!read && absl::Now() < limit) {
      io_.restart();
      io_.run_for(std::chrono::milliseconds(2));
    }
    ASSERT_TRUE(read);
  }
  Outcome Do(const Action& action, bool resume = false) {
    std::optional<Outcome> outcome;
    ActionCall call;
    call.request_id = std::string(16, 'a');
    call.job_id = "JOB";
    call.caller = "cert=operator";
    call.action = action;
    call.progress = [](const orch::v1::ActionProgress&) {};
    call.done = [&](const Outcome& ended) {
      EXPECT_FALSE(outcome.has_value());
      outcome = ended;
    };
    resume ? actions_->Resume(std::move(call)) : actions_->Start(std::move(call));
    EXPECT_TRUE(outcome.has_value());
    return outcome.value_or(Outcome());
  }

  std::string directory_;
  PuppetConfig puppet_;
  FactsConfig facts_config_;
  base::FakeClock clock_;
  base::asio::io_context io_;
  base::Strand strand_{io_.get_executor()};
  std::unique_ptr<base::Worker> worker_ = base::NewThreadWorker();
  std::unique_ptr<PuppetPathsFinder> paths_;
  std::unique_ptr<Facts> facts_;
  std::unique_ptr<Actions> actions_;
};

TEST_F(ActionsTest, OffersTheCatalogsActionsWithTheirDigests) {
  Open();
  const std::vector<orch::v1::NodeAction> offered = actions_->Offered();
  ASSERT_EQ(offered.size(), 7u);
  for (const orch::v1::NodeAction& action : offered) {
    const api::ActionInfo* info = api::FindAction(action.name());
    ASSERT_NE(info, nullptr) << action.name();
    EXPECT_EQ(action.schema_digest(), info->schema_digest);
    EXPECT_EQ(action.mutates(), info->mutates);
  }
}

TEST_F(ActionsTest, WithoutPuppetItsActionsAreNotOffered) {
  puppet_.set_program("");
  Open();
  Action run;
  run.mutable_puppet_run();
  if (PuppetProgram(puppet_).empty()) {
    EXPECT_EQ(actions_->Offered().size(), 3u);
    EXPECT_EQ(Do(run).reason(), "puppet_unavailable");
  } else {
    EXPECT_EQ(actions_->Offered().size(), 7u);
  }
}

TEST_F(ActionsTest, WhatIsNotOfferedOrInvalidIsRefused) {
  Open();
  Action action;
  EXPECT_EQ(Do(action).reason(), "unsupported");
  action.mutable_external()->set_name("service.restart");
  EXPECT_EQ(Do(action).state(), orch::v1::NODE_STATE_REFUSED);
  EXPECT_EQ(Do(action).reason(), "unsupported");
  EXPECT_NE(Do(action).message().find("service.restart"), std::string::npos);
  action.mutable_puppet_run()->set_environment("--evil");
  EXPECT_EQ(Do(action).reason(), "invalid");
}

TEST_F(ActionsTest, PingFactsAndInventory) {
  Open();
  Action action;
  action.mutable_node_ping();
  const orch::v1::NodePingResult ping = Do(action).result().node_ping();
  EXPECT_EQ(ping.start_time().seconds(), 5);
  EXPECT_EQ(ping.time().seconds(), absl::ToUnixSeconds(clock_.Read().wall));
  EXPECT_NE(ping.version(), "");

  for (const char* path : {"os.family", "a.b", "list.1", "list.7", "nothing", "absent.x"}) {
    action.mutable_node_facts()->add_facts(path);
  }
  const orch::v1::NodeFactsResult facts = Do(action).result().node_facts();
  EXPECT_EQ(facts.facts_size(), 3);
  EXPECT_EQ(facts.facts().at("os.family").string_value(), "Debian");
  EXPECT_EQ(facts.facts().at("a.b").string_value(), "flat");
  EXPECT_EQ(facts.facts().at("list.1").number_value(), 2);

  action.mutable_node_inventory();
  const orch::v1::NodeInventoryResult all = Do(action).result().node_inventory();
  EXPECT_EQ(all.facts().fields().at("a.b").string_value(), "flat");
  EXPECT_EQ(all.classes_size(), 1);
  EXPECT_EQ(all.actions_size(), 7);
  EXPECT_EQ(all.collectives(0), "main");
  EXPECT_EQ(all.puppet().status(), "stopped");
}

TEST_F(ActionsTest, AnAnswerThatDoesNotFitFails) {
  std::ofstream(directory_ + "/facts.json") << "{\"big\": \"" << std::string(300'000, 'x') << "\"}";
  Open();
  Action action;
  action.mutable_node_inventory();
  EXPECT_EQ(Do(action).reason(), "too_large");
}

TEST_F(ActionsTest, StatusEnableDisable) {
  Open();
  Action status;
  status.mutable_puppet_status();
  EXPECT_EQ(Do(status).result().puppet_status().message(),
            "Currently stopped; never completed a run");

  Action disable;
  disable.mutable_puppet_disable();
  Outcome outcome = Do(disable);
  EXPECT_TRUE(outcome.result().puppet_disable().changed());
  EXPECT_EQ(outcome.result().puppet_disable().message(),
            "Disabled by cert=operator at 2027-01-15T08:00:00Z (job JOB)");
  EXPECT_EQ(*base::ReadFile(DisabledLock()),
            "{\"disabled_message\":\"" + outcome.result().puppet_disable().message() + "\"}");
  EXPECT_FALSE(Do(status).result().puppet_status().enabled());
  EXPECT_FALSE(actions_->PuppetState().enabled());

  disable.mutable_puppet_disable()->set_message("mine");
  outcome = Do(disable);
  EXPECT_FALSE(outcome.result().puppet_disable().changed());
  EXPECT_NE(outcome.result().puppet_disable().message(), "mine");
  EXPECT_NE(outcome.message(), "");
  disable.mutable_puppet_disable()->set_force(true);
  EXPECT_TRUE(Do(disable).result().puppet_disable().changed());
  EXPECT_EQ(Do(status).result().puppet_status().disable_message(), "mine");
  EXPECT_FALSE(Do(disable).result().puppet_disable().changed()) << "the same message again";

  Action enable;
  enable.mutable_puppet_enable();
  EXPECT_TRUE(Do(enable).result().puppet_enable().changed());
  EXPECT_FALSE(std::filesystem::exists(DisabledLock()));
  outcome = Do(enable);
  EXPECT_EQ(outcome.state(), orch::v1::NODE_STATE_SUCCEEDED);
  EXPECT_FALSE(outcome.result().puppet_enable().changed());
  EXPECT_TRUE(outcome.result().puppet_enable().status().enabled());
}

TEST_F(ActionsTest, AResumedSwitchIsDoneOrInterrupted) {
  Open();
  Action disable;
  disable.mutable_puppet_disable();
  EXPECT_EQ(Do(disable, true).reason(), "interrupted");
  EXPECT_FALSE(std::filesystem::exists(DisabledLock()));
  Action enable;
  enable.mutable_puppet_enable();
  EXPECT_EQ(Do(enable, true).state(), orch::v1::NODE_STATE_SUCCEEDED);
  Do(disable);
  EXPECT_EQ(Do(disable, true).state(), orch::v1::NODE_STATE_SUCCEEDED);
  EXPECT_EQ(Do(enable, true).reason(), "interrupted");
}

TEST_F(ActionsTest, ItsOwnProgramIsFound) {
  EXPECT_EQ(std::filesystem::path(OwnProgram()).filename(), "actions_test");
}

}  // namespace
}  // namespace orch::nodeagent
