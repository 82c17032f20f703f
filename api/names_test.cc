// SPDX-License-Identifier: Apache-2.0
#include "api/names.h"

#include <gtest/gtest.h>

#include "api/errors.h"

namespace orch::api {
namespace {

constexpr char kId[] = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

TEST(NamesTest, ThereAndBack) {
  EXPECT_EQ(JobName(kId), std::string("jobs/") + kId);
  EXPECT_EQ(JobIdOf(JobName(kId)), kId);
  EXPECT_EQ(JobIdOf(kId), kId);
  EXPECT_EQ(NodeName("web1"), "nodes/web1");
  EXPECT_EQ(IdentityOf("nodes/web1"), "web1");
  EXPECT_EQ(JobNodeName(kId, "web1"), JobName(kId) + "/nodes/web1");
}

TEST(NamesTest, OnlyANodeOfAJobIsOne) {
  const absl::StatusOr<JobNodeId> id = ParseJobNodeName("name", JobNodeName(kId, "web1.example"));
  ASSERT_TRUE(id.ok()) << id.status();
  EXPECT_EQ(id->job_id, kId);
  EXPECT_EQ(id->node, "web1.example");
  for (const std::string& name :
       {std::string(), std::string("jobs"), JobName(kId), JobName(kId) + "/", JobNodeName(kId, ""),
        JobNodeName(kId, "a/b"), JobNodeName("x", "a"), NodeName("a")}) {
    EXPECT_EQ(ParseJobNodeName("name", name).status().code(), absl::StatusCode::kInvalidArgument)
        << name;
  }
}

TEST(NamesTest, OnlyAJobsNameIsOne) {
  EXPECT_EQ(*ParseJobName("name", JobName(kId)), kId);
  for (const std::string& name : {std::string(), std::string("jobs/"), std::string(kId),
                                  std::string("jobs/x"), JobNodeName(kId, "a")}) {
    const absl::Status refused = ParseJobName("parent", name).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_EQ(refused.message(), "parent: `" + name + "` is not jobs/<ULID>");
  }
}

TEST(NamesTest, OnlyANodesNameIsOne) {
  EXPECT_EQ(*ParseNodeName("name", "nodes/web1.example.net"), "web1.example.net");
  for (const char* name : {"", "nodes/", "web1", "nodes/../x", "nodes/Web1"}) {
    EXPECT_EQ(ParseNodeName("name", name).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace orch::api
