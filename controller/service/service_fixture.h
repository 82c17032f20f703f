// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/errors.h"
#include "controller/gate/fake_dispatcher.h"
#include "controller/service/service.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "orch/v1/audit_service.grpc.pb.h"
#include "orch/v1/job_service.grpc.pb.h"
#include "orch/v1/node_service.grpc.pb.h"
#include "orch/v1/policy_service.grpc.pb.h"

namespace orch::controller {

inline constexpr absl::Duration kPatience = absl::Seconds(10);

// An audit log in memory.
class MemoryLog : public trust::AuditLog {
 public:
  absl::Status Append(std::vector<orch::v1::AuditRecord>* records) override {
    for (orch::v1::AuditRecord& record : *records) {
      record.set_sequence(records_.size() + 1);
      records_.push_back(record);
    }
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<orch::v1::AuditRecord>> List(uint64_t before,
                                                          int limit) const override {
    std::vector<orch::v1::AuditRecord> out;
    for (auto record = records_.rbegin(); record != records_.rend(); ++record) {
      if (static_cast<int>(out.size()) == limit) break;
      if (before == 0 || record->sequence() < before) out.push_back(*record);
    }
    return out;
  }

 private:
  std::vector<orch::v1::AuditRecord> records_;
};

// The real gRPC services on a free loopback port, over a fake dispatcher.
class ServiceFixture : public ::testing::Test {
 protected:
  static constexpr char kPolicy[] = R"(
rules:
  - {effect: deny, callers: ['*'], actions: [puppet.disable]}
  - {effect: allow, callers: [local=insecure, cert=operator], actions: ['*']}
)";

  ServiceFixture() {
    options_.listen = "127.0.0.1:0";
    options_.insecure_loopback = true;
  }
  ~ServiceFixture() override {
    services_.reset();
    work_.reset();
    io_.stop();
    for (std::thread& thread : threads_) thread.join();
  }

  void Start(std::shared_ptr<trust::Credentials> credentials = nullptr) {
    const auto policy = policy::Policy::ParseNative(policy_, "policy.yaml");
    ASSERT_TRUE(policy.ok()) << policy.status();
    const auto audit = AuditStore::Open([]() -> absl::StatusOr<std::unique_ptr<trust::AuditLog>> {
      return std::make_unique<MemoryLog>();
    });
    ASSERT_TRUE(audit.ok());
    audit_ = *audit;
    GateParts parts{.strand = base::Strand(io_.get_executor()),
                    .dispatcher = dispatcher_.port(),
                    .credentials = credentials,
                    .audit = [audit = audit_](auto record, auto done) {
                      audit->PostAppend(std::move(record), std::move(done));
                    }};
    gate_options_.insecure_loopback = options_.insecure_loopback;
    gate_ = std::make_shared<Gate>(std::move(parts), gate_options_, *policy);
    for (int i = 0; i < 2; ++i) threads_.emplace_back([this] { io_.run(); });
    auto services = Services::Start({.io = &io_,
                                     .gate = gate_,
                                     .dispatcher = dispatcher_.port(),
                                     .audit = audit_.get(),
                                     .credentials = credentials},
                                    options_);
    ASSERT_TRUE(services.ok()) << services.status();
    services_ = *std::move(services);
    channel_ = grpc::CreateChannel(services_->address(), grpc::InsecureChannelCredentials());
  }

  static void Limit(grpc::ClientContext* context, absl::Duration limit = kPatience) {
    context->set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(limit));
  }

  // A unary call; the response is in `*out`.
  template <typename Stub, typename Method, typename Request, typename Response>
  grpc::Status Call(const std::unique_ptr<Stub>& stub, Method method, const Request& request,
                    Response* out) {
    grpc::ClientContext context;
    Limit(&context);
    return (stub.get()->*method)(&context, request, out);
  }
  std::unique_ptr<orch::v1::JobService::Stub> Jobs() {
    return orch::v1::JobService::NewStub(channel_);
  }
  std::unique_ptr<orch::v1::NodeService::Stub> Nodes() {
    return orch::v1::NodeService::NewStub(channel_);
  }
  std::unique_ptr<orch::v1::PolicyService::Stub> Policies() {
    return orch::v1::PolicyService::NewStub(channel_);
  }

  FakeDispatcher::Seen Seen() {
    auto promise = std::make_shared<std::promise<FakeDispatcher::Seen>>();
    dispatcher_.PostSeen([promise](FakeDispatcher::Seen seen) { promise->set_value(seen); });
    return promise->get_future().get();
  }
  // Until it holds; false after kPatience.
  template <typename Condition>
  static bool Eventually(Condition condition) {
    const absl::Time end = absl::Now() + kPatience;
    while (!condition()) {
      if (absl::Now() > end) return false;
      std::this_thread::yield();
    }
    return true;
  }
  static std::string ReasonOf(const grpc::Status& status) {
    google::rpc::Status details;
    google::rpc::ErrorInfo info;
    if (!details.ParseFromString(status.error_details())) return "";
    for (const auto& any : details.details()) {
      if (any.UnpackTo(&info)) return info.reason();
    }
    return "";
  }

  std::string policy_ = kPolicy;  // until Start
  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_ =
      boost::asio::make_work_guard(io_);
  FakeDispatcher dispatcher_{base::Strand(io_.get_executor())};
  std::shared_ptr<AuditStore> audit_;
  ServiceOptions options_;
  GateOptions gate_options_;
  std::shared_ptr<Gate> gate_;
  std::unique_ptr<Services> services_;
  std::shared_ptr<grpc::Channel> channel_;
  std::vector<std::thread> threads_;
};

}  // namespace orch::controller
