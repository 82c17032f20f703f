// SPDX-License-Identifier: Apache-2.0
// Random expressions against a second, much simpler implementation: written as text in many styles,
// evaluated by both.

#include <gtest/gtest.h>

#include <random>
#include <regex>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "target/parse.h"
#include "target/print.h"
#include "target/target.h"

namespace orch::target {
namespace {

using nlohmann::json;

constexpr int kRounds = 10'000;

// false < unknown < true, so that `and` is the minimum and `or` the maximum.
enum class Reference { kNo = 0, kPerhaps = 1, kYes = 2 };

struct Random {
  std::mt19937 engine;
  explicit Random(uint32_t seed) : engine(seed) {}
  int Below(int n) { return std::uniform_int_distribution<int>(0, n - 1)(engine); }
  template <typename T>
  const T& Of(const std::vector<T>& all) {
    return all[Below(static_cast<int>(all.size()))];
  }
};

const std::vector<std::string> kFacts = {"role", "os.family", "cpus",    "load",
                                         "note", "disks",     "virtual", "gone"};
const std::vector<std::string> kClasses = {"apache", "role::web", "android", "orange", "notes"};
const std::vector<std::string> kTexts = {
    "web",  "1.10",       "1.1",     "010", "10",   "9",
    "-3",   "1.2.10",     "1.2.9",   "x=y", "a b",  "\xC3\xBCn\xC3\xAF",
    "it's", "say \"hi\"", "back\\",  "",    "/srv", "/srv/",
    "or",   "true",       "and not", "<5",  "4"};
const std::vector<std::string> kOperators = {"=", "==", "!=", "<", "<=", "=<", ">", ">=", "=>"};
const std::vector<std::string> kPatterns = {"^w",  "e",   "[0-9]+$", "^$",
                                            "a b", "x|y", "^/srv",   "\\d"};

// The fact of a node, as text, a number or a list; missing often enough.
json RandomNode(Random* random) {
  json facts = json::object();
  for (const std::string& path : kFacts) {
    if (path == "gone" || random->Below(4) == 0) continue;
    json value = random->Of(kTexts);
    if (path == "cpus") value = random->Below(12);
    if (path == "load") value = random->Below(100) / 4.0;
    if (path == "virtual") value = random->Below(2) == 0;
    if (path == "disks") {
      value = json::array();
      for (int i = random->Below(3); i > 0; --i) value.push_back(random->Of(kTexts));
    }
    if (path == "os.family") {
      facts["os"]["family"] = value;
    } else {
      facts[path] = value;
    }
  }
  return facts;
}

bool Matches(const std::string& text, const std::string& pattern) {
  return std::regex_search(text, std::regex(pattern));
}

std::string Plain(const json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

bool IsNumber(const std::string& text) {
  static const std::regex number("[+-]?[0-9]+(\\.[0-9]+)?");
  return std::regex_match(text, number);
}
bool IsVersion(const std::string& text) {
  static const std::regex version("[0-9]+(\\.[0-9]+){2,}");
  return std::regex_match(text, version);
}

std::vector<int> Parts(const std::string& version) {
  std::vector<int> out;
  std::istringstream in(version);
  for (std::string part; std::getline(in, part, '.');) out.push_back(std::stoi(part));
  return out;
}

template <typename T>
bool Ordered(const T& a, const std::string& op, const T& b) {
  if (op == "<") return a < b;
  if (op == ">") return b < a;
  return op == "<=" || op == "=<" ? !(b < a) : !(a < b);
}

bool CompareOne(const json& fact, const std::string& op, const std::string& value) {
  const std::string text = Plain(fact);
  const bool numbers = IsNumber(text) && IsNumber(value);
  if (op == "=" || op == "==" || op == "!=") {
    const bool equal =
        fact.is_number() && numbers ? std::stod(text) == std::stod(value) : text == value;
    return equal == (op != "!=");
  }
  if (numbers) return Ordered(std::stod(text), op, std::stod(value));
  if (IsVersion(text) && IsVersion(value)) return Ordered(Parts(text), op, Parts(value));
  return Ordered(text, op, value);
}

// Both the text of a random expression and what it should come to.
class Generator {
 public:
  Generator(Random* random, const json& facts, const std::vector<std::string>& classes,
            bool unknown)
      : random_(*random), facts_(facts), classes_(classes), unknown_(unknown) {}

  std::pair<std::string, Reference> Or(int depth) {
    return Chain(depth, " or ", &Generator::And,
                 [](Reference a, Reference b) { return std::max(a, b); });
  }

 private:
  using Result = std::pair<std::string, Reference>;

  Result Chain(int depth, const std::string& word, Result (Generator::*operand)(int),
               Reference (*join)(Reference, Reference)) {
    Result out = (this->*operand)(depth);
    for (int i = random_.Below(depth > 0 ? 3 : 1); i > 0; --i) {
      const Result next = (this->*operand)(depth - 1);
      out = {absl::StrCat(out.first, Space(), word, Space(), next.first),
             join(out.second, next.second)};
    }
    return out;
  }

  Result And(int depth) {
    return Chain(depth, " and ", &Generator::Not,
                 [](Reference a, Reference b) { return std::min(a, b); });
  }

  Result Not(int depth) {
    switch (depth > 0 ? random_.Below(5) : 4) {
      case 0:
        return Negate("not ", Not(depth - 1));
      case 1:
        return Negate("!", Not(depth - 1));
      case 2: {
        const Result inner = Or(depth - 1);
        return {absl::StrCat("(", Space(), inner.first, Space(), ")"), inner.second};
      }
      default:
        return random_.Below(3) == 0 ? Class() : Fact();
    }
  }

  Result Negate(const std::string& prefix, const Result& inner) {
    return {absl::StrCat(prefix, Space(), inner.first),
            static_cast<Reference>(2 - static_cast<int>(inner.second))};
  }

  Result Class() {
    if (random_.Below(3) == 0) {
      bool any = false;
      for (const std::string& name : classes_) any = any || Matches(name, "^role");
      return {"/^role/", any ? Reference::kYes : Reference::kNo};
    }
    const std::string name = random_.Of(kClasses);
    const bool has = std::find(classes_.begin(), classes_.end(), name) != classes_.end();
    return {name, has ? Reference::kYes : Reference::kNo};
  }

  Result Fact() {
    const std::string path = random_.Of(kFacts);
    const bool regex = random_.Below(4) == 0;
    const bool negated = random_.Below(2) == 0;
    const std::string op = regex ? (negated ? "!~" : "=~") : random_.Of(kOperators);
    const std::string value = regex ? random_.Of(kPatterns) : random_.Of(kTexts);
    const std::string text = absl::StrCat(path, Space(), op, Space(), Quoted(value));
    const json* fact = Find(path);
    if (fact == nullptr) return {text, unknown_ ? Reference::kPerhaps : Reference::kNo};
    bool any = false;
    const json all = fact->is_array() ? *fact : json::array({*fact});
    for (const json& one : all) {
      any = any || (regex ? Matches(Plain(one), value) != negated : CompareOne(one, op, value));
    }
    return {text, any ? Reference::kYes : Reference::kNo};
  }

  const json* Find(const std::string& path) {
    if (path != "os.family") return facts_.contains(path) ? &facts_.at(path) : nullptr;
    return facts_.contains("os") ? &facts_.at("os").at("family") : nullptr;
  }

  std::string Space() { return std::string(random_.Below(4) == 0 ? random_.Below(3) : 0, ' '); }

  std::string Quoted(const std::string& value) {
    const char quote = random_.Below(2) == 0 ? '"' : '\'';
    std::string out(1, quote);
    for (const char c : value) {
      if (c == quote || c == '\\') out.push_back('\\');
      out.push_back(c);
    }
    return out + quote;
  }

  Random& random_;
  const json& facts_;
  const std::vector<std::string>& classes_;
  const bool unknown_;
};

bool SameTree(const Expression& a, const Expression& b) {
  const bool same = a.kind == b.kind && a.name == b.name && a.comparison.op == b.comparison.op &&
                    a.comparison.text == b.comparison.text && a.call.name == b.call.name &&
                    a.call.argument == b.call.argument && a.call.field == b.call.field &&
                    a.has_call == b.has_call && a.children.size() == b.children.size() &&
                    (a.comparison.regex == nullptr) == (b.comparison.regex == nullptr);
  for (size_t i = 0; same && i < a.children.size(); ++i) {
    if (!SameTree(*a.children[i], *b.children[i])) return false;
  }
  return same;
}

TEST(PropertyTest, EvaluationIsWhatTheReferenceSays) {
  Random random(20240607);
  int seen[3] = {0, 0, 0};
  for (int round = 0; round < kRounds; ++round) {
    NodeData node;
    node.facts_value = RandomNode(&random);
    for (const std::string& name : kClasses) {
      if (random.Below(2) == 0) node.classes_value.push_back(name);
    }
    const bool unknown = random.Below(2) == 0;
    const auto [text, expected] =
        Generator(&random, node.facts_value, node.classes_value, unknown).Or(3);
    const absl::StatusOr<Condition> condition = Condition::Compile(text);
    ASSERT_TRUE(condition.ok()) << text << ": " << condition.status();
    const auto missing =
        unknown ? Condition::MissingFacts::kUnknown : Condition::MissingFacts::kFalse;
    const Truth truth = condition->Evaluate(node, missing).truth;
    const Truth wanted = expected == Reference::kYes  ? Truth::kTrue
                         : expected == Reference::kNo ? Truth::kFalse
                                                      : Truth::kUnknown;
    ASSERT_EQ(truth, wanted) << text << "\non " << node.facts_value.dump();
    ++seen[static_cast<int>(expected)];
    const absl::StatusOr<Condition> again = Condition::Compile(condition->Print());
    ASSERT_TRUE(again.ok()) << condition->Print();
    ASSERT_EQ(again->Print(), condition->Print());
    ASSERT_EQ(again->Evaluate(node, missing).truth, truth) << condition->Print();
  }
  for (const int count : seen) EXPECT_GT(count, kRounds / 50);
}

TEST(PropertyTest, PrintingThenParsingGivesTheSameTree) {
  Random random(7);
  const json facts = json::object();
  const std::vector<std::string> classes;
  for (int round = 0; round < kRounds; ++round) {
    std::string text = Generator(&random, facts, classes, false).Or(4).first;
    if (random.Below(3) == 0) absl::StrAppend(&text, " or puppet().enabled=", random.Below(9));
    if (random.Below(3) == 0) absl::StrAppend(&text, " and f('a\"b').c!~'x/y'");
    Budget budget;
    Budget again;
    const absl::StatusOr<ExpressionPtr> tree = ParseExpression(text, &budget);
    if (!tree.ok()) {
      ASSERT_TRUE(text.size() > kExpressionBytesMax || budget.terms_left < 0)
          << text << tree.status();
      continue;
    }
    const std::string printed = PrintExpression(**tree);
    if (printed.size() > kExpressionBytesMax) continue;
    const absl::StatusOr<ExpressionPtr> back = ParseExpression(printed, &again);
    ASSERT_TRUE(back.ok()) << printed << ": " << back.status();
    ASSERT_TRUE(SameTree(**tree, **back)) << text << "\nprinted " << printed;
  }
}

TEST(PropertyTest, PrintedFactsParseToTheSame) {
  Random random(11);
  const std::string alphabet = "ab= <>!~/\\\"'().4\xC3\xBC";
  int parsed = 0;
  for (int round = 0; round < kRounds; ++round) {
    std::string text = "f";
    for (int i = random.Below(12); i >= 0; --i)
      text.push_back(alphabet[random.Below(alphabet.size() - 2)]);
    Budget budget;
    const absl::StatusOr<ExpressionPtr> fact = ParseFact(text, &budget);
    if (!fact.ok()) continue;
    ++parsed;
    const absl::StatusOr<ExpressionPtr> back = ParseFact(PrintFact(**fact), &budget);
    budget = Budget();
    ASSERT_TRUE(back.ok()) << text << " -> " << PrintFact(**fact) << ": " << back.status();
    ASSERT_TRUE(SameTree(**fact, **back)) << text << " -> " << PrintFact(**fact);
  }
  EXPECT_GT(parsed, kRounds / 4);
}

}  // namespace
}  // namespace orch::target
