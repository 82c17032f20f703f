// SPDX-License-Identifier: Apache-2.0
#include "cli/node_files.h"

#include <gtest/gtest.h>

namespace orch::cli {
namespace {

std::string Facts(const std::string& text) {
  const absl::StatusOr<nlohmann::json> facts = ParseFacts(text);
  return facts.ok() ? facts->dump() : std::string(facts.status().message());
}

TEST(NodeFilesTest, ReadsJsonAndYaml) {
  EXPECT_EQ(Facts("{\"a\": {\"b\": [1, 2.5, true, null]}}"), "{\"a\":{\"b\":[1,2.5,true,null]}}");
  EXPECT_EQ(Facts("---\na:\n  b: [1, 2.5, true, ~]\n"), "{\"a\":{\"b\":[1,2.5,true,null]}}");
  EXPECT_EQ(Facts("a: \"1\"\nb: 010\nc: 1.2.3\nd: -4\ne: yes\nf: 12:30\ng: -x\nh: 2001-01-01\n"),
            "{\"a\":\"1\",\"b\":\"010\",\"c\":\"1.2.3\",\"d\":-4,\"e\":\"yes\",\"f\":\"12:30\","
            "\"g\":\"-x\",\"h\":\"2001-01-01\"}");
}

TEST(NodeFilesTest, SaysWhatIsWrong) {
  EXPECT_EQ(Facts(" \n"), "it is empty");
  EXPECT_EQ(Facts("[1]"), "neither a JSON object nor a mapping");
  EXPECT_EQ(Facts("- 1"), "neither a JSON object nor a mapping");
  EXPECT_EQ(Facts("{\"a\": }").substr(0, 45), "not JSON: parse error at line 1, column 7: sy");
  EXPECT_EQ(Facts("a: [1").substr(0, 10), "not YAML: ");
  EXPECT_EQ(Facts("a: \"\xFF\""), "not UTF-8");
  EXPECT_EQ(Facts("{\"a\": \"\xFF\"}").substr(0, 10), "not JSON: ");
}

TEST(NodeFilesTest, HostileFilesEnd) {
  EXPECT_EQ(Facts("{\"a\":" + std::string(1'000'000, '[')), "nested too deeply");
  EXPECT_NE(Facts("a: " + std::string(30, '[') + std::string(30, ']')), "");
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string last = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last;
    for (int k = 0; k < 9; ++k) bomb += ", " + last;
    bomb += "]\n";
  }
  EXPECT_EQ(Facts(bomb), "too many values");
}

TEST(NodeFilesTest, ClassesAreLines) {
  EXPECT_EQ(ParseClasses("b\r\n\n# no\n a \n"), (std::vector<std::string>{"a", "b"}));
}

}  // namespace
}  // namespace orch::cli
