// SPDX-License-Identifier: Apache-2.0
// What a hostile caller may say in a target, and a hostile node in its facts: the input is a
// target, one entry a line, each behind the letter of its flag, then an empty line and the facts as
// JSON.
#include "target/target.h"

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "target/parse.h"
#include "target/print.h"
#include "target/words.h"
#include "test/fuzz/driver.h"

namespace orch::target {
namespace {

using nlohmann::json;

constexpr int kDepthMax = 24;

uint64_t Mix(uint64_t hash, uint64_t value) {
  return (hash ^ value) * 0x9e3779b97f4a7c15u + (hash >> 29);
}
uint64_t Mix(uint64_t hash, absl::string_view text) {
  return Mix(hash, std::hash<std::string>()(std::string(text)));
}

struct Node : NodeData {
  Node() {
    identity_value = "web1.example.com";
    classes_value = {"apache", "nginx", "role::web"};
    actions_value = {"node.ping", "puppet.run"};
  }
  absl::StatusOr<json> Answer(const Call& call) const override {
    if (call.name == "puppet") return json(call.field.size());
    if (call.name == "resource") return json();
    if (call.name == "fstat") return absl::UnavailableError("fstat() is answered by the node only");
    return absl::NotFoundError("there is no such call");
  }
};

json Facts(absl::string_view text) {
  bool deep = false;
  const auto watch = [&deep](int depth, json::parse_event_t, json&) {
    deep |= depth > kDepthMax;
    return !deep;
  };
  json facts = json::parse(text.begin(), text.end(), watch, false);
  return !deep && facts.is_object() ? facts : json::object();
}

orch::v1::Target Proto(absl::string_view text) {
  orch::v1::Target out;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (line.empty()) continue;
    const std::string rest(line.substr(1));
    switch (line[0]) {
      case 'F':
        out.add_facts(rest);
        break;
      case 'C':
        out.add_classes(rest);
        break;
      case 'A':
        out.add_actions(rest);
        break;
      case 'I':
        out.add_identities(rest);
        break;
      case 'W':
        AddWords(rest, &out);
        break;
      default:
        out.add_select(rest);
    }
  }
  return out;
}

// An error says where, and quotes nothing that a terminal would obey.
uint64_t CheckError(const absl::Status& status) {
  ORCH_CHECK(absl::IsInvalidArgument(status));
  const absl::string_view text = status.message();
  ORCH_CHECK(absl::StrContains(text, ": column ") || absl::StrContains(text, "longer than") ||
             absl::StrContains(text, "more than"));
  for (const unsigned char c : text) {
    ORCH_CHECK((c >= 0x20 && c != 0x7F) || c == '\n' || c == '\t' || c == '\r');
  }
  const size_t what = text.rfind(": ");
  return Mix(1, text.substr(what, 12));
}

// What is printed parses, and prints the same.
uint64_t CheckPrinted(const std::string& select) {
  Budget budget, again;
  const absl::StatusOr<ExpressionPtr> tree = ParseExpression(select, &budget);
  if (!tree.ok()) return CheckError(base::Annotate(tree.status(), "select"));
  const std::string printed = PrintExpression(**tree);
  if (printed.size() > kExpressionBytesMax) return 2;
  const absl::StatusOr<ExpressionPtr> back = ParseExpression(printed, &again);
  ORCH_CHECK(back.ok());
  ORCH_CHECK(PrintExpression(**back) == printed);
  return 3;
}

uint64_t Evaluate(const Target& target, const NodeView& node) {
  const Match match = target.Evaluate(node);
  ORCH_CHECK(match.truth == Truth::kTrue ? match.why.empty() : !match.why.empty());
  uint64_t hash = static_cast<uint64_t>(match.truth);
  bool all = true, none = false;
  for (size_t i = 0; i < target.clause_count(); ++i) {
    ORCH_CHECK(!target.ClauseWords(i).empty());
    ORCH_CHECK(target.ObserveClause(i, node).size() < 16 << 10);
    const Truth truth = target.EvaluateClause(i, node).truth;
    all = all && truth == Truth::kTrue;
    none = none || truth == Truth::kFalse;
    if (i < 4) hash = Mix(hash, static_cast<uint64_t>(truth));
  }
  // The whole is what its clauses are, unless it is refused as too costly or for a call.
  if (all) {
    ORCH_CHECK(match.truth == Truth::kTrue || absl::StrContains(match.why, "too long") ||
               absl::StrContains(match.why, "different calls"));
  }
  if (none) ORCH_CHECK(match.truth != Truth::kTrue);
  return hash;
}

uint64_t Run(absl::string_view input) {
  const size_t gap = input.find("\n\n");
  const orch::v1::Target proto = Proto(input.substr(0, gap));
  uint64_t hash = 0;
  for (int i = 0; i < proto.select_size() && i < 4; ++i) {
    hash = Mix(hash, CheckPrinted(proto.select(i)));
  }
  const absl::StatusOr<Target> target = Target::Compile(proto);
  if (!target.ok()) return Mix(hash, CheckError(target.status()));
  Node node;
  if (gap != absl::string_view::npos) node.facts_value = Facts(input.substr(gap));
  (void)target->Print();
  hash = Mix(hash, Evaluate(*target, node));
  node.facts_known = false;
  return Mix(hash, Evaluate(*target, node));
}

// What mutations insert, by spaces.
constexpr char kWords[] =
    "( ) ! = == != <= =< => > =~ !~ / \" ' \\ \\\" S F C I W role os. .0 disks /(a|b)*a(a|b){20}/ "
    "(a{1000}){1000} \\pL {0,999} (?i) [[:alpha:]- puppet(). fact(' ').value foo() null [[[[ "
    "{\"a\": "
    "1e999 -0.0 1.2.3.4 9999999999999999999999";

testing::FuzzTarget Fuzzed() {
  const std::string facts =
      "\n\n{\"role\":\"web\",\"cpus\":4,\"load\":0.5,\"version\":\"1.2.10\",\"note\":\"a b\","
      "\"os\":{\"family\":\"Debian\",\"release.major\":\"12\"},\"disks\":[\"sda\",[1,null,true]]}";
  testing::FuzzTarget target;
  target.run = Run;
  target.corpus = {
      absl::StrCat("Srole=web and not (country=de or nginx)", facts),
      absl::StrCat("Frole=/^web/\nFcpus>=4\nFload<1\nFversion>1.2.9\nCapache\nC/^role/", facts),
      absl::StrCat("Apuppet\nA/^p/\nIweb1.example.com\nI/web/\nWapache role=web /^ng/", facts),
      absl::StrCat("Spuppet().enabled=true or !fstat('/srv/x').size>0", facts),
      absl::StrCat("Sfact('os.family').value=/Deb/ and class('nginx')=true", facts),
      absl::StrCat("Snote=\"a b\" and os.release.major>=11 and disks!=sdb", facts),
      absl::StrCat("Snot not !(((/^a|b$/)))\nSresource(\"File[/x]\").managed=true", facts),
      absl::StrCat("Sandroid or ordinal and notes or role!~/x/ and role=~'y'", facts),
  };
  target.words = absl::StrSplit(kWords, ' ');
  for (const char* word :
       {" and ", " or ", "not ", "\n", "\n\n", "\t", "\r", "\xC3\xBC", "\xC3", "\xF4\x90"}) {
    target.words.push_back(word);
  }
  target.words.push_back(std::string(1, '\0'));
  target.words.push_back(std::string(64, '('));
  target.words.push_back(std::string(5000, 'x'));
  target.input_max = 64 << 10;
  return target;
}

}  // namespace
}  // namespace orch::target

int main(int argc, char** argv) {
  return orch::testing::FuzzMain(argc, argv, orch::target::Fuzzed());
}
