// SPDX-License-Identifier: Apache-2.0
#include "cli/nodes_file.h"

#include <gtest/gtest.h>

#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace orch::cli {
namespace {

using Names = std::vector<std::string>;

TEST(ParseNodesTest, TextHasOneNameALineAndComments) {
  const auto names = ParseNodes("# fleet\n b.example \na.example # first\n\na.example\n");
  ASSERT_TRUE(names.ok()) << names.status();
  EXPECT_EQ(*names, (Names{"a.example", "b.example"}));
}

TEST(ParseNodesTest, TextNamesTheBadLine) {
  EXPECT_EQ(ParseNodes("ok\nnot ok\n").status().message(),
            "line 2: `not ok` is not a node's identity");
}

TEST(ParseNodesTest, ReadsWhatFindAndNodeListPrinted) {
  EXPECT_EQ(
      *ParseNodes(
          R"({"nodes":[{"name":"nodes/a","identity":"a"},{"identity":"b"}],"silent":[{"identity":"s"}]})"),
      (Names{"a", "b"}));
  EXPECT_EQ(*ParseNodes("{\"identity\":\"a\"}\n{\"identity\":\"b\"}\n"), (Names{"a", "b"}));
  EXPECT_EQ(*ParseNodes(R"(["a","b"])"), (Names{"a", "b"}));
  EXPECT_EQ(*ParseNodes(R"({"job":{"name":""},"nodes":["a","b"]})"), (Names{"a", "b"}));
}

TEST(ParseNodesTest, OfAJobOnlyThoseThatWereHeard) {
  std::string report =
      R"({"job":{"name":"jobs/X"},"nodes":[{"node":"a","state":"NODE_STATE_FAILED"})";
  for (const char* state : {"SUCCEEDED", "REFUSED", "DENIED", "TIMED_OUT", "LOST", "RUNNING",
                            "ACCEPTED", "NO_RESPONSE", "CANCELLED", "PENDING", "SENT"}) {
    std::string name = state;
    for (char& c : name) c = c == '_' ? '-' : static_cast<char>(tolower(c));
    absl::StrAppend(&report, R"(,{"node":")", name, R"(","state":"NODE_STATE_)", state, R"("})");
  }
  EXPECT_EQ(*ParseNodes(report + "]}"), (Names{"a", "accepted", "denied", "lost", "refused",
                                               "running", "succeeded", "timed-out"}));
}

TEST(ParseNodesTest, OfAJobsEventsTheLastWordCounts) {
  EXPECT_EQ(*ParseNodes(R"({"sequence":"1","started":{"job":{},"nodes":["a","b","c"]}}
{"sequence":"2","node":{"node":"a","state":"NODE_STATE_SENT"}}
{"sequence":"3","node":{"node":"b","state":"NODE_STATE_NO_RESPONSE"}}
{"sequence":"4","node":{"node":"a","state":"NODE_STATE_SUCCEEDED"}}
{"sequence":"5","finished":{"name":"jobs/X"}}
)"),
            Names{"a"});
}

TEST(ParseNodesTest, ReadsNothingThatIsNestedWithoutEnd) {
  const std::string open(200'000, '['), close(200'000, ']');
  for (const std::string& text : {open + close, "{\"nodes\":" + open + close + "}", open}) {
    EXPECT_EQ(ParseNodes(text).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(ParseNodesTest, ReadsYaml) {
  EXPECT_EQ(*ParseNodes("nodes:\n  - identity: a\n    state: ROSTER_STATE_PRESENT\nsilent:\n"
                        "  - identity: s\n"),
            Names{"a"});
  EXPECT_EQ(*ParseNodes("# of yesterday\n- a\n- b\n"), (Names{"a", "b"}));
  EXPECT_EQ(*ParseNodes("job:\n  name: jobs/X\nnodes:\n- node: a\n  state: NODE_STATE_NO_RESPONSE\n"
                        "- node: b\n  state: NODE_STATE_FAILED\n"),
            Names{"b"});
  const absl::Status broken = ParseNodes("nodes:\n  - {identity: a\n").status();
  EXPECT_TRUE(absl::StartsWith(broken.message(), "line 3: not YAML: ")) << broken;
}

TEST(ParseNodesTest, AliasesCantMakeMuchOfLittle) {
  std::string bomb = "a0: &a0 [x]\n";
  for (int i = 1; i < 40; ++i) {
    absl::StrAppend(&bomb, "a", i, ": &a", i, " [*a", i - 1, ", *a", i - 1, "]\n");
  }
  EXPECT_EQ(ParseNodes(bomb + "nodes: *a39\n").status().message(), "too much YAML");
}

TEST(ParseNodesTest, RefusesBrokenJsonAndBadNames) {
  EXPECT_EQ(ParseNodes("{\"identity\":\"a\"}\n{broken\n").status().message(), "line 2: not JSON");
  EXPECT_FALSE(ParseNodes(R"(["a/../b"])").ok());
}

TEST(NodesFileTest, SaysWhichFile) {
  EXPECT_EQ(ReadNodesFile("/nonexistent/nodes").status().message(),
            "--nodes /nonexistent/nodes: open: No such file or directory");
  const std::string path = absl::StrCat(::testing::TempDir(), "/nodes");
  std::ofstream(path) << "# nobody\n";
  EXPECT_EQ(ReadNodesFile(path).status().message(),
            absl::StrCat("--nodes ", path, " names no node"));
  std::ofstream(path) << "a\n";
  EXPECT_EQ(*ReadNodesFile(path), Names{"a"});
}

TEST(NodesFile, AByteOrderMarkIsNoPartOfAName) {
  EXPECT_EQ(*ParseNodes("\xef\xbb\xbfweb01.example.net\r\nweb02\r\n"),
            (std::vector<std::string>{"web01.example.net", "web02"}));
  EXPECT_EQ(*ParseNodes("\xef\xbb\xbf{\"nodes\":[{\"identity\":\"a\"}]}"),
            std::vector<std::string>{"a"});
}

}  // namespace
}  // namespace orch::cli
