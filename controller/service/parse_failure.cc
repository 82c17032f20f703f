// SPDX-License-Identifier: Apache-2.0
#include "controller/service/parse_failure.h"

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "api/errors.h"
#include "controller/service/grpc_status.h"

namespace orch::controller {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::InterceptorBatchMethods;

class ParseFailure : public grpc::experimental::Interceptor {
 public:
  void Intercept(InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS) &&
        methods->GetSendStatus().error_code() == grpc::StatusCode::UNIMPLEMENTED) {
      methods->ModifySendStatus(
          ToGrpc(api::Error(absl::StatusCode::kInvalidArgument, "INVALID_ARGUMENT",
                            "the request is no message of its type")));
    }
    methods->Proceed();
  }
};

class Factory : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* call) override {
    return absl::StartsWith(call->method(), "/orch.v1.") ? new ParseFailure : nullptr;
  }
};

}  // namespace

std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>
ParseFailureInterceptors() {
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> out;
  out.push_back(std::make_unique<Factory>());
  return out;
}

}  // namespace orch::controller
