// SPDX-License-Identifier: Apache-2.0
#include "bus/check/check_cases.h"

#include <gtest/gtest.h>

#include <set>

#include "absl/strings/match.h"

namespace orch::bus {
namespace {

CheckNames Names(Flavour flavour) {
  CheckNames names;
  names.flavour = flavour;
  names.node = "web1.example.net";
  names.controller = "controller";
  return names;
}

// The expectation of one row; the test fails if there is no such row.
CheckExpectation Of(const std::vector<CheckCase>& cases, CheckVerb verb,
                    const std::string& destination) {
  for (const CheckCase& each : cases) {
    if (each.row.verb() == verb && each.row.destination() == destination) {
      return each.row.expected();
    }
  }
  ADD_FAILURE() << VerbWord(verb) << " " << destination << " is not tried";
  return CHECK_EXPECTATION_UNSPECIFIED;
}

constexpr CheckVerb kHear = CHECK_VERB_SUBSCRIBE, kSay = CHECK_VERB_SEND;
constexpr CheckExpectation kYes = CHECK_EXPECTATION_ALLOWED, kNo = CHECK_EXPECTATION_REFUSED,
                           kGroup = CHECK_EXPECTATION_GROUP;

TEST(CheckCasesTest, ANodeMayHearRequestsAndSayRepliesAndPresence) {
  const auto cases = CheckCasesOf(CHECK_ROLE_NODE, Names(FLAVOUR_EMBEDDED));
  EXPECT_EQ(Of(cases, CHECK_VERB_CONNECT, ""), kYes);
  EXPECT_EQ(Of(cases, kHear, "/topic/orch.main.request"), kYes);
  EXPECT_EQ(Of(cases, kHear, "/topic/orch.main.node.web1.example.net"), kYes);
  EXPECT_EQ(Of(cases, kSay, "/queue/orch.main.reply.controller"), kYes);
  EXPECT_EQ(Of(cases, kSay, "/topic/orch.main.presence"), kYes);
  std::set<std::string> allowed;
  for (const CheckCase& each : cases) {
    if (each.row.expected() == kYes && each.row.verb() != CHECK_VERB_CONNECT) {
      allowed.insert(VerbWord(each.row.verb()) + each.row.destination());
    }
  }
  EXPECT_EQ(allowed.size(), 4u);
  EXPECT_EQ(Of(cases, kHear, "/topic/orch.main.node.orch-check-other"), kNo);
  EXPECT_EQ(Of(cases, kHear, "/queue/orch.main.reply.controller"), kNo);
  EXPECT_EQ(Of(cases, kSay, "/topic/orch.main.request"), kNo);
  EXPECT_EQ(Of(cases, kSay, "/topic/orch.main.node.web1.example.net"), kNo);
  EXPECT_EQ(Of(cases, kHear, "/topic/>"), kNo);
  EXPECT_EQ(Of(cases, kHear, "/topic/orchx.main.request"), kNo);
}

TEST(CheckCasesTest, AControllerMaySayRequestsAndHearRepliesAndPresence) {
  const auto cases = CheckCasesOf(CHECK_ROLE_CONTROLLER, Names(FLAVOUR_RABBITMQ));
  EXPECT_EQ(Of(cases, kSay, "/exchange/orch.cmd/main.request"), kYes);
  EXPECT_EQ(Of(cases, kSay, "/exchange/orch.cmd/main.node.web1.example.net"), kYes);
  EXPECT_EQ(Of(cases, kHear, "/exchange/orch.rep/main.reply.controller"), kYes);
  EXPECT_EQ(Of(cases, kHear, "/exchange/orch.rep/main.reply.orch-check-other"), kNo);
  EXPECT_EQ(Of(cases, kSay, "/exchange/orch.rep/main.presence"), kNo);
  EXPECT_EQ(Of(cases, kHear, "/exchange/orch.rep/#"), kNo);
  EXPECT_EQ(Of(cases, kHear, "/exchange/amq.topic/#"), kNo);
}

TEST(CheckCasesTest, NobodyIsGuestAtARabbitMq) {
  for (const CheckRole role : {CHECK_ROLE_NODE, CHECK_ROLE_CONTROLLER}) {
    for (const Flavour flavour : {FLAVOUR_EMBEDDED, FLAVOUR_RABBITMQ}) {
      int guests = 0;
      for (const CheckCase& each : CheckCasesOf(role, Names(flavour))) {
        if (each.login != "guest") continue;
        ++guests;
        EXPECT_EQ(each.row.verb(), CHECK_VERB_CONNECT);
        EXPECT_EQ(each.row.expected(), kNo);
      }
      EXPECT_EQ(guests, flavour == FLAVOUR_RABBITMQ ? 1 : 0);
    }
  }
}

TEST(CheckCasesTest, WhatABrokerGrantsByGroupSaysSoAndIsNoSurprise) {
  for (const CheckRole role : {CHECK_ROLE_NODE, CHECK_ROLE_CONTROLLER}) {
    for (const Flavour flavour : {FLAVOUR_EMBEDDED, FLAVOUR_ACTIVEMQ, FLAVOUR_RABBITMQ}) {
      for (const CheckCase& each : CheckCasesOf(role, Names(flavour))) {
        // Others may have a note, these must.
        if (each.row.expected() == kGroup) {
          EXPECT_FALSE(each.row.note().empty()) << each.row.DebugString();
        }
      }
    }
  }
  const auto cases = CheckCasesOf(CHECK_ROLE_NODE, Names(FLAVOUR_ACTIVEMQ));
  EXPECT_EQ(Of(cases, kHear, "/topic/orch.main.node.orch-check-other"), kGroup);
  EXPECT_EQ(Of(cases, kSay, "/topic/orch.main.node.orch-check-other"), kNo);
}

TEST(CheckCasesTest, AnotherCollectiveIsForbiddenOnlyWhereItIsNamed) {
  CheckNames names = Names(FLAVOUR_EMBEDDED);
  EXPECT_EQ(Of(CheckCasesOf(CHECK_ROLE_NODE, names), kHear, "/topic/orch.orch-check-other.request"),
            kGroup);
  names.other_collective = "dmz";
  const auto cases = CheckCasesOf(CHECK_ROLE_NODE, names);
  EXPECT_EQ(Of(cases, kHear, "/topic/orch.dmz.request"), kNo);
  EXPECT_EQ(Of(cases, kSay, "/topic/orch.dmz.presence"), kNo);
  EXPECT_EQ(Of(cases, kSay, "/topic/orch.dmz.request"), kNo);
}

TEST(CheckCasesTest, AStrangerMayNothing) {
  for (const CheckCase& each : CheckCasesOf(CHECK_ROLE_STRANGER, Names(FLAVOUR_ACTIVEMQ))) {
    EXPECT_EQ(each.row.expected(), kNo) << each.row.DebugString();
  }
}

TEST(CheckCasesTest, EveryCaseIsTriedOnce) {
  for (const Flavour flavour : {FLAVOUR_EMBEDDED, FLAVOUR_ACTIVEMQ, FLAVOUR_RABBITMQ}) {
    std::set<std::string> seen;
    for (const CheckRole role : {CHECK_ROLE_NODE, CHECK_ROLE_CONTROLLER, CHECK_ROLE_STRANGER}) {
      for (const CheckCase& each : CheckCasesOf(role, Names(flavour))) {
        EXPECT_TRUE(seen.insert(RoleWord(role) + VerbWord(each.row.verb()) +
                                each.row.destination() + each.row.what())
                        .second)
            << each.row.DebugString();
        EXPECT_FALSE(each.row.what().empty() && each.row.verb() != CHECK_VERB_CONNECT);
      }
    }
  }
}

TEST(CheckCasesTest, WhatComesThroughCountsMoreThanWhatTheBrokerSays) {
  const std::optional<bool> came(true), not_came(false), unseen;
  EXPECT_EQ(Conclude(CheckAnswer::kReceipt, unseen), CHECK_FINDING_ALLOWED);
  EXPECT_EQ(Conclude(CheckAnswer::kReceipt, came), CHECK_FINDING_ALLOWED);
  EXPECT_EQ(Conclude(CheckAnswer::kReceipt, not_came), CHECK_FINDING_DROPPED);
  EXPECT_EQ(Conclude(CheckAnswer::kError, unseen), CHECK_FINDING_REFUSED);
  EXPECT_EQ(Conclude(CheckAnswer::kError, not_came), CHECK_FINDING_REFUSED);
  EXPECT_EQ(Conclude(CheckAnswer::kError, came), CHECK_FINDING_ALLOWED);
  EXPECT_EQ(Conclude(CheckAnswer::kClosed, unseen), CHECK_FINDING_REFUSED);
  EXPECT_EQ(Conclude(CheckAnswer::kClosed, came), CHECK_FINDING_ALLOWED);
  EXPECT_EQ(Conclude(CheckAnswer::kNothing, unseen), CHECK_FINDING_UNANSWERED);
  EXPECT_EQ(Conclude(CheckAnswer::kNothing, not_came), CHECK_FINDING_DROPPED);
}

TEST(CheckCasesTest, SurprisesAreWhatDoesNotFit) {
  EXPECT_FALSE(IsSurprise(kYes, CHECK_FINDING_ALLOWED));
  EXPECT_TRUE(IsSurprise(kYes, CHECK_FINDING_REFUSED));
  EXPECT_TRUE(IsSurprise(kYes, CHECK_FINDING_DROPPED));
  EXPECT_TRUE(IsSurprise(kYes, CHECK_FINDING_UNANSWERED));
  EXPECT_TRUE(IsSurprise(kNo, CHECK_FINDING_ALLOWED));
  EXPECT_FALSE(IsSurprise(kNo, CHECK_FINDING_REFUSED));
  EXPECT_FALSE(IsSurprise(kNo, CHECK_FINDING_DROPPED));
  EXPECT_TRUE(IsSurprise(kNo, CHECK_FINDING_UNANSWERED));
  EXPECT_FALSE(IsSurprise(kGroup, CHECK_FINDING_ALLOWED));
  EXPECT_FALSE(IsSurprise(kGroup, CHECK_FINDING_REFUSED));
  EXPECT_TRUE(IsSurprise(kGroup, CHECK_FINDING_UNANSWERED));
  EXPECT_TRUE(IsSurprise(CHECK_EXPECTATION_UNSPECIFIED, CHECK_FINDING_ALLOWED));
}

TEST(CheckCasesTest, TheTableNamesTheSurpriseAndTheBrokersWords) {
  BrokerCheck check;
  const auto cases = CheckCasesOf(CHECK_ROLE_NODE, Names(FLAVOUR_ACTIVEMQ));
  *check.add_rows() = Judge(cases[1], CHECK_FINDING_REFUSED, "not authorized to read");
  const std::string table = CheckTable(check);
  EXPECT_TRUE(absl::StrContains(table, "ROLE  VERB       DESTINATION")) << table;
  EXPECT_TRUE(absl::StrContains(table, "SURPRISE  not authorized to read\n")) << table;
}

}  // namespace
}  // namespace orch::bus
