// SPDX-License-Identifier: Apache-2.0
#include "cli/job_ids.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "api/errors.h"

namespace orch::cli {
namespace {

constexpr char kOld[] = "01M8Q3P3AAAAAAAAAAAAAAAAAA";
constexpr char kMiddle[] = "01M8Q3P3BBBBBBBBBBBBBBBBBB";
constexpr char kNew[] = "01M8R000CCCCCCCCCCCCCCCCCC";

// Knows three jobs, one a page, of which the oldest is the caller's; all other calls fail.
class Jobs : public Connection {
 public:
  absl::StatusOr<orch::v1::CreateJobResponse> Call(const orch::v1::CreateJobRequest&) override {
    return absl::UnimplementedError("");
  }
  absl::StatusOr<orch::v1::GetJobResponse> Call(const orch::v1::GetJobRequest&) override {
    return absl::UnimplementedError("");
  }
  absl::StatusOr<orch::v1::GetJobNodeResponse> Call(const orch::v1::GetJobNodeRequest&) override {
    return absl::UnimplementedError("");
  }
  absl::StatusOr<orch::v1::ListJobNodesResponse> Call(
      const orch::v1::ListJobNodesRequest&) override {
    return absl::UnimplementedError("");
  }
  absl::StatusOr<orch::v1::CancelJobResponse> Call(const orch::v1::CancelJobRequest&) override {
    return absl::UnimplementedError("");
  }
  absl::StatusOr<orch::v1::PauseJobResponse> Call(const orch::v1::PauseJobRequest&) override {
    return absl::UnimplementedError("");
  }
  absl::StatusOr<orch::v1::ResumeJobResponse> Call(const orch::v1::ResumeJobRequest&) override {
    return absl::UnimplementedError("");
  }
  absl::StatusOr<orch::v1::ListNodesResponse> Call(const orch::v1::ListNodesRequest&) override {
    return absl::UnimplementedError("");
  }
  absl::StatusOr<orch::v1::GetNodeResponse> Call(const orch::v1::GetNodeRequest&) override {
    return absl::UnimplementedError("");
  }
  absl::StatusOr<orch::v1::ExplainPolicyResponse> Call(
      const orch::v1::ExplainPolicyRequest&) override {
    return absl::UnimplementedError("");
  }
  absl::StatusOr<orch::v1::ExplainTargetResponse> Call(
      const orch::v1::ExplainTargetRequest&) override {
    return absl::UnimplementedError("");
  }
  absl::StatusOr<orch::v1::ListAuditResponse> Call(const orch::v1::ListAuditRequest&) override {
    return absl::UnimplementedError("");
  }
  absl::StatusOr<orch::v1::ListJobsResponse> Call(const orch::v1::ListJobsRequest& r) override {
    ++calls;
    orch::v1::ListJobsResponse response;
    if (!r.caller().empty()) {
      if (r.caller() == "cert=alice") response.add_jobs()->set_name(absl::StrCat("jobs/", kOld));
      return response;
    }
    const size_t page = r.page_token().size();
    const char* const ids[] = {kNew, kMiddle, kOld};
    response.add_jobs()->set_name(absl::StrCat("jobs/", ids[page]));
    if (page < 2) response.set_next_page_token(std::string(page + 1, 'x'));
    return response;
  }
  absl::StatusOr<orch::v1::WhoAmIResponse> Call(const orch::v1::WhoAmIRequest&) override {
    orch::v1::WhoAmIResponse response;
    response.set_caller(caller);
    return response;
  }
  std::unique_ptr<JobStream> Run(const orch::v1::RunJobRequest&) override { return nullptr; }
  std::unique_ptr<JobStream> Watch(const orch::v1::WatchJobRequest&) override { return nullptr; }
  std::unique_ptr<NodeStream> Discover(const orch::v1::DiscoverNodesRequest&) override {
    return nullptr;
  }
  std::unique_ptr<NodeChanges> WatchNodes(const orch::v1::WatchNodesRequest&) override {
    return nullptr;
  }
  void AwaitReachable(absl::Duration) override {}
  const std::string& address() const override { return caller; }

  std::string caller = "cert=alice";
  int calls = 0;
};

TEST(JobIdsTest, AWholeIdAsksNobody) {
  Jobs jobs;
  EXPECT_EQ(*ResolveJob(jobs, kOld), absl::StrCat("jobs/", kOld));
  EXPECT_EQ(*ResolveJob(jobs, absl::StrCat("jobs/", kOld)), absl::StrCat("jobs/", kOld));
  EXPECT_EQ(*ResolveJob(jobs, "01m8q3p3aaaaaaaaaaaaaaaaaa"), absl::StrCat("jobs/", kOld));
  EXPECT_EQ(jobs.calls, 0);
}

TEST(JobIdsTest, AUniqueBeginningIsTheJob) {
  Jobs jobs;
  EXPECT_EQ(*ResolveJob(jobs, "01m8q3p3b"), absl::StrCat("jobs/", kMiddle));
  EXPECT_EQ(*ResolveJob(jobs, "jobs/01M8Q3P3A"), absl::StrCat("jobs/", kOld));
  jobs.calls = 0;
  EXPECT_EQ(*ResolveJob(jobs, "01M8R"), absl::StrCat("jobs/", kNew));
  EXPECT_EQ(jobs.calls, 2);  // the second page is older than what is looked for
  const absl::Status several = ResolveJob(jobs, "01M8Q3P3").status();
  EXPECT_EQ(several.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(several.message(), kOld)) << several;
  EXPECT_TRUE(absl::StrContains(several.message(), kMiddle)) << several;
  const absl::Status none = ResolveJob(jobs, "01M9").status();
  EXPECT_EQ(none.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(api::ReasonOf(none), "JOB_NOT_FOUND");
}

TEST(JobIdsTest, LastIsTheCallersNewest) {
  Jobs jobs;
  EXPECT_EQ(*ResolveJob(jobs, "last"), absl::StrCat("jobs/", kOld));
  jobs.caller = "cert=bob";
  EXPECT_EQ(api::ReasonOf(ResolveJob(jobs, "last").status()), "JOB_NOT_FOUND");
}

TEST(JobIdsTest, WhatIsNoJobIsRefused) {
  Jobs jobs;
  for (const char* given :
       {"", "01M", "jobs/", "web1.example.net", "01M8Q3P3AAAAAAAAAAAAAAAAAAA"}) {
    EXPECT_EQ(ResolveJob(jobs, given).status().code(), absl::StatusCode::kInvalidArgument) << given;
  }
  EXPECT_EQ(jobs.calls, 0);
}

}  // namespace
}  // namespace orch::cli
