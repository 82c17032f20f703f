// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "api/errors.h"
#include "base/asio.h"
#include "controller/gate/fake_dispatcher.h"
#include "controller/gate/gate.h"
#include "google/rpc/error_details.pb.h"
#include "test/testing/test_ca.h"

namespace orch::controller {

inline constexpr char kGatePolicy[] = R"(
groups:
  operators: [cert=operator]
rules:
  - {effect: allow, callers: [operators], actions: [puppet.run, node.ping, job.get]}
  - {effect: allow, callers: [cert=admin], actions: ['*']}
  - {effect: allow, callers: [cert=web], actions: [node.list, node.ping], where: role=web}
  - {effect: allow, callers: [cert=reader], actions: [node.list, audit.list]}
  - {effect: allow, callers: [cert=pinger], actions: [node.ping]}
)";

// The gate over fakes, on a context driven by hand.
class GateTest : public ::testing::Test {
 protected:
  using Names = std::vector<std::string>;

  GateTest() { MakeGate(); }

  void MakeGate() {
    const auto policy = policy::Policy::ParseNative(kGatePolicy, "policy.yaml");
    EXPECT_TRUE(policy.ok()) << policy.status();
    GateParts parts{
        .strand = base::Strand(io_.get_executor()),
        .dispatcher = dispatcher_.port(),
        .credentials = orch::testing::NewCredentials(&ca_, "controller", trust::Role::kController),
        .authenticator = authenticator_,
        .audit = [this](orch::v1::AuditRecord record, auto done) {
          audit_.push_back(std::move(record));
          done(audit_status_);
        }};
    if (puppetdb_.has_value()) {
      parts.puppetdb = [this](const std::string&, auto done) {
        ++asked_;
        done(*puppetdb_);
      };
    }
    GateOptions options;
    options.controller = "controller";
    options.watchers_max = 3;
    options.watchers_per_caller_max = 2;
    gate_ = std::make_shared<Gate>(std::move(parts), options, *policy);
  }

  CallerEvidence As(const std::string& name, trust::Role role = trust::Role::kUser) {
    return {ca_.Issue(name, role).pem, "127.0.0.1:4711"};
  }
  void Run() {
    io_.restart();
    io_.run();
  }
  // Calls `post(callback)` and gives what it answered.
  template <typename T, typename Post>
  absl::StatusOr<T> Await(Post post) {
    absl::StatusOr<T> out = absl::UnknownError("no answer");
    int answers = 0;
    post([&](absl::StatusOr<T> result) {
      out = std::move(result);
      ++answers;
    });
    Run();
    EXPECT_EQ(answers, 1);
    return out;
  }
  static JobRequest Ping() {
    JobRequest request;
    request.spec.mutable_action()->mutable_node_ping();
    return request;
  }
  static JobRequest PuppetRun() {
    JobRequest request;
    request.spec.mutable_action()->mutable_puppet_run();
    return request;
  }
  absl::StatusOr<CreatedJob> Create(CallerEvidence who, JobRequest request) {
    return Await<CreatedJob>([&](auto done) { gate_->PostCreateJob(who, request, done); });
  }
  FakeDispatcher::Seen Seen() {
    FakeDispatcher::Seen out;
    dispatcher_.PostSeen([&](FakeDispatcher::Seen seen) { out = std::move(seen); });
    Run();
    return out;
  }
  static std::string FieldOf(const absl::Status& status) {
    google::rpc::BadRequest bad;
    const auto payload = status.GetPayload(absl::StrCat(api::kTypeUrlPrefix, "BadRequest"));
    if (!payload.has_value() || !bad.ParseFromString(std::string(*payload))) return "";
    return bad.field_violations(0).field();
  }

  orch::testing::TestCa ca_;
  boost::asio::io_context io_;
  FakeDispatcher dispatcher_{base::Strand(io_.get_executor())};
  std::vector<orch::v1::AuditRecord> audit_;
  absl::Status audit_status_;
  std::shared_ptr<Authenticator> authenticator_;   // null: by certificate
  std::optional<absl::StatusOr<Names>> puppetdb_;  // what it answers; none: not configured
  int asked_ = 0;
  std::shared_ptr<Gate> gate_;
};

}  // namespace orch::controller
