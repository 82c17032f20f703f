// SPDX-License-Identifier: Apache-2.0
#include "target/parse.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "target/explain.h"
#include "target/print.h"

namespace orch::target {
namespace {

// The canonical text, or the error.
std::string Canonical(absl::string_view text) {
  Budget budget;
  const absl::StatusOr<ExpressionPtr> tree = ParseExpression(text, &budget);
  return tree.ok() ? PrintExpression(**tree) : std::string(tree.status().message());
}

std::string CanonicalFact(absl::string_view text) {
  Budget budget;
  const absl::StatusOr<ExpressionPtr> tree = ParseFact(text, &budget);
  return tree.ok() ? PrintFact(**tree) : std::string(tree.status().message());
}

std::string Words(absl::string_view text) {
  Budget budget;
  const absl::StatusOr<ExpressionPtr> tree = ParseExpression(text, &budget);
  return tree.ok() ? ExplainExpression(**tree) : std::string(tree.status().message());
}

TEST(ParseTest, NotBindsTighterThanAndTighterThanOr) {
  EXPECT_EQ(Canonical("a or b and not c"), "a or (b and not c)");
  EXPECT_EQ(Canonical("not a and b or c"), "(not a and b) or c");
  EXPECT_EQ(Canonical("a or b or c and d and e"), "a or b or (c and d and e)");
  EXPECT_EQ(Canonical("(a or b) and c"), "(a or b) and c");
  EXPECT_EQ(Canonical("not (a or b)"), "not (a or b)");
  EXPECT_EQ(Canonical("not(a)"), "not a");
  EXPECT_EQ(Canonical("!!not ! a"), "not not not not a");
  EXPECT_EQ(Canonical("((((a))))"), "a");
  EXPECT_EQ(Canonical("(a and b) and c"), "(a and b) and c");
}

TEST(ParseTest, AKeywordIsAWholeWord) {
  EXPECT_EQ(Canonical("android and orange or notes"), "(android and orange) or notes");
  EXPECT_EQ(Canonical("And"), "And");
  EXPECT_EQ(Canonical("not nothing"), "not nothing");
  EXPECT_EQ(Canonical("role=or"), "role=\"or\"");
}

TEST(ParseTest, ReadsEveryOperator) {
  EXPECT_EQ(Canonical("a=1"), "a=1");
  EXPECT_EQ(Canonical("a==1"), "a=1");
  EXPECT_EQ(Canonical("a!=1"), "a!=1");
  EXPECT_EQ(Canonical("a<1"), "a<1");
  EXPECT_EQ(Canonical("a<=1"), "a<=1");
  EXPECT_EQ(Canonical("a=<1"), "a<=1");
  EXPECT_EQ(Canonical("a>1"), "a>1");
  EXPECT_EQ(Canonical("a>=1"), "a>=1");
  EXPECT_EQ(Canonical("a=>1"), "a>=1");
  EXPECT_EQ(Canonical("a=~x"), "a=~/x/");
  EXPECT_EQ(Canonical("a!~/x/"), "a!~/x/");
  EXPECT_EQ(Canonical("a=/x/"), "a=~/x/");
  EXPECT_EQ(Canonical("a==/x/"), "a=~/x/");
  EXPECT_EQ(Canonical("a!=/x/"), "a!~/x/");
  EXPECT_EQ(Canonical("a  =\t1 and b >=\n2"), "a=1 and b>=2");
}

TEST(ParseTest, ReadsQuotes) {
  EXPECT_EQ(Canonical(R"(note="a b")"), R"(note="a b")");
  EXPECT_EQ(Canonical(R"(note='a b')"), R"(note="a b")");
  EXPECT_EQ(Canonical(R"(note='it\'s')"), R"(note="it's")");
  EXPECT_EQ(Canonical(R"(note="say \"hi\"")"), R"(note="say \"hi\"")");
  EXPECT_EQ(Canonical(R"(path="C:\dir")"), R"(path=C:\dir)");
  EXPECT_EQ(Canonical(R"(path="C:\\dir")"), R"(path=C:\dir)");
  EXPECT_EQ(Canonical(R"(path="a \\")"), R"(path="a \\")");
  EXPECT_EQ(Canonical(R"(note="")"), R"(note="")");
  EXPECT_EQ(Canonical(R"(mount="/srv/")"), R"(mount="/srv/")");
  EXPECT_EQ(Canonical(R"(mount=~"^/srv")"), R"(mount=~"/^/srv/")");
  EXPECT_EQ(Canonical(R"(mount=~"/^a\d/")"), R"(mount=~/^a\d/)");
  EXPECT_EQ(Canonical("note=\xC3\xBCn\xC3\xAF"), "note=\xC3\xBCn\xC3\xAF");
}

TEST(ParseTest, ReadsRegexesAndCalls) {
  EXPECT_EQ(Canonical("/^role::/ and a"), "/^role::/ and a");
  EXPECT_EQ(Canonical(R"(m=/a\/b c/)"), R"(m=~/a\/b c/)");
  EXPECT_EQ(Canonical("puppet().enabled=true"), "puppet().enabled=true");
  EXPECT_EQ(Canonical("resource('File[/srv]').managed = true"),
            "resource(\"File[/srv]\").managed=true");
  EXPECT_EQ(Canonical("fact('os.family').value=/Deb/"), "fact(\"os.family\").value=~/Deb/");
  EXPECT_EQ(Canonical("class( 'x' )=true"), "class(\"x\")=true");
  EXPECT_EQ(Canonical("!foo().x=1"), "not foo().x=1");
}

TEST(ParseTest, ErrorsNameTheColumnAndWhatWasExpected) {
  EXPECT_EQ(Canonical("apache and   or x"),
            "column 14: expected a fact, class or \"(\", found \"or\"");
  EXPECT_EQ(Canonical(""), "column 1: expected a fact, class or \"(\", found the end");
  EXPECT_EQ(Canonical("   "), "column 4: expected a fact, class or \"(\", found the end");
  EXPECT_EQ(Canonical("apache mysql"),
            "column 8: expected \"and\", \"or\" or the end, found \"mysql\"");
  EXPECT_EQ(Canonical("apache not mysql"),
            "column 8: expected \"and\", \"or\" or the end, found \"not\"");
  EXPECT_EQ(Canonical("(apache and mysql"),
            "column 18: expected \"and\", \"or\" or \")\", found the end");
  EXPECT_EQ(Canonical("apache)"), "column 7: expected \"and\", \"or\" or the end, found \")\"");
  EXPECT_EQ(Canonical("()"), "column 2: expected a fact, class or \"(\", found \")\"");
  EXPECT_EQ(Canonical("a="), "column 3: expected a value, found the end");
  EXPECT_EQ(Canonical("a==="), "column 4: expected a value, found \"=\"");
  EXPECT_EQ(Canonical("note=x=y"), "column 7: expected \"and\", \"or\" or the end, found \"=\"");
  EXPECT_EQ(Canonical("/foo/=bar"), "column 6: expected \"and\", \"or\" or the end, found \"=\"");
  EXPECT_EQ(Canonical("foo("), "column 5: expected an argument in quotes or \")\", found the end");
  EXPECT_EQ(Canonical("foo(x)"), "column 5: expected an argument in quotes or \")\", found \"x\"");
  EXPECT_EQ(Canonical("foo('x'"), "column 8: expected \")\", found the end");
  EXPECT_EQ(Canonical("foo()"),
            "column 6: expected a field such as .enabled, or an operator, found the end");
  EXPECT_EQ(Canonical("foo().x"), "column 8: expected an operator such as =, found the end");
  EXPECT_EQ(Canonical("foo().=1"), "column 6: expected a field such as .enabled, found \".\"");
  EXPECT_EQ(Canonical("f:o()=1"), "column 1: \"f:o\" can't name a call");
  EXPECT_EQ(Canonical("a=\"x"), "column 3: the quote \" is never closed");
  EXPECT_EQ(Canonical("it's"), "column 3: the quote ' is never closed");
  EXPECT_EQ(
      Canonical("mount=/srv"),
      "column 7: the regular expression is never closed by \"/\"; a path needs quotes: \"/srv\"");
  EXPECT_EQ(Canonical("a ~ b"),
            "column 3: \"~\" is no operator; there are = == != < <= > >= =~ !~");
  EXPECT_EQ(Canonical("//"), "column 1: an empty regular expression");
  EXPECT_EQ(Canonical("a</x/"), "column 4: a regular expression is neither less nor greater");
  EXPECT_EQ(Canonical("\"a\""), "column 1: expected a fact, class or \"(\", found \"\"a\"\"");
}

TEST(ParseTest, ColumnsCountCharactersNotBytes) {
  EXPECT_EQ(Canonical("\xC3\xBCn\xC3\xAF x"),
            "column 5: expected \"and\", \"or\" or the end, found \"x\"");
}

TEST(ParseTest, ABadRegexHasItsColumn) {
  EXPECT_EQ(Canonical("a and role=/x(/"), "column 13: bad regular expression: missing ): x(");
  EXPECT_EQ(Canonical("role=~\"ab[z\""), "column 10: bad regular expression: missing ]: [z");
  EXPECT_EQ(Canonical("role=/[a]x[a/"), "column 11: bad regular expression: missing ]: [a");
  EXPECT_EQ(Canonical("role=~'a*b|*c'"),
            "column 12: bad regular expression: no argument for repetition operator: *");
  EXPECT_EQ(Canonical("/\\\\y\\y/"),
            "column 5: bad regular expression: invalid escape sequence: \\y");
  EXPECT_EQ(Canonical("/(?=x)/"), "column 2: bad regular expression: invalid perl operator: (?=");
  EXPECT_EQ(CanonicalFact("role=/*/"),
            "column 7: bad regular expression: no argument for repetition operator: *");
}

TEST(ParseTest, RefusesWhatIsNoText) {
  EXPECT_EQ(Canonical(absl::string_view("a\0b", 3)), "column 2: a control character (0)");
  EXPECT_EQ(Canonical("a \x1B[0m"), "column 3: a control character (27)");
  EXPECT_EQ(Canonical("\xFF"), "column 1: not valid UTF-8");
  EXPECT_EQ(Canonical("\xC3"), "column 1: not valid UTF-8");
  EXPECT_EQ(Canonical("x\xED\xA0\x80"), "column 2: not valid UTF-8");     // a surrogate
  EXPECT_EQ(Canonical("\xF4\x90\x80\x80"), "column 1: not valid UTF-8");  // beyond Unicode
  EXPECT_EQ(Canonical("\xE0\x80\x80"), "column 1: not valid UTF-8");      // overlong
}

TEST(ParseTest, LimitsAreExact) {
  EXPECT_EQ(Canonical(std::string(kExpressionBytesMax, 'a')),
            std::string(kExpressionBytesMax, 'a'));
  EXPECT_EQ(Canonical(std::string(kExpressionBytesMax + 1, 'a')), "longer than 4096 bytes (4097)");
  const auto nested = [](int levels) {
    return absl::StrCat(std::string(levels, '('), "a", std::string(levels, ')'));
  };
  EXPECT_EQ(Canonical(nested(64)), "a");
  EXPECT_EQ(Canonical(nested(65)), "column 65: nested deeper than 64 levels");
  EXPECT_EQ(Canonical(std::string(65, '!') + "a"), "column 65: nested deeper than 64 levels");
  const std::vector<std::string> terms(257, "a");
  EXPECT_EQ(Canonical(absl::StrJoin(terms.begin(), terms.end() - 1, " or ")).substr(0, 6),
            "a or a");
  EXPECT_EQ(Canonical(absl::StrJoin(terms, " or ")), "column 1281: more than 256 terms");
}

TEST(ParseFactTest, TheFirstOperatorSeparates) {
  EXPECT_EQ(CanonicalFact("os.family=Debian"), "os.family=Debian");
  EXPECT_EQ(CanonicalFact("note=x=y"), "note=x=y");
  EXPECT_EQ(CanonicalFact("note==x"), "note=x");
  EXPECT_EQ(CanonicalFact("note===x"), "note= =x");
  EXPECT_EQ(CanonicalFact("note= =x"), "note= =x");
  EXPECT_EQ(CanonicalFact("cpus =>  4 "), "cpus>=4");
  EXPECT_EQ(CanonicalFact("cpus=<4"), "cpus<=4");
  EXPECT_EQ(CanonicalFact("a!=b<c"), "a!=b<c");
  EXPECT_EQ(CanonicalFact("a=b or c"), "a=b or c");
  EXPECT_EQ(CanonicalFact("a="), "a=");
  EXPECT_EQ(CanonicalFact("mount=/srv"), "mount=/srv");
  EXPECT_EQ(CanonicalFact("mount=/srv/"), "mount=~/srv/");
  EXPECT_EQ(CanonicalFact("mount==/a b/"), "mount=~/a b/");
  EXPECT_EQ(CanonicalFact("mount!=/srv/"), "mount!~/srv/");
  EXPECT_EQ(CanonicalFact("mount=~^/srv"), "mount=~/^/srv/");
  EXPECT_EQ(CanonicalFact("mount=~"), "mount=~");
  EXPECT_EQ(CanonicalFact("mount=//"), "mount=//");
  EXPECT_EQ(CanonicalFact("say='x'"), "say='x'");
}

TEST(ParseFactTest, RefusesWhatIsNoComparison) {
  EXPECT_EQ(CanonicalFact("apache"), "column 7: expected an operator such as =, found the end");
  EXPECT_EQ(CanonicalFact(""), "column 1: expected an operator such as =, found the end");
  EXPECT_EQ(CanonicalFact("=x"), "column 1: expected a fact before the operator");
  EXPECT_EQ(CanonicalFact("  =x"), "column 3: expected a fact before the operator");
  EXPECT_EQ(CanonicalFact("a</x/"), "column 4: a regular expression is neither less nor greater");
  EXPECT_EQ(CanonicalFact("a! =x"), "column 2: the name of a fact has neither ! nor ~");
}

TEST(ParsePatternTest, IsExactOrARegex) {
  Budget budget;
  EXPECT_EQ(ParsePattern(" nginx ", &budget)->exact, "nginx");
  EXPECT_EQ(ParsePattern("/srv", &budget)->exact, "/srv");
  EXPECT_EQ(ParsePattern("/^ng/", &budget)->source, "^ng");
  EXPECT_EQ(ParsePattern("", &budget).status().message(),
            "column 1: expected a name or /regex/, found the end");
  EXPECT_EQ(ParsePattern("/(/", &budget).status().message(),
            "column 2: bad regular expression: missing ): (");
}

TEST(ExplainTest, SpeaksInWords) {
  EXPECT_EQ(Words("role=web and not (country=de or nginx)"),
            "fact role is \"web\" and not (fact country is \"de\" or class nginx)");
  EXPECT_EQ(Words("cpus>=4 or cpus<x"),
            "fact cpus is at least 4 or fact cpus is less than \"x\" in byte order");
  EXPECT_EQ(Words("a!=b and c!~/d/ and /e/"),
            "fact a is there and not \"b\" and fact c is there and does not match /d/ and a class "
            "matching /e/");
  EXPECT_EQ(Words("puppet().enabled=true"), "puppet().enabled is \"true\"");
  EXPECT_EQ(Words("os.release.full>=7.9"),
            "fact os.release.full is at least 7.9, in byte order where it is no plain number");
  EXPECT_EQ(
      Words("v<1.2.3"),
      "fact v is less than 1.2.3, in byte order where it is no version of three parts or more");
  EXPECT_EQ(Words("version('os.release.full').value>=7.9"),
            "version(os.release.full).value is at least version 7.9");
}

TEST(ShellQuoteTest, QuotesOnlyWhereNeeded) {
  EXPECT_EQ(ShellQuote("os.family=Debian"), "os.family=Debian");
  EXPECT_EQ(ShellQuote("role=web and nginx"), "\"role=web and nginx\"");
  EXPECT_EQ(ShellQuote("cpus>4"), "\"cpus>4\"");
  EXPECT_EQ(ShellQuote("a!=b"), "'a!=b'");
  EXPECT_EQ(ShellQuote("it's $HOME"), "'it'\\''s $HOME'");
  EXPECT_EQ(ShellQuote(""), "\"\"");
}

}  // namespace
}  // namespace orch::target
