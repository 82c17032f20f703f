// SPDX-License-Identifier: Apache-2.0
#include "cli/node_files.h"

#include <gtest/gtest.h>

namespace orch::cli {
namespace {

std::string Facts(const std::string& text, const std::string& path = "-") {
  const absl::StatusOr<nlohmann::json> facts = ParseFacts(path, text);
  return facts.ok() ? facts->dump() : std::string(facts.status().message());
}

TEST(NodeFilesTest, ReadsJsonAndYaml) {
  EXPECT_EQ(Facts("{\"a\": {\"b\": [1, 2.5, true, null]}}"), "{\"a\":{\"b\":[1,2.5,true,null]}}");
  EXPECT_EQ(Facts("---\na:\n  b: [1, 2.5, true, ~]\n"), "{\"a\":{\"b\":[1,2.5,true,null]}}");
  EXPECT_EQ(Facts("a: \"1\"\nb: 010\nc: 1.2.3\nd: -4\ne: yes\nf: 12:30\ng: -x\nh: 2001-01-01\n"),
            "{\"a\":\"1\",\"b\":10,\"c\":\"1.2.3\",\"d\":-4,\"e\":\"yes\",\"f\":\"12:30\","
            "\"g\":\"-x\",\"h\":\"2001-01-01\"}");
}

// One reading for both: what a node makes of each is in target/fact_formats_test.cc.
TEST(NodeFilesTest, TypesAsTheNodeDoes) {
  EXPECT_EQ(Facts("a: True\nb: +5\nc: 0x10\nd: .5\ne: 0o10\nf: 12345678901234567890123\n"),
            "{\"a\":true,\"b\":5,\"c\":16,\"d\":0.5,\"e\":8,"
            "\"f\":\"12345678901234567890123\"}");
  EXPECT_EQ(Facts("a: 1\na: 2\n"), "line 2: two keys a");
  EXPECT_EQ(Facts("a: 1\n---\na: 2\n"), "a second document; facts are one");
  EXPECT_EQ(Facts("{a: 1}", "facts.yaml"), "{\"a\":1}");
  EXPECT_EQ(Facts("# role\nrole=web\n", "role.txt"), "{\"role\":\"web\"}");
  EXPECT_EQ(Facts("a: 1\n", "facts.json").substr(0, 10), "not JSON: ");
}

TEST(NodeFilesTest, SaysWhatIsWrong) {
  EXPECT_EQ(Facts(" \n"), "it is empty");
  EXPECT_EQ(Facts("[1]"), "facts are a JSON object, this is array");
  EXPECT_EQ(Facts("- 1"), "facts are a mapping, this is array");
  EXPECT_EQ(Facts("{\"a\": }").substr(0, 45), "not JSON: parse error at line 1, column 7: sy");
  EXPECT_EQ(Facts("a: [1").substr(0, 10), "not YAML: ");
}

TEST(NodeFilesTest, AnOddByteCostsNoMoreThanItself) {
  EXPECT_EQ(Facts("a: \"\xFF\""), "{\"a\":\"\xef\xbf\xbd\"}");
  EXPECT_EQ(Facts("{\"a\": \"\xFF\"}"), "{\"a\":\"\xef\xbf\xbd\"}");
}

}  // namespace
}  // namespace orch::cli
