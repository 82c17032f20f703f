// SPDX-License-Identifier: Apache-2.0
// Every hostile target and every hostile fact costs an answer or a clear error within 50 ms of
// processor time, in the optimised build; prints what each took.

#include <gtest/gtest.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "target/target.h"

namespace orch::target {
namespace {

using nlohmann::json;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
constexpr double kSoonMs = 2000;
#else
constexpr double kSoonMs = 50;
#endif
constexpr size_t kMegabyte = 1 << 20;

double CpuMs() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

std::string Repeat(const std::string& unit, size_t bytes) {
  std::string out;
  while (out.size() + unit.size() <= bytes) out += unit;
  return out;
}

std::string Nested(const std::string& open, const std::string& inner, const std::string& close,
                   int levels) {
  std::string out = inner;
  for (int i = 0; i < levels; ++i) out = absl::StrCat(open, out, close);
  return out;
}

orch::v1::Target Selecting(const std::string& expression) {
  orch::v1::Target out;
  out.add_select(expression);
  return out;
}
orch::v1::Target WithFacts(const std::string& fact, int times = 1) {
  orch::v1::Target out;
  for (int i = 0; i < times; ++i) out.add_facts(fact);
  return out;
}

// Compiling and, if it compiles, evaluating, explaining and printing, each by itself.
void Measure(const std::string& name, const orch::v1::Target& proto,
             const NodeData& node = NodeData()) {
  double start = CpuMs();
  const absl::StatusOr<Target> target = Target::Compile(proto);
  const double compiled = CpuMs() - start;
  double evaluated = 0, explained = 0;
  std::string came_to = std::string(target.status().message());
  if (target.ok()) {
    start = CpuMs();
    const Match match = target->Evaluate(node);
    evaluated = CpuMs() - start;
    came_to = match.truth == Truth::kTrue ? "true" : match.why;
    start = CpuMs();
    for (size_t i = 0; i < std::min<size_t>(target->clause_count(), 1); ++i) {
      (void)target->ClauseWords(i);
      (void)target->ObserveClause(i, node);
    }
    (void)target->Print();
    explained = CpuMs() - start;
  }
  EXPECT_LT(compiled, kSoonMs) << name;
  EXPECT_LT(evaluated, kSoonMs) << name;
  EXPECT_LT(explained, kSoonMs) << name;
  EXPECT_NE(came_to, "") << name << ": neither an answer nor an error";
  std::printf("%-34s compile %6.2f ms  evaluate %6.2f ms  explain %6.2f ms  %.60s\n", name.c_str(),
              compiled, evaluated, explained, came_to.c_str());
}

TEST(TargetTimesTest, AMegabyteOfInput) {
  for (const char* unit : {"a", "(", "!", "not ", "a and ", "/", "\"", "\\", "\xFF", "a=/x/ or ",
                           "puppet().enabled=true and ", "\xC3\xBC"}) {
    const std::string text = Repeat(unit, kMegabyte);
    Measure(absl::StrCat("-S 1 MiB of ", unit), Selecting(text));
    Measure(absl::StrCat("-F 1 MiB of ", unit), WithFacts(text));
    orch::v1::Target proto;
    proto.add_classes(text);
    Measure(absl::StrCat("-C 1 MiB of ", unit), proto);
    proto.Clear();
    proto.add_identities(absl::StrCat("/", text, "/"));
    Measure(absl::StrCat("-I 1 MiB of ", unit), proto);
  }
  orch::v1::Target proto;
  for (int i = 0; i < 100'000; ++i) proto.add_identities(absl::StrCat("node", i, ".example"));
  Measure("-I 100,000 names", proto);
}

TEST(TargetTimesTest, NestingAndTerms) {
  Measure("64 parentheses", Selecting(Nested("(", "a", ")", 64)));
  Measure("65 parentheses", Selecting(Nested("(", "a", ")", 65)));
  Measure("64 negations", Selecting(Nested("!", "a", "", 64)));
  Measure("2,000 negations", Selecting(Nested("!", "a", "", 2000)));
  Measure("2,000 parentheses, never closed", Selecting(std::string(2000, '(')));
  Measure("256 terms", Selecting(absl::StrCat(Repeat("a=1 or ", 255 * 7), "a=1")));
  Measure("257 terms", Selecting(absl::StrCat(Repeat("a=1 or ", 256 * 7), "a=1")));
  Measure("256 calls", Selecting(absl::StrCat(Repeat("puppet().a=1 or ", 4000), "a=1")));
  Measure("a word of 4 KiB", Selecting(std::string(4096, 'w')));
  Measure("a number of 4 KiB", WithFacts(absl::StrCat("f<", std::string(4000, '9'))));
}

TEST(TargetTimesTest, RegularExpressions) {
  NodeData node;
  node.facts_value = {
      {"f", Repeat("ab", kMegabyte)}, {"short", Repeat("ab", 4000)}, {"random", json::array()}};
  uint32_t state = 1;
  std::string noise;
  for (size_t i = 0; i < kMegabyte; ++i) {
    state = state * 1664525 + 1013904223;
    noise.push_back("ab"[state >> 31]);
  }
  node.facts_value["random"] = noise;
  const std::vector<std::string> patterns = {"(a{1000}){1000}",
                                             "(a{30}){30}",
                                             "((a{0,100}){0,100}){0,100}",
                                             "(x+x+)+y",
                                             "(a*)*(a*)*b",
                                             "(a|b)*a(a|b){20}c",
                                             "(a|b)*a(a|b){500}c",
                                             "(a|b)*a(a|b){6}c",
                                             ".*.*.*.*.*.*.*.*=",
                                             Repeat(".*", 4000) + "=",
                                             "(.*){1000}=",
                                             "[a-z]{1000}",
                                             ".{1000}",
                                             Repeat("a?", 2000),
                                             Repeat("\\pL", 4000),
                                             "[" + Repeat("\\pL\\pN", 3900) + "]",
                                             Repeat("\\PL|", 4000),
                                             Repeat("(?i)\\pL{0}", 4000),
                                             Repeat("(?:x{0,999}){0}", 4000),
                                             Repeat("x{999}", 4000),
                                             Nested("(", "a", ")", 1000),
                                             Nested("(", "a", ")*", 900),
                                             std::string(4000, '('),
                                             std::string(4000, '['),
                                             std::string(4000, '*'),
                                             std::string(4000, '\\'),
                                             Repeat("a|", 4000),
                                             Repeat("(?i)k", 4000),
                                             Repeat("[^a]", 4000),
                                             "c$",
                                             "^a",
                                             "c"};
  for (const std::string& pattern : patterns) {
    for (const char* fact : {"f", "short", "random"}) {
      Measure(absl::StrCat(fact, "=~", pattern.substr(0, 24)),
              WithFacts(absl::StrCat(fact, "=~", pattern)), node);
    }
    Measure(absl::StrCat("256 x ", pattern.substr(0, 24)),
            WithFacts(absl::StrCat("short=~", pattern), 256), node);
  }
}

TEST(TargetTimesTest, HostileFacts) {
  NodeData node;
  json& facts = node.facts_value;
  facts["digits"] = std::string(kMegabyte, '9');
  facts["numbers"] = json(std::vector<int>(kMegabyte / 2, 1));
  facts["texts"] = json(std::vector<std::string>(kMegabyte / 4, "1"));
  facts["fractions"] = json(std::vector<double>(kMegabyte / 8, 1e-300));
  facts["map"] = json::object();
  for (int i = 0; i < 100'000; ++i) facts["map"][absl::StrCat("k", i)] = i;
  facts["odd"] = std::string("\0\xFF\xC3", 3);
  json deep = 1;
  for (int i = 0; i < 1000; ++i) deep = json{{"a", deep}};
  facts["deep"] = deep;
  json lists = 1;
  for (int i = 0; i < 1000; ++i) lists = json::array({lists, 1});
  facts["lists"] = lists;
  // Every prefix of the path is a key: each step can go on in many ways.
  json steps = json::object();
  for (int level = 0; level < 12; ++level) {
    json next = json::object();
    for (int keys = 1; keys <= 2; ++keys) {
      next[keys == 1 ? "a" : "a.a"] = steps;
    }
    steps = std::move(next);
  }
  facts["steps"] = steps;
  std::string prefix = "p";
  while (prefix.size() < 4000) {
    prefix += ".p";
    facts[prefix] = json::object();
  }
  for (const char* fact :
       {"digits<1", "digits=9", "digits=~9", "numbers=2", "numbers>2", "numbers=~2", "texts=2",
        "texts>2", "texts=~2", "fractions=2", "fractions<0", "fractions=~x", "map=x", "map=~x",
        "map<a", "odd=x", "odd=~x", "lists=2"}) {
    Measure(fact, WithFacts(fact), node);
    Measure(absl::StrCat("256 x ", fact), WithFacts(fact, 256), node);
  }
  const std::vector<std::string> paths = {absl::StrCat("deep", Repeat(".a", 2000), "=1"),
                                          absl::StrCat("steps", Repeat(".a", 4000), ".b=1"),
                                          absl::StrCat("p", Repeat(".p", 4000), "=1"),
                                          absl::StrCat(std::string(4000, '.'), "=1")};
  for (const std::string& path : paths) {
    Measure(absl::StrCat(path.substr(0, 12), "..."), WithFacts(path), node);
    Measure(absl::StrCat("256 x ", path.substr(0, 12), "..."), WithFacts(path, 256), node);
  }
  Measure("fact('deep.a...').value", Selecting(absl::StrCat("fact('", paths[0], "').value=1")),
          node);
}

TEST(TargetTimesTest, HostileNames) {
  NodeData node;
  node.classes_value = std::vector<std::string>(20'000, std::string(50, 'a'));
  node.actions_value = std::vector<std::string>(20'000, "a.b");
  orch::v1::Target proto;
  for (int i = 0; i < 256; ++i) proto.add_classes("/(a|b)*a(a|b){6}c/");
  Measure("256 x -C /.../, 20,000 classes", proto, node);
  proto.Clear();
  for (int i = 0; i < 256; ++i) proto.add_classes(std::string(50, 'b'));
  Measure("256 x -C, 20,000 classes", proto, node);
  proto.Clear();
  for (int i = 0; i < 256; ++i) proto.add_actions("/^b/");
  Measure("256 x -A /.../, 20,000 actions", proto, node);
}

}  // namespace
}  // namespace orch::target
