// SPDX-License-Identifier: Apache-2.0
#include "controller/puppetdb/pql.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "api/errors.h"

namespace orch::controller {
namespace {

using Names = std::vector<std::string>;

TEST(PuppetDbUrlTest, HasSchemeHostPortAndPerhapsAPath) {
  const auto plain = ParsePuppetDbUrl("https://puppetdb:8081");
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_TRUE(plain->tls);
  EXPECT_EQ(plain->host, "puppetdb:8081");
  EXPECT_EQ(plain->host_port, "puppetdb:8081");
  EXPECT_EQ(plain->path, "/pdb/query/v4");
  const auto behind = ParsePuppetDbUrl("https://[2001:db8::1]/puppet/");
  ASSERT_TRUE(behind.ok()) << behind.status();
  EXPECT_EQ(behind->host_port, "[2001:db8::1]:443");
  EXPECT_EQ(behind->path, "/puppet/pdb/query/v4");
  EXPECT_FALSE(ParsePuppetDbUrl("http://127.0.0.1:8080")->tls);
}

TEST(PuppetDbUrlTest, RefusesWhatIsNotOne) {
  for (const char* url :
       {"", "puppetdb:8081", "ftp://puppetdb", "https://", "https://a b", "https://u@puppetdb:8081",
        "https://puppetdb:port", "https://puppetdb/?a=b", "https://a\r\nX: y"}) {
    EXPECT_EQ(ParsePuppetDbUrl(url).status().code(), absl::StatusCode::kInvalidArgument) << url;
  }
  EXPECT_TRUE(absl::StrContains(ParsePuppetDbUrl("http://puppetdb:8080").status().message(),
                                "not puppetdb: use https://"));
}

TEST(PqlTest, IsCheckedBeforeItIsSent) {
  EXPECT_TRUE(ValidatePql("pql", "nodes[certname]{\n\tfacts{name = \"os\"}}").ok());
  EXPECT_FALSE(ValidatePql("pql", " \n").ok());
  EXPECT_FALSE(ValidatePql("pql", "nodes[certname]\x01").ok());
  EXPECT_FALSE(ValidatePql("pql", std::string(kPqlBytesMax + 1, 'x')).ok());
  EXPECT_EQ(PqlBody("a \"b\""), R"({"query":"a \"b\""})");
  EXPECT_EQ(PqlBody("a\xff"), "{\"query\":\"a\xef\xbf\xbd\"}");
}

TEST(PuppetDbAnswerTest, GivesEachCertnameOnce) {
  EXPECT_EQ(*CertnamesIn(200, R"([{"certname":"b"},{"certname":"a","value":1},{"certname":"b"}])"),
            (Names{"a", "b"}));
  EXPECT_EQ(*CertnamesIn(200, "[]"), Names());
}

TEST(PuppetDbAnswerTest, SaysWhatIsWrong) {
  const absl::Status bad =
      CertnamesIn(400, "PQL parse error at line 1, column 6:\n\nnodes(\n").status();
  EXPECT_EQ(bad.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(bad.message(), "PQL parse error at line 1, column 6: nodes(");
  EXPECT_EQ(CertnamesIn(200, R"([{"name":"a"}])").status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CertnamesIn(200, R"([{"certname":"A b"}])").status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CertnamesIn(200, "[[]]").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(api::ReasonOf(CertnamesIn(403, "no").status()), "PUPPETDB_REFUSED");
  for (const char* body : {"", "{}", "<html>", "[{\"certname\":\"a\"}"}) {
    EXPECT_EQ(api::ReasonOf(CertnamesIn(200, body).status()), "PUPPETDB_UNAVAILABLE") << body;
  }
  EXPECT_EQ(api::ReasonOf(CertnamesIn(503, "maintenance").status()), "PUPPETDB_UNAVAILABLE");
  std::string many = "[{\"certname\":\"a\"}";
  for (size_t i = 0; i < kPuppetDbNodesMax; ++i) absl::StrAppend(&many, ",{\"certname\":\"a\"}");
  EXPECT_EQ(api::ReasonOf(CertnamesIn(200, many + "]").status()), "PUPPETDB_ANSWER_TOO_LARGE");
}

TEST(PqlTest, OnlyNarrows) {
  EXPECT_EQ(NarrowedTo({"a", "b"}, {}), (Names{"a", "b"}));
  EXPECT_EQ(NarrowedTo({"a", "b"}, {"b", "c"}), Names{"b"});
  EXPECT_EQ(NarrowedTo({"a"}, {"c"}), Names());
}

}  // namespace
}  // namespace orch::controller
