// SPDX-License-Identifier: Apache-2.0
// Whatever is thrown at the parser ends soon, with an answer or an error that says where.

#include <gtest/gtest.h>

#include <chrono>
#include <random>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "target/target.h"

namespace orch::target {
namespace {

// What a call may take on a loaded machine; alone it is a twentieth of that.
constexpr std::chrono::milliseconds kSoon(1000);

class Stopwatch {
 public:
  bool WasSoon() const { return std::chrono::steady_clock::now() - start_ < kSoon; }

 private:
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

absl::Status Compiled(const std::string& select) {
  orch::v1::Target proto;
  proto.add_select(select);
  return Target::Compile(proto).status();
}

TEST(HostileTest, AMegabyteIsRefusedAtOnce) {
  for (const char* unit : {"a", "(", "!", "not ", "a and ", "/", "\"", "\xFF", "a=/x/ or "}) {
    std::string text;
    while (text.size() < 1'000'000) text += unit;
    const Stopwatch watch;
    const absl::Status status = Compiled(text);
    EXPECT_TRUE(watch.WasSoon()) << unit;
    EXPECT_TRUE(absl::StrContains(status.message(), "longer than 4096 bytes")) << status;
    orch::v1::Target proto;
    proto.add_facts(text);
    EXPECT_FALSE(Target::Compile(proto).ok());
    proto.Clear();
    proto.add_classes(text);
    EXPECT_FALSE(Target::Compile(proto).ok());
  }
}

TEST(HostileTest, RegexBombsAreAnsweredOrRefusedSoon) {
  const std::vector<std::string> bombs = {"((a{0,100}){0,100}){0,100}",
                                          "(((((x{10}){10}){10}){10}){10}){10}",
                                          "\\pL{900}",
                                          "(\\pL\\pN\\pM){300}",
                                          "(a*)*(a*)*(a*)*b",
                                          "(a|aa)+$",
                                          "(.*.*.*.*.*.*.*)*x",
                                          "[a-z]{1000}{1000}",
                                          "(a|b)*a(a|b){500}",
                                          std::string(3000, '('),
                                          std::string(3000, '['),
                                          std::string(2000, '*'),
                                          "x{1000}{1000}{1000}"};
  for (const std::string& bomb : bombs) {
    const Stopwatch watch;
    NodeData node;
    node.facts_value = {{"f", std::string(4000, 'a')}};
    orch::v1::Target proto;
    proto.add_facts(absl::StrCat("f=~", bomb));
    const absl::StatusOr<Target> target = Target::Compile(proto);
    if (target.ok()) target->Evaluate(node);
    EXPECT_TRUE(watch.WasSoon()) << bomb;
    if (!target.ok()) {
      EXPECT_TRUE(absl::StrContains(target.status().message(), "column")) << target.status();
    }
  }
}

TEST(HostileTest, ManyLargeRegexesAreRefusedTogether) {
  orch::v1::Target proto;
  for (int i = 0; i < 200; ++i) proto.add_facts("f=~[a-z\xC3\xA0-\xC3\xBF]{400}");
  const Stopwatch watch;
  const absl::Status status = Target::Compile(proto).status();
  EXPECT_TRUE(watch.WasSoon());
  EXPECT_TRUE(absl::StrContains(status.message(), "too large together")) << status;
}

TEST(HostileTest, AHugeFactCostsTheAnswerNotTheTime) {
  NodeData node;
  node.facts_value = {{"f", std::string(4 << 20, 'a')}, {"g", std::string(1 << 20, 'a')}};
  orch::v1::Target proto;
  proto.add_select("f=/(a|b)*a(a|b){30}c/ or g=/x/");
  const absl::StatusOr<Target> target = Target::Compile(proto);
  ASSERT_TRUE(target.ok());
  const Stopwatch watch;
  const Match match = target->Evaluate(node);
  EXPECT_TRUE(watch.WasSoon());
  EXPECT_EQ(match.truth, Truth::kFalse);
  EXPECT_EQ(match.why, "matching f with /(a|b)*a(a|b){30}c/ takes too long");
  proto.Clear();
  proto.add_facts("g=~b$");
  EXPECT_EQ(Target::Compile(proto)->Evaluate(node).truth, Truth::kFalse);
  EXPECT_FALSE(absl::StrContains(Target::Compile(proto)->Evaluate(node).why, "too long"));
}

TEST(HostileTest, DeepFactsAndPathsEnd) {
  nlohmann::json deep = 1;
  for (int i = 0; i < 500; ++i) deep = nlohmann::json{{"a", deep}};
  NodeData node;
  node.facts_value = deep;
  const std::vector<std::string> path(500, "a");
  orch::v1::Target proto;
  proto.add_facts(absl::StrCat(absl::StrJoin(path, "."), "=1"));
  const Stopwatch watch;
  EXPECT_EQ(Target::Compile(proto)->Evaluate(node).truth, Truth::kTrue);
  EXPECT_TRUE(watch.WasSoon());
}

// Random bytes, and random pieces of the language: no crash, and each error names its column.
TEST(HostileTest, RandomInputIsParsedOrRefused) {
  std::mt19937 random(99);
  const std::vector<std::string> pieces = {"(",
                                           ")",
                                           " ",
                                           "and",
                                           "or",
                                           "not",
                                           "!",
                                           "=",
                                           "<",
                                           ">",
                                           "~",
                                           "/",
                                           "\"",
                                           "'",
                                           "\\",
                                           "a",
                                           "role",
                                           ".",
                                           "/re/",
                                           "\"q\"",
                                           "foo('x').y",
                                           "=~",
                                           "\xC3\xBC",
                                           "\xC3",
                                           "\n",
                                           "[",
                                           "*",
                                           "{9}",
                                           std::string(1, '\0')};
  const NodeData node;
  int accepted = 0;
  for (int round = 0; round < 30'000; ++round) {
    std::string text;
    const int length = static_cast<int>(random() % 24);
    for (int i = 0; i < length; ++i) {
      text += round % 3 == 0 ? std::string(1, static_cast<char>(random()))
                             : pieces[random() % pieces.size()];
    }
    orch::v1::Target proto;
    (round % 5 == 0   ? proto.add_facts()
     : round % 7 == 0 ? proto.add_classes()
                      : proto.add_select())
        ->assign(text);
    const absl::StatusOr<Target> target = Target::Compile(proto);
    if (!target.ok()) {
      ASSERT_TRUE(absl::StrContains(target.status().message(), ": column ")) << target.status();
      continue;
    }
    ++accepted;
    ASSERT_EQ(target->clause_count(), 1u);
    ASSERT_NE(target->ClauseWords(0), "");
    ASSERT_NE(target->Print(), "");
    // Only the calls among the pieces can be left open.
    const bool open = target->Evaluate(node).truth == Truth::kUnknown;
    ASSERT_TRUE(!open || absl::StrContains(text, "foo(")) << text;
  }
  EXPECT_GT(accepted, 100);
}

}  // namespace
}  // namespace orch::target
