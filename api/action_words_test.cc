// SPDX-License-Identifier: Apache-2.0
#include "api/action_words.h"

#include <gtest/gtest.h>

namespace orch::api {
namespace {

TEST(ActionWordsTest, AreWhatWasAskedFor) {
  orch::v1::Action action;
  EXPECT_EQ(ActionWords(action), "");
  orch::v1::PuppetRun* run = action.mutable_puppet_run();
  EXPECT_EQ(ActionWords(action), "puppet.run");
  run->set_noop(true);
  run->set_environment("staging");
  run->add_tags("profile::base");
  run->add_tags("motd");
  run->mutable_wait_for_lock()->set_seconds(90);
  run->set_show_diff(true);
  EXPECT_EQ(ActionWords(action),
            "puppet.run --noop --tags profile::base,motd --environment staging --show-diff "
            "--wait-for-lock 90s");
  run->Clear();
  run->set_noop(false);
  EXPECT_EQ(ActionWords(action), "puppet.run --no-noop");
}

TEST(ActionWordsTest, TextCannotPassForAnotherArgument) {
  orch::v1::Action action;
  action.mutable_puppet_disable()->set_message("a \"b\"\n--force \xc3\xa4");
  EXPECT_EQ(ActionWords(action), "puppet.disable --message \"a \\\"b\\\"\\n--force \xc3\xa4\"");
}

TEST(ActionWordsTest, ExternalActionsToo) {
  orch::v1::Action action;
  action.mutable_external()->set_name("site.drain");
  auto* fields = action.mutable_external()->mutable_arguments()->mutable_fields();
  (*fields)["host"].set_string_value("web1");
  (*fields)["force"].set_bool_value(true);
  EXPECT_EQ(ActionWords(action), "site.drain force=true host=web1");
}

}  // namespace
}  // namespace orch::api
