// SPDX-License-Identifier: Apache-2.0
#include "cli/confirm.h"

#include <gtest/gtest.h>

#include <sstream>

#include "api/errors.h"

namespace orch::cli {
namespace {

bool Answered(const std::string& typed, std::string* shown = nullptr) {
  std::ostringstream out, err;
  Terminal terminal{out, err};
  std::istringstream in(typed);
  const bool yes = ConfirmCount(terminal, in, "puppet.run", 1284);
  EXPECT_EQ(out.str(), "");  // data goes there, questions do not
  if (shown != nullptr) *shown = err.str();
  return yes;
}

TEST(Confirm, OnlyTheExactNumberIsAYes) {
  std::string shown;
  EXPECT_TRUE(Answered("1284\n", &shown));
  EXPECT_EQ(
      shown,
      "puppet.run would go to 1284 nodes.\nType their number to go on; anything else stops: ");
  EXPECT_TRUE(Answered("  1284 \n"));
  for (const char* no : {"", "\n", "1284", "y\n", "yes\n", "1283\n", "12840\n", "01284\n",
                         "+1284\n", "1,284\n", "1284.0\n", "0x504\n", "\n1284\n", "1284 1284\n"}) {
    EXPECT_FALSE(Answered(no)) << no;
  }
  EXPECT_FALSE(Answered(std::string(1 << 20, '1') + "\n"));
  EXPECT_FALSE(Answered("1284" + std::string(1 << 20, ' ') + "5\n"));
}

TEST(Confirm, TheCountComesOutOfTheRefusal) {
  const absl::Status refusal =
      api::Precondition("CONFIRMATION_REQUIRED", "NODE_COUNT", "1284", "about 1284 nodes");
  EXPECT_EQ(CountToConfirm(refusal), 1284u);
  EXPECT_FALSE(CountToConfirm(api::Precondition("NODE_COUNT_NOT_CONFIRMED", "NODE_COUNT", "3", "x"))
                   .has_value());
  EXPECT_FALSE(
      CountToConfirm(api::Precondition("CONFIRMATION_REQUIRED", "OTHER", "3", "x")).has_value());
  EXPECT_FALSE(CountToConfirm(api::Precondition("CONFIRMATION_REQUIRED", "NODE_COUNT", "lots", "x"))
                   .has_value());
  EXPECT_FALSE(CountToConfirm(absl::OkStatus()).has_value());
}

TEST(Confirm, NobodyIsAskedWhoCannotAnswerOrForbadeIt) {
  std::ostringstream out, err;
  Session session{GlobalOptions(), Terminal{out, err}, nullptr};
  EXPECT_FALSE(MayAsk(session));
  session.terminal.can_ask = true;
  EXPECT_TRUE(MayAsk(session));
  session.options.no_input = true;
  EXPECT_FALSE(MayAsk(session));
  session.options.no_input = false;
  session.options.yes = true;
  EXPECT_FALSE(MayAsk(session));
}

}  // namespace
}  // namespace orch::cli
