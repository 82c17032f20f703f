// SPDX-License-Identifier: Apache-2.0
#include "base/config.h"
#include "controller/service/service_fixture.h"
#include "test/testing/test_ca.h"

namespace orch::controller {
namespace {

using namespace orch::v1;  // NOLINT: messages of the services

class ServiceTlsTest : public ServiceFixture {
 protected:
  ServiceTlsTest() {
    options_.insecure_loopback = false;
    const trust::TrustConfig config =
        orch::testing::WriteTrust(&ca_, "controller", trust::Role::kController, directory_);
    const auto loaded = trust::Credentials::Load(config, absl::Now());
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    credentials_ = *loaded;
    trust_ = config;
    options_.heartbeat = absl::Milliseconds(50);
    Start(credentials_);
  }

  // A connection of its own, with or without a certificate.
  std::shared_ptr<grpc::Channel> Connect(const orch::testing::Certificate& certificate,
                                         const std::string& server_name = "localhost") {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = ca_.pem();
    options.pem_cert_chain = certificate.pem;
    options.pem_private_key = certificate.key_pem;
    grpc::ChannelArguments arguments;
    arguments.SetSslTargetNameOverride(server_name);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel(services_->address(), grpc::SslCredentials(options),
                                     arguments);
  }
  static grpc::Status WhoAmI(const std::shared_ptr<grpc::Channel>& channel,
                             WhoAmIResponse* who = nullptr) {
    grpc::ClientContext context;
    Limit(&context);
    WhoAmIResponse ignored;
    return PolicyService::NewStub(channel)->WhoAmI(&context, WhoAmIRequest(),
                                                   who == nullptr ? &ignored : who);
  }
  void Reload() {
    const auto changed = credentials_->Reload(absl::Now());
    ASSERT_TRUE(changed.ok()) << changed.status();
    ASSERT_TRUE(*changed);
    ASSERT_TRUE(services_->UpdateCertificates().ok());
  }

  orch::testing::TestCa ca_;
  const std::string directory_ = orch::testing::NewTestDirectory();
  trust::TrustConfig trust_;
  std::shared_ptr<trust::Credentials> credentials_;
};

TEST_F(ServiceTlsTest, AUserIsItsCommonName) {
  WhoAmIResponse who;
  const grpc::Status status = WhoAmI(Connect(ca_.Issue("operator", trust::Role::kUser)), &who);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(who.caller(), "cert=operator");
  EXPECT_EQ(services_->edge_counts().handshakes_refused, 0u);
}

TEST_F(ServiceTlsTest, OtherRolesEndInTheHandshake) {
  for (const trust::Role role : {trust::Role::kNode, trust::Role::kController}) {
    const grpc::Status status = WhoAmI(Connect(ca_.Issue("web1", role)));
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE) << status.error_message();
  }
  EXPECT_TRUE(Eventually([&] { return services_->edge_counts().handshakes_refused >= 2; }));
  EXPECT_EQ(gate_->counts().unauthenticated, 0u) << "no call came through";
}

TEST_F(ServiceTlsTest, StrangersEndInTheHandshake) {
  orch::testing::TestCa other;
  orch::testing::CertificateSpec expired;
  expired.common_names = {"late"};
  expired.role = "orch-user";
  expired.not_after = absl::Now() - absl::Hours(1);
  for (const auto& certificate :
       {orch::testing::Certificate(), other.Issue("operator", trust::Role::kUser),
        ca_.Issue(expired)}) {
    EXPECT_EQ(WhoAmI(Connect(certificate)).error_code(), grpc::StatusCode::UNAVAILABLE);
  }
  grpc::ClientContext context;
  Limit(&context);
  WhoAmIResponse who;
  EXPECT_EQ(PolicyService::NewStub(channel_)->WhoAmI(&context, WhoAmIRequest(), &who).error_code(),
            grpc::StatusCode::UNAVAILABLE)
      << "no TLS at all";
}

TEST_F(ServiceTlsTest, ARevokedUserEndsInTheHandshakeAndOnOldConnections) {
  const orch::testing::Certificate operator_certificate = ca_.Issue("operator", trust::Role::kUser);
  const auto old_connection = Connect(operator_certificate);
  ASSERT_TRUE(WhoAmI(old_connection).ok());
  dispatcher_.PostAddJob(TestUlid(5), "cert=operator");
  grpc::ClientContext context;
  Limit(&context);
  WatchJobRequest request;
  request.set_name(absl::StrCat("jobs/", TestUlid(5)));
  const auto watch = JobService::NewStub(old_connection)->WatchJob(&context, request);
  WatchJobResponse message;
  ASSERT_TRUE(watch->Read(&message));
  ca_.Revoke(operator_certificate);
  ASSERT_TRUE(base::WriteFileAtomically(trust_.crl(), ca_.CrlPem(), 0644).ok());
  Reload();
  EXPECT_EQ(WhoAmI(Connect(operator_certificate)).error_code(), grpc::StatusCode::UNAVAILABLE);
  const grpc::Status status = WhoAmI(old_connection);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED) << status.error_message();
  EXPECT_EQ(ReasonOf(status), "UNAUTHENTICATED");
  while (watch->Read(&message)) {
  }
  EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::UNAUTHENTICATED);
}

TEST_F(ServiceTlsTest, ANewCertificateIsShownWithoutARestart) {
  const orch::testing::Certificate user = ca_.Issue("operator", trust::Role::kUser);
  EXPECT_FALSE(WhoAmI(Connect(user, "renewed.example.net")).ok());
  orch::testing::CertificateSpec spec;
  spec.common_names = {"controller"};
  spec.role = "orch-controller";
  spec.names = {"localhost", "renewed.example.net"};
  const orch::testing::Certificate renewed = ca_.Issue(spec);
  ASSERT_TRUE(base::WriteFileAtomically(trust_.private_key(), renewed.key_pem, 0600).ok());
  ASSERT_TRUE(base::WriteFileAtomically(trust_.certificate(), renewed.pem, 0644).ok());
  Reload();
  EXPECT_TRUE(Eventually([&] { return WhoAmI(Connect(user, "renewed.example.net")).ok(); }));
}

}  // namespace
}  // namespace orch::controller
