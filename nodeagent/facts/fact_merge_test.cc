// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/facts/fact_merge.h"

#include <gtest/gtest.h>

#include "nodeagent/facts/volatile_facts.h"

namespace orch::nodeagent {
namespace {

using Json = nlohmann::json;

FactsText Text(const std::string& text) { return std::make_shared<const std::string>(text); }

MergePiece Piece(const std::string& name, const std::string& fresh, const std::string& good = "",
                 const std::string& below = "") {
  MergePiece piece;
  piece.name = name;
  piece.below = below;
  if (!fresh.empty()) piece.fresh = Text(fresh);
  if (!good.empty()) piece.good = Text(good);
  return piece;
}

MergeOrder Order(std::vector<MergePiece> pieces, size_t max = 1 << 20) {
  return {std::move(pieces), max, {}};
}

TEST(FactMerge, TheLaterOneWinsWholly) {
  const Merged merged = Merge(Order({Piece("a", R"({"x":{"y":1,"z":2},"k":1})"),
                                     Piece("b", R"({"x":{"y":3}})"), Piece("c", "{}")}));
  EXPECT_EQ(merged.text, R"({"k":1,"x":{"y":3}})");
  EXPECT_EQ(merged.facts, Json::parse(merged.text));
  EXPECT_EQ(merged.names.at("k"), "a");
  EXPECT_EQ(merged.names.at("x"), "b");
  EXPECT_EQ(merged.digest.size(), 32u);
  EXPECT_EQ(Merge(Order({})).text, "{}");
}

TEST(FactMerge, BelowKeepsSourcesApart) {
  const Merged merged = Merge(Order({Piece("facter", R"({"os":{"family":"Debian"}})"),
                                     Piece("ohai", R"({"os":"linux","uptime":1})", "", "chef"),
                                     Piece("more", R"({"role":"web"})", "", "chef")}));
  EXPECT_EQ(merged.text,
            R"({"chef":{"os":"linux","role":"web","uptime":1},"os":{"family":"Debian"}})");
  const Merged later = Merge(Order({Piece("facter", R"({"os":{"family":"Debian"}})"),
                                    Piece("ohai", R"({"os":"linux","uptime":2})", "", "chef"),
                                    Piece("more", R"({"role":"web"})", "", "chef")}));
  EXPECT_EQ(merged.digest, later.digest) << "volatile facts are so below a name too";
}

TEST(FactMerge, FreshReplacesGood) {
  const MergeOrder order =
      Order({Piece("a", R"({"x":2})", R"({"x":1})"), Piece("b", "", "{\"y\":1}"), Piece("c", "")});
  const Merged merged = Merge(order);
  EXPECT_EQ(merged.text, R"({"x":2,"y":1})");
  EXPECT_EQ(merged.taken[0], order.pieces[0].fresh);
  EXPECT_EQ(merged.taken[1], order.pieces[1].good);
  EXPECT_EQ(merged.taken[2], nullptr);
}

TEST(FactMerge, WhatDoesNotFitIsNamedAndTheRestGoesOn) {
  const std::string large = R"({"big":")" + std::string(900, 'x') + "\"}";
  const MergeOrder order =
      Order({Piece("a", R"({"x":")" + std::string(500, 'y') + "\"}"),
             Piece("b", large, R"({"big":"small"})"), Piece("c", R"({"z":1})")},
            1000);
  const Merged merged = Merge(order);
  EXPECT_EQ(merged.facts.at("big"), "small");
  EXPECT_EQ(merged.facts.at("z"), 1);
  EXPECT_EQ(merged.taken[1], order.pieces[1].good);
  EXPECT_EQ(merged.refused[0], "");
  EXPECT_EQ(merged.refused[1],
            "910 bytes of facts: with the 508 of what comes before them more than the 1,000 that "
            "are permitted");
  EXPECT_EQ(merged.refused[2], "");
}

TEST(FactMerge, TheBoundIsExact) {
  const std::string text = R"({"a":1,"b":"x"})";
  EXPECT_EQ(Merge(Order({Piece("a", text)}, text.size())).text, text);
  EXPECT_EQ(Merge(Order({Piece("a", text)}, text.size() - 1)).text, "{}");
  // What is replaced makes room.
  EXPECT_EQ(Merge(Order({Piece("a", text), Piece("b", R"({"b":"y"})")}, text.size())).text,
            R"({"a":1,"b":"y"})");
}

TEST(FactMerge, ClassesAreJoined) {
  MergePiece one = Piece("classes.txt", R"(["nginx","settings"])");
  MergePiece two = Piece("more", R"(["apt","nginx"])");
  one.classes = two.classes = true;
  const Merged merged = Merge(Order({one, two}));
  EXPECT_EQ(merged.classes, (std::vector<std::string>{"apt", "nginx", "settings"}));
  EXPECT_EQ(merged.text, "{}");
  EXPECT_NE(merged.digest, Merge(Order({one})).digest);
}

TEST(FactMerge, OnlyLastingFactsAreNews) {
  MergeOrder order =
      Order({Piece("a", R"({"uptime":1,"memory":{"free":1,"total":9},"mine":{"n":1}})")});
  const std::string digest = Merge(order).digest;
  order.pieces[0].fresh = Text(R"({"uptime":2,"memory":{"free":7,"total":9},"mine":{"n":1}})");
  EXPECT_EQ(Merge(order).digest, digest);
  order.pieces[0].fresh = Text(R"({"uptime":1,"memory":{"free":1,"total":9},"mine":{"n":2}})");
  EXPECT_NE(Merge(order).digest, digest);
  order.volatile_facts = {"mine.n"};
  const std::string less = Merge(order).digest;
  order.pieces[0].fresh = Text(R"({"uptime":1,"memory":{"free":1,"total":9},"mine":{"n":3}})");
  EXPECT_EQ(Merge(order).digest, less);
}

TEST(Volatile, PatternsRemove) {
  Json facts = {{"memory", {{"system", {{"used", 1}, {"total", 2}}}, {"free", 3}, {"total", 4}}},
                {"uptime", "x"},
                {"filesystem", {{"by_mountpoint", {{"/a.b", {{"kb_used", 1}, {"fs", "ext4"}}}}}}},
                {"os", "linux"}};
  for (const std::string& pattern : DefaultVolatileFacts()) RemoveFact(&facts, pattern);
  EXPECT_EQ(facts, Json({{"memory", {{"system", {{"total", 2}}}, {"total", 4}}},
                         {"filesystem", {{"by_mountpoint", {{"/a.b", {{"fs", "ext4"}}}}}}},
                         {"os", "linux"}}));
  RemoveFact(&facts, "filesystem.*");
  EXPECT_EQ(facts.at("filesystem"), Json::object());
  RemoveFact(&facts, "os.family.x");
  EXPECT_EQ(facts.at("os"), "linux");
}

}  // namespace
}  // namespace orch::nodeagent
