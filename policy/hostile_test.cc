// SPDX-License-Identifier: Apache-2.0
// Damaged policy files are read or refused, never more; and a damaged file never lets in who was
// let in by nothing.

#include <gtest/gtest.h>

#include <random>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "policy/action_policy.h"
#include "policy/lint.h"
#include "policy/policy.h"

namespace orch::policy {
namespace {

constexpr int kRounds = 5'000;

constexpr char kNative[] = R"(groups:
  ops: [cert=operator, senior]
  senior: [cert=chief]
rules:
  - effect: deny
    callers: [ops]
    actions: [puppet.run]
    where: environment=frozen and not (role=/web|db/ or apache)
  - {effect: allow, callers: [ops, cert=x], actions: [puppet.*], max_nodes: 5, arguments: {noop: required}}
)";

constexpr char kAgent[] =
    "policy default deny\n# comment\nallow\tcert=operator ops\trunonce status\trole=web "
    "os=Debian\tapache /^r/\n"
    "deny\t/cert=.*x/\t*\t(a=b or c>=4) and !d\nallow\tops\t*\t*\t*\n";

// Some bytes replaced, removed, doubled or put elsewhere.
std::string Damaged(const std::string& text, std::mt19937* random) {
  static constexpr char kBytes[] = "\t\n :-[]{}'\"&*!|>%@`#/()=\\,?~.a0\xC3\xBC\xFF";
  std::string out = text;
  for (int i = static_cast<int>((*random)() % 6); i >= 0 && !out.empty(); --i) {
    const size_t at = (*random)() % out.size();
    switch ((*random)() % 4) {
      case 0:
        out[at] = kBytes[(*random)() % (sizeof kBytes - 1)];
        break;
      case 1:
        out.erase(at, (*random)() % 20);
        break;
      case 2:
        out.insert(at, out.substr((*random)() % out.size(), (*random)() % 40));
        break;
      default:
        out.insert(at, 1, static_cast<char>((*random)()));
    }
  }
  return out;
}

bool MayGuest(const Policy& policy) {
  Query query;
  query.caller = "cert=nobody-at-all";
  query.action = "puppet.run";
  return !policy.Decide(query).denied_outright();
}

TEST(HostileTest, DamagedNativeFiles) {
  std::mt19937 random(5);
  int read = 0;
  for (int round = 0; round < kRounds; ++round) {
    const std::string text = Damaged(kNative, &random);
    const auto policy = Policy::ParseNative(text, "policy.yaml");
    if (!policy.ok()) {
      ASSERT_TRUE(absl::StartsWith(policy.status().message(), "policy.yaml:")) << policy.status();
      continue;
    }
    ++read;
    ASSERT_TRUE(!MayGuest(**policy) || absl::StrContains(text, "*")) << text;
  }
  EXPECT_GT(read, kRounds / 100);
}

TEST(HostileTest, DamagedActionPolicies) {
  std::mt19937 random(6);
  int read = 0;
  for (int round = 0; round < kRounds; ++round) {
    const ActionPolicyFiles files = {
        {"puppet.policy", Damaged(kAgent, &random)},
        {"groups", Damaged("ops cert=operator jwt=ci\nempty\n", &random)}};
    const auto policy = ParseActionPolicy(files, ActionNames::kMapped);
    bool refused = false;
    for (const Finding& finding : LintActionPolicy(files)) refused = refused || finding.refused;
    ASSERT_EQ(refused, !policy.ok()) << files.at("puppet.policy") << "\n"
                                     << files.at("groups") << policy.status();
    read += policy.ok();
  }
  EXPECT_GT(read, kRounds / 100);
}

TEST(HostileTest, RandomBytes) {
  std::mt19937 random(7);
  for (int round = 0; round < kRounds; ++round) {
    std::string text;
    for (int i = static_cast<int>(random() % 60); i > 0; --i)
      text.push_back(static_cast<char>(random()));
    const auto native = Policy::ParseNative(text, "p");
    ASSERT_FALSE(native.ok() && MayGuest(**native)) << text;
    const auto agent =
        ParseActionPolicy({{"puppet.policy", text}, {"groups", text}}, ActionNames::kMapped);
    ASSERT_FALSE(agent.ok() && MayGuest(**agent)) << text;
  }
}

}  // namespace
}  // namespace orch::policy
