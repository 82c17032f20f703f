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

const std::vector<std::string> kFacts = {"role",  "os.family", "cpus",   "load", "note",
                                         "disks", "virtual",   "mounts", "gone"};
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
      if (random->Below(3) == 0) value.push_back({random->Below(9), random->Of(kTexts), nullptr});
    }
    if (path == "mounts") {
      value = json::object();
      for (int i = random->Below(3); i > 0; --i) value[random->Of(kTexts)] = random->Below(9);
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

// Of a list any element, of a map any key.
template <typename Holds>
bool Any(const json& fact, const Holds& holds) {
  if (!fact.is_structured()) return !fact.is_null() && holds(fact);
  for (auto it = fact.begin(); it != fact.end(); ++it) {
    if (fact.is_object() ? holds(json(it.key())) : Any(*it, holds)) return true;
  }
  return false;
}

bool FactHolds(const json& fact, bool regex, const std::string& op, const std::string& value) {
  return Any(fact, [&](const json& one) {
    return regex ? Matches(Plain(one), value) == (op == "=~") : CompareOne(one, op, value);
  });
}

// A node that answers puppet() with its facts, and leaves fstat() open.
struct CallingNode : NodeData {
  absl::StatusOr<json> Answer(const Call& call) const override {
    if (call.name == "fstat") return absl::UnavailableError("fstat() is answered by the node only");
    if (call.name != "puppet") return absl::NotFoundError("there is no such call");
    return facts_value.contains(call.field) ? facts_value.at(call.field) : json();
  }
};

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
        switch (random_.Below(6)) {
          case 0:
          case 1:
            return Class();
          case 2:
            return Call();
          default:
            return Fact();
        }
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
    return {text, FactHolds(*fact, regex, op, value) ? Reference::kYes : Reference::kNo};
  }

  Result Call() {
    const std::string name = random_.Of(kClasses);
    const bool has = std::find(classes_.begin(), classes_.end(), name) != classes_.end();
    const std::string path = random_.Of(kFacts);
    const std::string value = random_.Of(kTexts);
    const json* fact = Find(path);
    const Reference missing = unknown_ ? Reference::kPerhaps : Reference::kNo;
    const auto compared = [&](const std::string& call) -> Result {
      const std::string op = random_.Of(kOperators);
      const std::string text = absl::StrCat(call, Space(), op, Space(), Quoted(value));
      if (fact == nullptr) return {text, missing};
      return {text, FactHolds(*fact, false, op, value) ? Reference::kYes : Reference::kNo};
    };
    switch (random_.Below(5)) {
      case 0:
        return {absl::StrCat("class(", Quoted(name), ")=true"),
                has ? Reference::kYes : Reference::kNo};
      case 1:
        return {absl::StrCat("fact('", path, "').exists=true"),
                fact != nullptr ? Reference::kYes : Reference::kNo};
      case 2:
        return compared(absl::StrCat("fact('", path, "').value"));
      case 3:
        if (path != "os.family") return compared(absl::StrCat("puppet().", path));
        [[fallthrough]];
      default:
        return {absl::StrCat("fstat('/", name, "').size>0"), Reference::kPerhaps};
    }
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
    CallingNode node;
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

// Wherever a call stands that the node can't answer, the target is not for it.
TEST(PropertyTest, AnUnknownCallMatchesNowhere) {
  Random random(3);
  const std::vector<std::string> classes;
  for (int round = 0; round < kRounds; ++round) {
    CallingNode node;
    node.facts_value = RandomNode(&random);
    Generator generator(&random, node.facts_value, classes, false);
    const std::string left = generator.Or(2).first;
    const std::string right = generator.Or(2).first;
    const std::vector<std::string> joins = {" and ", " or ", " and not ", " or !"};
    orch::v1::Target proto;
    proto.add_select(absl::StrCat(random.Below(2) == 0 ? "!" : "", "(", left, random.Of(joins),
                                  "foo().x=1", random.Of(joins), "(", right, "))"));
    if (proto.select(0).size() > kExpressionBytesMax) continue;
    const absl::StatusOr<Target> target = Target::Compile(proto);
    ASSERT_TRUE(target.ok()) << proto.select(0) << target.status();
    ASSERT_EQ(target->Evaluate(node).truth, Truth::kFalse) << proto.select(0);
  }
}

// -F and -S are two ways to write the same comparison.
TEST(PropertyTest, AFactFlagIsTheSameAsAnExpression) {
  Random random(5);
  for (int round = 0; round < kRounds; ++round) {
    NodeData node;
    node.facts_value = RandomNode(&random);
    const std::string path = random.Of(kFacts);
    const bool regex = random.Below(4) == 0;
    const std::string op = regex ? random.Below(2) == 0 ? "=" : "!=" : random.Of(kOperators);
    const std::string text = regex ? random.Of(kPatterns) : random.Of(kTexts);
    if (text == "/srv/" || (regex && text.find('/') != std::string::npos)) continue;
    const std::string escaped = absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"\"", "\\\""}});
    const std::string flag_value = regex ? absl::StrCat("/", text, "/") : text;
    const std::string value = regex ? flag_value : absl::StrCat("\"", escaped, "\"");
    orch::v1::Target flag, select;
    flag.add_facts(absl::StrCat(path, random.Below(2) == 0 ? "" : " ", op, " ", flag_value));
    select.add_select(absl::StrCat(path, op, value));
    const absl::StatusOr<Target> one = Target::Compile(flag);
    const absl::StatusOr<Target> two = Target::Compile(select);
    ASSERT_TRUE(one.ok()) << flag.facts(0) << one.status();
    ASSERT_TRUE(two.ok()) << select.select(0) << two.status();
    ASSERT_EQ(one->Evaluate(node).truth, two->Evaluate(node).truth) << flag.facts(0) << "\n"
                                                                    << select.select(0) << "\n"
                                                                    << node.facts_value.dump();
    ASSERT_EQ(one->ClauseWords(0), two->ClauseWords(0));
  }
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
