// SPDX-License-Identifier: Apache-2.0
#include "controller/service/grpc_status.h"

#include <gtest/gtest.h>

#include "api/errors.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace orch::controller {
namespace {

google::rpc::Status DetailsOf(const grpc::Status& status) {
  google::rpc::Status out;
  EXPECT_TRUE(out.ParseFromString(status.error_details()));
  return out;
}

google::rpc::ErrorInfo InfoOf(const grpc::Status& status) {
  google::rpc::ErrorInfo info;
  const google::rpc::Status details = DetailsOf(status);
  for (const auto& any : details.details()) any.UnpackTo(&info);
  return info;
}

TEST(GrpcStatusTest, OkIsOk) { EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok()); }

TEST(GrpcStatusTest, CarriesCodeMessageAndEveryDetail) {
  const grpc::Status status =
      ToGrpc(api::WithRetry(api::BadField("spec.target.select", "column 3: oh"), absl::Seconds(2)));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "spec.target.select: column 3: oh");
  const google::rpc::Status details = DetailsOf(status);
  EXPECT_EQ(details.code(), 3);
  EXPECT_EQ(details.message(), status.error_message());
  ASSERT_EQ(details.details_size(), 3);
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(details.details(0).UnpackTo(&info)) << "the ErrorInfo comes first";
  EXPECT_EQ(info.reason(), "INVALID_ARGUMENT");
  EXPECT_EQ(info.domain(), "orch.v1");
  bool bad = false, retry = false;
  for (const auto& any : details.details()) {
    google::rpc::BadRequest request;
    google::rpc::RetryInfo info;
    if (any.UnpackTo(&request)) {
      bad = true;
      EXPECT_EQ(request.field_violations(0).field(), "spec.target.select");
    }
    if (any.UnpackTo(&info)) {
      retry = true;
      EXPECT_EQ(info.retry_delay().seconds(), 2);
    }
  }
  EXPECT_TRUE(bad);
  EXPECT_TRUE(retry);
}

TEST(GrpcStatusTest, AnErrorWithoutAReasonGetsOne) {
  const grpc::Status status = ToGrpc(absl::NotFoundError("no job"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(InfoOf(status).reason(), "NOT_FOUND");
}

TEST(GrpcStatusTest, StrangePayloadsStayHere) {
  absl::Status odd = absl::InternalError("x");
  odd.SetPayload("example.com/secret", absl::Cord("s"));
  EXPECT_EQ(DetailsOf(ToGrpc(odd)).details_size(), 1);
}

TEST(GrpcStatusTest, LongMessagesAreCutBetweenCharacters) {
  std::string text(kErrorMessageMax - 1, 'a');
  text += "\xC3\xA9\xC3\xA9";  // the cut would fall into the first é
  const grpc::Status status = ToGrpc(absl::InternalError(text));
  EXPECT_EQ(status.error_message(), std::string(kErrorMessageMax - 1, 'a'));
}

TEST(GrpcStatusTest, LargeDetailsGoTheErrorInfoStays) {
  const grpc::Status status =
      ToGrpc(api::WithResource(api::Error(absl::StatusCode::kNotFound, "JOB_NOT_FOUND", "gone"),
                               "orch.v1.Job", std::string(10000, 'x'), ""));
  EXPECT_LT(status.error_details().size(), 8192u * 3 / 4);
  EXPECT_EQ(InfoOf(status).reason(), "JOB_NOT_FOUND");
  EXPECT_EQ(DetailsOf(status).details_size(), 1);
}

TEST(GrpcStatusTest, AMessageOfOtherBytesIsMadeText) {
  const grpc::Status status =
      ToGrpc(absl::UnavailableError(std::string(kErrorMessageMax - 1, 'x') + "é"));
  EXPECT_EQ(status.error_message(), std::string(kErrorMessageMax - 1, 'x'));
  EXPECT_EQ(ToGrpc(absl::UnavailableError("a\xff")).error_message(), "a\xef\xbf\xbd");
}

}  // namespace
}  // namespace orch::controller
