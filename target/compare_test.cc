// SPDX-License-Identifier: Apache-2.0
#include "target/compare.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "target/parse.h"

namespace orch::target {
namespace {

using nlohmann::json;

// Compares fact `f` of this value as -F does: the operator and value follow the name.
Truth Compared(const json& value, const std::string& rest, size_t units = Work::kMax) {
  Budget budget;
  const absl::StatusOr<ExpressionPtr> fact = ParseFact(absl::StrCat("f", rest), &budget);
  EXPECT_TRUE(fact.ok()) << fact.status();
  Work work(units);
  return Compare(value, (*fact)->comparison, &work);
}

bool Is(const json& value, const std::string& rest) {
  return Compared(value, rest) == Truth::kTrue;
}

TEST(CompareTest, TextIsExact) {
  EXPECT_TRUE(Is("Debian", "=Debian"));
  EXPECT_FALSE(Is("Debian", "=debian"));
  EXPECT_FALSE(Is("1.10", "=1.1"));
  EXPECT_TRUE(Is("1.10", "!=1.1"));
  EXPECT_FALSE(Is("010", "=10"));
  EXPECT_TRUE(Is("", "="));
  EXPECT_TRUE(Is("\xC3\xBCn\xC3\xAF", "=\xC3\xBCn\xC3\xAF"));
  EXPECT_TRUE(Is("x=y", "=x=y"));
}

TEST(CompareTest, JsonNumbersEqualByValue) {
  EXPECT_TRUE(Is(1.1, "=1.10"));
  EXPECT_TRUE(Is(4, "=4.0"));
  EXPECT_FALSE(Is(4, "!=4.0"));
  EXPECT_FALSE(Is(4, "=four"));
  EXPECT_TRUE(Is(4, "!=four"));
  EXPECT_FALSE(Is(10, "=0xA"));
  EXPECT_TRUE(Is(8, "=010") == false);
  EXPECT_TRUE(Is(10, "=010"));
}

TEST(CompareTest, BooleansAreWords) {
  EXPECT_TRUE(Is(true, "=true"));
  EXPECT_FALSE(Is(true, "=1"));
  EXPECT_TRUE(Is(false, "!=true"));
  EXPECT_TRUE(Is(true, "=/^t/"));
}

TEST(CompareTest, OrdersByValueVersionOrText) {
  EXPECT_TRUE(Is("9", "<10"));
  EXPECT_TRUE(Is("0.5", "<=0.50"));
  EXPECT_TRUE(Is("-5", "<-4"));
  EXPECT_TRUE(Is("1.2.10", ">1.2.9"));
  EXPECT_TRUE(Is("1.10", "<1.9"));
  EXPECT_TRUE(Is("1.2.10", "<1.9"));  // a version and a number: byte order
  EXPECT_TRUE(Is("1.2.10", "<9"));
  EXPECT_TRUE(Is("10", "<9a"));
  EXPECT_TRUE(Is("1e3", "<5"));
  EXPECT_TRUE(Is("0x10", "<5"));
  EXPECT_TRUE(Is(12, ">9"));
  EXPECT_TRUE(Is("b", ">a"));
  EXPECT_TRUE(Is("\xC3\xBC", ">z"));
  EXPECT_TRUE(Is("", "<0"));
}

TEST(CompareTest, RegexesAreUnanchored) {
  EXPECT_TRUE(Is("production", "=/prod/"));
  EXPECT_TRUE(Is("production", "=~prod"));
  EXPECT_FALSE(Is("production", "=/^rod/"));
  EXPECT_FALSE(Is("Production", "=/prod/"));
  EXPECT_TRUE(Is("Production", "=/(?i)prod/"));
  EXPECT_TRUE(Is("web", "!~db"));
  EXPECT_FALSE(Is("db", "!=/db/"));
  EXPECT_TRUE(Is(42, "=/^4/"));
  EXPECT_TRUE(Is("", "=/^$/"));
  EXPECT_TRUE(Is("anything", "=~"));
}

TEST(CompareTest, ListsAreAnyElementMapsAnyKey) {
  const json disks = {"sda", "sdb"};
  EXPECT_TRUE(Is(disks, "=sdb"));
  EXPECT_FALSE(Is(disks, "=sdc"));
  EXPECT_TRUE(Is(disks, "!=sda"));
  EXPECT_FALSE(Is(json::array({"sda"}), "!=sda"));
  EXPECT_FALSE(Is(json::array(), "!=sda"));
  EXPECT_FALSE(Is(json::array({nullptr}), "!=sda"));
  EXPECT_TRUE(Is(json::array({json::array({7})}), "=7"));
  EXPECT_TRUE(Is({{"eth0", 1}, {"lo", 2}}, "=lo"));
  EXPECT_FALSE(Is({{"eth0", "x"}}, "=x"));
  EXPECT_FALSE(Is(nullptr, "!=x"));
}

TEST(CompareTest, DeepListsEnd) {
  json deep = "x";
  for (int i = 0; i < 100; ++i) deep = json::array({deep});
  EXPECT_FALSE(Is(deep, "=x"));
}

TEST(CompareTest, ComparingHasABudget) {
  const std::string text(1000, 'a');
  EXPECT_EQ(Compared(text, "=~b", 10), Truth::kUnknown);
  EXPECT_EQ(Compared(text, "=a", 10), Truth::kFalse);
  EXPECT_EQ(Compared(json::array({"b", text}), "=~b", 100), Truth::kTrue);
  EXPECT_EQ(Compared(json::array({"c", text}), "=~b", 100), Truth::kUnknown);
  EXPECT_EQ(Compared(json(std::vector<int>(1000, 1)), "=2", 1000), Truth::kUnknown);
  EXPECT_EQ(Compared(json(std::vector<std::string>(1000, "1")), "=2", 1000), Truth::kUnknown);
  EXPECT_EQ(Compared(std::string(1000, '1'), "<2", 100), Truth::kUnknown);
}

TEST(FindFactTest, FollowsPaths) {
  const json facts = json::parse(R"({
    "os": {"family": "Debian", "release": {"major": "12"}, "none": null},
    "disks": [{"name": "sda"}, {"name": "sdb"}],
    "a.b": 1, "a": {"b": 2, "b.c": 3, "x": {"y": 4}}, "a.x": {"z": 5},
    "mountpoints": {"/srv/v1.2": {"size": 6}}, "": 7, "null": null
  })");
  const auto at = [&facts](absl::string_view path) {
    Work work;
    const json* found = FindFact(facts, path, &work);
    EXPECT_FALSE(work.exhausted());
    return found == nullptr ? std::string("none") : found->dump();
  };
  EXPECT_EQ(at("os.family"), "\"Debian\"");
  EXPECT_EQ(at("os.release.major"), "\"12\"");
  EXPECT_EQ(at("disks.1.name"), "\"sdb\"");
  EXPECT_EQ(at("a.b"), "1");  // the flat key wins
  EXPECT_EQ(at("a.b.c"), "3");
  EXPECT_EQ(at("a.x.y"), "4");  // the flat a.x leads nowhere
  EXPECT_EQ(at("a.x.z"), "5");
  EXPECT_EQ(at("mountpoints./srv/v1.2.size"), "6");
  for (const char* path :
       {"os.nope", "os.family.x", "os.none", "null", "disks.2", "disks.x", "disks.-1", "disks.1.",
        "os.", ".os", "os..family", "", "disks.99999999999"}) {
    EXPECT_EQ(at(path), "none") << path;
  }
}

TEST(FindFactTest, HasABudget) {
  const json facts = {{"a", {{"b", 1}}}};
  Work work(20);
  EXPECT_EQ(FindFact(facts, "a.b", &work), nullptr);
  EXPECT_TRUE(work.exhausted());
}

}  // namespace
}  // namespace orch::target
