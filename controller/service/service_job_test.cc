// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "api/names.h"
#include "controller/service/service_fixture.h"

namespace orch::controller {
namespace {

using namespace orch::v1;  // NOLINT: messages of the services

class JobServiceTest : public ServiceFixture {
 protected:
  template <typename Method, typename Request, typename Response>
  grpc::Status Call(Method method, const Request& request, Response* out) {
    grpc::ClientContext context;
    Limit(&context);
    const auto stub = JobService::NewStub(channel_);
    return (stub.get()->*method)(&context, request, out);
  }
};

TEST_F(JobServiceTest, OneNodeOfAJob) {
  Start();
  dispatcher_.PostAddJob(TestUlid(1), "local=insecure");
  GetJobNodeRequest request;
  request.set_name(api::JobNodeName(TestUlid(1), "node007"));
  GetJobNodeResponse response;
  ASSERT_TRUE(Call(&JobService::Stub::GetJobNode, request, &response).ok());
  EXPECT_EQ(response.node().node(), "node007");
  request.set_name(api::JobNodeName(TestUlid(1), "stranger"));
  grpc::Status status = Call(&JobService::Stub::GetJobNode, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ReasonOf(status), "JOB_NODE_NOT_FOUND");
  request.set_name(api::JobNodeName(TestUlid(2), "node007"));
  EXPECT_EQ(ReasonOf(Call(&JobService::Stub::GetJobNode, request, &response)), "JOB_NOT_FOUND");
  request.set_name(api::JobName(TestUlid(1)));
  EXPECT_EQ(Call(&JobService::Stub::GetJobNode, request, &response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(JobServiceTest, TheCatalogTellsWhatAnActionTakes) {
  Start();
  ListCatalogResponse catalog;
  ASSERT_TRUE(Call(&JobService::Stub::ListCatalog, ListCatalogRequest(), &catalog).ok());
  const auto run =
      std::find_if(catalog.actions().begin(), catalog.actions().end(),
                   [](const CatalogAction& action) { return action.name() == "puppet.run"; });
  ASSERT_NE(run, catalog.actions().end());
  EXPECT_TRUE(run->mutates());
  EXPECT_EQ(run->run_timeout().seconds(), 3660);
  EXPECT_FALSE(run->has_answer_timeout());
  EXPECT_EQ(run->schema_digest().size(), 32u);
  ASSERT_GT(run->arguments_size(), 3);
  EXPECT_EQ(run->arguments(0).name(), "noop");
  EXPECT_EQ(run->arguments(0).type(), "true|false");
  EXPECT_EQ(run->arguments(3).pattern(), "\\w{1,255}");
}

}  // namespace
}  // namespace orch::controller
