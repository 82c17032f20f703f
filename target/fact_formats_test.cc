// SPDX-License-Identifier: Apache-2.0
#include "target/fact_formats.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace orch::target {
namespace {

using Json = nlohmann::json;

std::string Yaml(const std::string& text) {
  const auto facts = ParseYamlFacts(text);
  return facts.ok() ? facts->dump() : std::string(facts.status().message());
}

struct Scalar {
  const char* yaml;
  const char* json;
};
class CoreSchema : public testing::TestWithParam<Scalar> {};

TEST_P(CoreSchema, TypesPlainScalars) {
  EXPECT_EQ(Yaml(absl::StrCat("a: ", GetParam().yaml, "\n")),
            absl::StrCat("{\"a\":", GetParam().json, "}"));
}

const Scalar kScalars[] = {{"true", "true"},
                           {"TRUE", "true"},
                           {"False", "false"},
                           {"yes", "\"yes\""},
                           {"no", "\"no\""},
                           {"on", "\"on\""},
                           {"y", "\"y\""},
                           {"~", "null"},
                           {"null", "null"},
                           {"NULL", "null"},
                           {"", "null"},
                           {"nil", "\"nil\""},
                           {"0", "0"},
                           {"-12", "-12"},
                           {"+12", "12"},
                           {"010", "10"},
                           {"0o10", "8"},
                           {"0x1F", "31"},
                           {"0x", "\"0x\""},
                           {"0b1", "\"0b1\""},
                           {"-0x1", "\"-0x1\""},
                           {"1_000", "\"1_000\""},
                           {"1,000", "\"1,000\""},
                           {"1.10", "1.1"},
                           {".5", "0.5"},
                           {"1.", "1.0"},
                           {"1e3", "1000.0"},
                           {"-1.5E-1", "-0.15"},
                           {"1e", "\"1e\""},
                           {"e3", "\"e3\""},
                           {".", "\".\""},
                           {"1.2.3", "\"1.2.3\""},
                           {"12:30:45", "\"12:30:45\""},
                           {"2001-12-14", "\"2001-12-14\""},
                           {"2001-12-14T21:59:43Z", "\"2001-12-14T21:59:43Z\""},
                           {"1e999", "\"1e999\""},
                           {"9007199254740993", "9007199254740993"},
                           {"9223372036854775807", "9223372036854775807"},
                           {"18446744073709551615", "18446744073709551615"},
                           {"18446744073709551616", "\"18446744073709551616\""},
                           {"-9223372036854775808", "-9223372036854775808"},
                           {"-9223372036854775809", "\"-9223372036854775809\""},
                           {"\"12\"", "\"12\""},
                           {"'true'", "\"true\""},
                           {"!!str 12", "\"12\""},
                           {"!!int \"12\"", "12"},
                           {"!!float 1.5", "1.5"},
                           {"!ruby/sym x", "\"x\""},
                           {"! 12", "\"12\""},
                           {"-.5", "-0.5"},
                           {"10.0.0.1", "\"10.0.0.1\""},
                           {"=", "\"=\""}};
INSTANTIATE_TEST_SUITE_P(Yaml, CoreSchema, testing::ValuesIn(kScalars));

TEST(YamlFacts, AreStructured) {
  EXPECT_EQ(Yaml("a: &x {b: [1, two, {c: ~}]}\nd: *x\n"),
            R"({"a":{"b":[1,"two",{"c":null}]},"d":{"b":[1,"two",{"c":null}]}})");
  EXPECT_EQ(Yaml("010: x\ntrue: y\n\"q\": z\n"), R"({"010":"x","q":"z","true":"y"})");
  EXPECT_EQ(Yaml(""), "{}");
  EXPECT_EQ(Yaml("# nothing\n"), "{}");
  EXPECT_EQ(Yaml("---\na: 1\n...\n"), R"({"a":1})");
  EXPECT_EQ(Yaml("--- {}\n"), "{}");
}

TEST(YamlFacts, ErrorsNameTheLine) {
  EXPECT_EQ(Yaml("a: 1\nb: 2\na: 3\n"), "line 3: two keys a");
  EXPECT_EQ(Yaml("a: 1\n? [1]\n: 2\n"), "line 2: a key that is no text");
  EXPECT_EQ(Yaml("a: 1\nb: .nan\n"),
            "line 2: .nan is no number of JSON; quote it to have it as text");
  EXPECT_EQ(Yaml("a: -.inf\n"), "line 1: -.inf is no number of JSON; quote it to have it as text");
  EXPECT_EQ(Yaml("a: 1\nb: [1\nc: 2\n").rfind("not YAML: line ", 0), 0u) << Yaml("b: [1\nc: 2\n");
  EXPECT_EQ(Yaml("- 1\n"), "facts are a mapping, this is array");
  EXPECT_EQ(Yaml("hello\n"), "facts are a mapping, this is string");
  EXPECT_EQ(Yaml("a: 1\n---\nb: 1\n"), "a second document; facts are one");
  EXPECT_EQ(Yaml("a: \xe9\nb: 1\n"), "{\"a\":\"\xef\xbf\xbd\",\"b\":1}");
  EXPECT_EQ(Yaml("a: &x [*x]\n"), "line 1: an alias of what it is part of");
  EXPECT_EQ(Yaml("a: *x\n").rfind("not YAML: ", 0), 0u);
}

TEST(YamlFacts, AreBounded) {
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 10; i++) {
    absl::StrAppend(&bomb, "a", i, ": &a", i, " [");
    for (int j = 0; j < 10; j++) absl::StrAppend(&bomb, "*a", i - 1, j < 9 ? "," : "]\n");
  }
  EXPECT_EQ(Yaml(bomb).rfind("line ", 0), 0u);
  EXPECT_NE(Yaml(bomb).find("more than 200000 values"), std::string::npos) << Yaml(bomb);
  std::string huge = "a: [";
  for (int i = 0; i < 210'000; i++) absl::StrAppend(&huge, "1,");
  EXPECT_EQ(Yaml(huge + "1]\n"), "line 1: more than 200000 values");
  // Few values, but large ones.
  std::string large = "a: &a \"" + std::string(200'000, 'x') + "\"\nb: [";
  for (int i = 0; i < 40'000; i++) absl::StrAppend(&large, "*a,");
  EXPECT_EQ(Yaml(large + "1]\n"), "line 2: more than 8388608 bytes, with what aliases stand for");
  std::string anchors = "a: ";
  for (int i = 0; i < 20; i++) absl::StrAppend(&anchors, "&a", i, " [");
  anchors += std::string(500'000, 'x') + std::string(20, ']') + "\n";
  EXPECT_EQ(Yaml(anchors), "line 1: more than 8388608 bytes, with what aliases stand for");
  // Levels that aliases hide count too.
  std::string deep = "a0: &a0 {b: 1}\n";
  for (int i = 1; i < 30; i++) absl::StrAppend(&deep, "a", i, ": &a", i, " {b: *a", i - 1, "}\n");
  EXPECT_NE(Yaml(deep).find("nested more than 24 levels deep"), std::string::npos) << Yaml(deep);
  for (const size_t levels : {30, 400, 100'000}) {
    const std::string text = "a: " + std::string(levels, '[') + std::string(levels, ']') + "\n";
    EXPECT_FALSE(ParseYamlFacts(text).ok()) << levels;
  }
}

TEST(JsonFacts, KeepTheirTypes) {
  const std::string text = R"({"a":1,"b":1.0,"c":true,"d":null,"e":"1","f":9007199254740993})";
  const auto facts = ParseJsonFacts(text);
  ASSERT_TRUE(facts.ok()) << facts.status();
  EXPECT_EQ(facts->dump(), text);
}

TEST(JsonFacts, ErrorsSayWhy) {
  const auto error = [](const std::string& text) {
    const auto facts = ParseJsonFacts(text);
    return facts.ok() ? "none" : std::string(facts.status().message());
  };
  EXPECT_EQ(error(""), "empty: not even a JSON object");
  EXPECT_EQ(error("[1]"), "facts are a JSON object, this is array");
  EXPECT_EQ(error("{\"a\": NaN}").rfind("not JSON: parse error at line 1, column ", 0), 0u)
      << error("{\"a\": NaN}");
  EXPECT_NE(error("{\"a\": 1e999}"), "none");
  EXPECT_EQ(ParseJsonFacts("{\"a\": \"\xe9\"}")->dump(), "{\"a\":\"\xef\xbf\xbd\"}");
  EXPECT_NE(error("{\"a\": 1} x"), "none");
  EXPECT_LT(error("{\"a\": " + std::string(1 << 20, 'x') + "}").size(), 400u);
  EXPECT_EQ(error("{\"a\": " + std::string(100'000, '[') + std::string(100'000, ']') + "}"),
            "nested more than 24 levels deep");
  std::string huge = "{\"a\": [";
  for (int i = 0; i < 210'000; i++) huge += "1,";
  EXPECT_EQ(error(huge + "1]}"), "more than 200,000 values");
}

TEST(TextFacts, AreLines) {
  const auto facts = ParseTextFacts("# no\n\na=1\n b = x = y \nempty=\n");
  ASSERT_TRUE(facts.ok()) << facts.status();
  EXPECT_EQ(facts->dump(), R"({"a":"1","b":"x = y","empty":""})");
  EXPECT_EQ(ParseTextFacts("a=1\nhello\n").status().message(), "line 2: no `name=value`: hello");
  EXPECT_EQ(ParseTextFacts("=1\n").status().message(), "line 1: no `name=value`: =1");
  EXPECT_EQ(ParseTextFacts("a=\xe9\nb=1\n")->dump(), "{\"a\":\"\xef\xbf\xbd\",\"b\":\"1\"}");
}

struct Output {
  const char* text;
  const char* json;  // or how the error begins
};
class PrintedFacts : public testing::TestWithParam<Output> {};

TEST_P(PrintedFacts, AreRecognized) {
  const auto facts = ParsePrintedFacts(GetParam().text);
  const std::string got = facts.ok() ? facts->dump() : std::string(facts.status().message());
  EXPECT_EQ(got.substr(0, std::string(GetParam().json).size()), GetParam().json) << got;
}

const Output kOutputs[] = {{"{\"a\": 1}", "{\"a\":1}"},
                           {"\n  {\"a\": {\"b\": [1.5]}}\n", "{\"a\":{\"b\":[1.5]}}"},
                           {"{a: 1, b: x}", "{\"a\":1,\"b\":\"x\"}"},
                           {"{\"a\": 1", "not JSON: "},
                           {"---\na: 1\nb:\n  - x\n", "{\"a\":1,\"b\":[\"x\"]}"},
                           {"a: x=y\n", "{\"a\":\"x=y\"}"},
                           {"a=1\nb=2\n", "{\"a\":\"1\",\"b\":\"2\"}"},
                           {"a=b: c\n", "{\"a\":\"b: c\"}"},
                           {"a=1\nnoise\nb=2\n", "{\"a\":\"1\",\"b\":\"2\"}"},
                           {"starting up\nrole=web\n", "{\"role\":\"web\"}"},
                           {"", "{}"},
                           {"\n\n", "{}"},
                           {"hello\n", "facts are a mapping, this is string"},
                           {"[1]", "facts are a JSON object, this is array"},
                           {"\x80=1\n", "{\"\xef\xbf\xbd\":\"1\"}"},
                           // One line before Facter's JSON, in which there is a `=`.
                           {"warning: old\n{\"role\": \"web\", \"cmdline\": \"root=/dev/sda\"}\n",
                            "not JSON: before it stands `warning: old`"},
                           {"x=y happened\n{\n  \"cmdline\": \"root=/dev/sda\"\n}\n", "not JSON: "},
                           {"{\"a\": \"b=c\"}\ntrailing=x\n", "not JSON: "},
                           {"{\"a\": \"\xe9\", \"b\": 1}", "{\"a\":\"\xef\xbf\xbd\",\"b\":1}"},
                           {"\xef\xbb\xbf{\"a\": 1}", "{\"a\":1}"},
                           {"\xef\xbb\xbf"
                            "a=1\n",
                            "{\"a\":\"1\"}"}};
INSTANTIATE_TEST_SUITE_P(Printed, PrintedFacts, testing::ValuesIn(kOutputs));

TEST(Classes, OneALine) {
  const auto classes = ParseClasses("settings\nnginx\n\n# no\n nginx \nsite::role\n");
  ASSERT_TRUE(classes.ok()) << classes.status();
  EXPECT_EQ(*classes, (std::vector<std::string>{"nginx", "settings", "site::role"}));
  EXPECT_EQ(*ParseClasses("a\xe9\n"), std::vector<std::string>{"a\xef\xbf\xbd"});
  EXPECT_FALSE(ParseClasses(std::string(2000, 'x')).ok());
  std::string many;
  for (int i = 0; i < 20'001; i++) absl::StrAppend(&many, "c", i, "\n");
  EXPECT_EQ(ParseClasses(many).status().message(), "more than 20000 classes");
  EXPECT_EQ(*ParseClasses("\xef\xbb\xbfnginx\r\n"), std::vector<std::string>{"nginx"});
}

TEST(Classes, OfChefAreKnownByBothNames) {
  const auto classes = ParseClasses(
      "role[web]\nrecipe[nginx]\nrecipe[apache2::mod_ssl@1.2.3]\nrecipe.users\n"
      "tag.canary\nrecipe[]\n");
  ASSERT_TRUE(classes.ok()) << classes.status();
  EXPECT_EQ(*classes,
            (std::vector<std::string>{"recipe.apache2::mod_ssl", "recipe.nginx", "recipe.users",
                                      "recipe[]", "recipe[apache2::mod_ssl@1.2.3]", "recipe[nginx]",
                                      "role.web", "role[web]", "tag.canary"}));
}

TEST(FactFormats, AByteOrderMarkIsNoPartOfAName) {
  EXPECT_EQ(*ParseJsonFacts("\xef\xbb\xbf{\"a\":1}"), nlohmann::json({{"a", 1}}));
  EXPECT_EQ(*ParsePrintedFacts("\xef\xbb\xbf{\"a\":1}"), nlohmann::json({{"a", 1}}));
  EXPECT_EQ(*ParsePrintedFacts("\xef\xbb\xbf"
                               "a=1\n"),
            nlohmann::json({{"a", "1"}}));
  EXPECT_EQ(*ParseYamlFacts("\xef\xbb\xbf"
                            "a: 1\n"),
            nlohmann::json({{"a", 1}}));
}

}  // namespace
}  // namespace orch::target
