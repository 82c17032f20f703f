// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/server_interceptor.h>

#include <memory>
#include <vector>

// gRPC answers UNIMPLEMENTED where the bytes of a request are no message of its type, before
// anything of ours is asked. A caller would look for a method that is missing; it is told that its
// request is wrong: INVALID_ARGUMENT.

namespace orch::controller {

// For ServerBuilder. No method of ours answers UNIMPLEMENTED itself; those of other services, and
// methods that do not exist, are left alone. Thread-safe: keeps nothing.
std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>
ParseFailureInterceptors();

}  // namespace orch::controller
