// SPDX-License-Identifier: Apache-2.0
#include "trust/tls.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "absl/strings/match.h"
#include "base/config.h"
#include "test/testing/test_ca.h"
#include "trust/identity.h"
#include "trust/openssl.h"

// Handshakes over memory, with the contexts that Credentials make.

namespace orch::trust {
namespace {

using orch::testing::Certificate;
using orch::testing::CertificateSpec;
using orch::testing::NewCredentials;
using orch::testing::NewTestDirectory;
using orch::testing::TestCa;
using orch::testing::WriteTrust;

using SslPtr = std::unique_ptr<SSL, Freer<SSL_free>>;

// Both ends of one connection.
struct Connection {
  SslPtr server, client;
  bool server_done = false, client_done = false;

  Connection(SSL_CTX* server_context, SSL_CTX* client_context)
      : server(SSL_new(server_context)), client(SSL_new(client_context)) {
    BIO* server_end = nullptr;
    BIO* client_end = nullptr;
    BIO_new_bio_pair(&server_end, 0, &client_end, 0);
    SSL_set_bio(server.get(), server_end, server_end);
    SSL_set_bio(client.get(), client_end, client_end);
    SSL_set_accept_state(server.get());
    SSL_set_connect_state(client.get());
    for (int i = 0; i < 20 && !(server_done && client_done); ++i) {
      client_done = SSL_do_handshake(client.get()) == 1;
      server_done = SSL_do_handshake(server.get()) == 1;
    }
    TakeOpenSslError();
  }
  bool ok() const { return server_done && client_done; }
};

SslContextPtr ServerContext(const Credentials& of, const std::vector<Role>& roles) {
  return SslContextPtr(*of.NewServerContext(roles));
}
SslContextPtr ClientContext(const Credentials& of, const std::string& name = "") {
  return SslContextPtr(*of.NewClientContext(name));
}

std::shared_ptr<Credentials> Loaded(TestCa* ca, const CertificateSpec& spec) {
  return *Credentials::Load(WriteTrust(ca, ca->Issue(spec), "own", NewTestDirectory()),
                            absl::Now());
}

class TlsTest : public ::testing::Test {
 protected:
  TestCa ca_;
  std::shared_ptr<Credentials> server_ = NewCredentials(&ca_, "ops1", Role::kController);
  std::shared_ptr<Credentials> user_ = NewCredentials(&ca_, "Alice", Role::kUser);
  std::shared_ptr<Credentials> node_ = NewCredentials(&ca_, "node1", Role::kNode);

  Connection Connect(const Credentials& client, const std::vector<Role>& roles,
                     const std::string& name = "localhost") {
    const SslContextPtr server_context = ServerContext(*server_, roles);
    const SslContextPtr client_context = ClientContext(client, name);
    return Connection(server_context.get(), client_context.get());
  }
};

TEST_F(TlsTest, EachSideLearnsWhoTheOtherIs) {
  const Connection connection = Connect(*user_, {Role::kUser, Role::kController});
  ASSERT_TRUE(connection.ok());
  const absl::StatusOr<Peer> client = PeerOf(connection.server.get());
  ASSERT_TRUE(client.ok()) << client.status();
  EXPECT_EQ(client->common_name, "Alice");
  EXPECT_EQ(client->role, Role::kUser);
  EXPECT_EQ(client->key_id, user_->self().key_id);
  EXPECT_EQ(PeerOf(connection.client.get())->common_name, "ops1");
}

TEST_F(TlsTest, PassesBytes) {
  const Connection connection = Connect(*user_, {Role::kUser});
  ASSERT_TRUE(connection.ok());
  char buffer[8] = "";
  EXPECT_EQ(SSL_write(connection.client.get(), "hello", 5), 5);
  EXPECT_EQ(SSL_read(connection.server.get(), buffer, sizeof buffer), 5);
  EXPECT_STREQ(buffer, "hello");
}

TEST_F(TlsTest, RefusesOtherRolesInTheHandshake) {
  const Connection connection = Connect(*node_, {Role::kUser, Role::kController});
  EXPECT_FALSE(connection.server_done);
  EXPECT_EQ(PeerOf(connection.server.get()).status().message(),
            "certificate node1 has the role node, which may not connect here");
  EXPECT_TRUE(Connect(*node_, {Role::kNode}).ok());
  EXPECT_TRUE(Connect(*node_, {}).ok());
}

TEST_F(TlsTest, RefusesAClientOfAnotherCaOrWithoutACertificate) {
  TestCa other("Test CA");
  const auto stranger = NewCredentials(&other, "Alice", Role::kUser);
  const SslContextPtr server_context = ServerContext(*server_, {Role::kUser});
  SslContextPtr client_context = ClientContext(*stranger);
  SSL_CTX_set_cert_verify_callback(
      client_context.get(), [](X509_STORE_CTX*, void*) { return 1; }, nullptr);
  const Connection foreign(server_context.get(), client_context.get());
  EXPECT_FALSE(foreign.server_done);
  client_context.reset(SSL_CTX_new(TLS_client_method()));
  const Connection nobody(server_context.get(), client_context.get());
  EXPECT_FALSE(nobody.server_done);
  EXPECT_EQ(PeerOf(nobody.server.get()).status().message(), "the peer showed no certificate");
}

TEST_F(TlsTest, RefusesARevokedClientAtOnceEvenWithAnOldContext) {
  const SslContextPtr server_context = ServerContext(*server_, {Role::kUser});
  const SslContextPtr client_context = ClientContext(*user_);
  EXPECT_TRUE(Connection(server_context.get(), client_context.get()).ok());
  ca_.Revoke({"", "", user_->Sign(Domain::kReply, "", true)->certificate_chain(0), ""});
  ASSERT_TRUE(*server_->UpdateCrl(ca_.CrlDer(), absl::Now()));
  const Connection revoked(server_context.get(), client_context.get());
  EXPECT_FALSE(revoked.server_done);
  EXPECT_EQ(SSL_get_verify_result(revoked.server.get()), X509_V_ERR_CERT_REVOKED);
  EXPECT_TRUE(absl::StrContains(PeerOf(revoked.server.get()).status().message(), "revoked by"));
}

class JudgeAgainTest : public TlsTest {
 protected:
  const absl::Time past_ = absl::Now() - absl::Hours(1);
  std::string directory_ = NewTestDirectory();
  TrustConfig config_ = WriteTrust(&ca_, "ops2", Role::kController, directory_);

  // The server's files name a second CA as well.
  std::shared_ptr<Credentials> LoadBeside(TestCa* other, absl::Time its_list_ends) {
    Write(config_.ca(), other->pem() + ca_.pem());
    Write(config_.crl(), other->CrlPem(its_list_ends) + ca_.CrlPem());
    return *Credentials::Load(config_, absl::Now());
  }
  static void Write(const std::string& path, const std::string& content) {
    ASSERT_TRUE(base::WriteFileAtomically(path, content, 0600).ok());
  }
};

TEST_F(JudgeAgainTest, AnEndedListOfAnotherCaKeepsNobodyRevokedIn) {
  TestCa old("Old CA", past_);
  server_ = LoadBeside(&old, past_);
  const SslContextPtr server_context = ServerContext(*server_, {Role::kUser});
  const SslContextPtr client_context = ClientContext(*user_);
  const Connection connection(server_context.get(), client_context.get());
  ASSERT_TRUE(connection.ok());
  EXPECT_TRUE(JudgeAgain(connection.server.get(), absl::Now()).ok());
  ca_.Revoke({"", "", user_->Sign(Domain::kReply, "", true)->certificate_chain(0), ""});
  ASSERT_TRUE(*server_->UpdateCrl(ca_.CrlDer(), absl::Now()));
  const absl::Status again = JudgeAgain(connection.server.get(), absl::Now());
  EXPECT_TRUE(absl::StrContains(again.message(), "revoked by")) << again;
}

TEST_F(JudgeAgainTest, WhoeverIsOnAnEndedListIsRevoked) {
  const SslContextPtr server_context = ServerContext(*server_, {Role::kUser});
  const SslContextPtr client_context = ClientContext(*user_);
  const Connection connection(server_context.get(), client_context.get());
  ASSERT_TRUE(connection.ok());
  const absl::Time soon = absl::Now() + absl::Hours(1);
  ASSERT_TRUE(*server_->UpdateCrl(ca_.CrlDer(soon), absl::Now()));
  const absl::Time later = soon + absl::Hours(1);
  EXPECT_TRUE(JudgeAgain(connection.server.get(), later).ok())
      << "the list of its CA has ended, which is no reason to lose a fleet";
  ca_.Revoke({"", "", user_->Sign(Domain::kReply, "", true)->certificate_chain(0), ""});
  ASSERT_TRUE(*server_->UpdateCrl(ca_.CrlDer(soon), absl::Now()));
  EXPECT_FALSE(JudgeAgain(connection.server.get(), later).ok());
}

TEST_F(JudgeAgainTest, WhatAnEndedCaSignedIsRefused) {
  const absl::Time soon = absl::Now() + absl::Hours(1);
  TestCa old("Old CA", soon);
  server_ = LoadBeside(&old, soon);
  // The client trusts the server's CA.
  TrustConfig config = WriteTrust(&old, "alice", Role::kUser, NewTestDirectory());
  Write(config.ca(), old.pem() + ca_.pem());
  Write(config.crl(), old.CrlPem(soon) + ca_.CrlPem());
  const auto user = *Credentials::Load(config, absl::Now());
  const SslContextPtr server_context = ServerContext(*server_, {Role::kUser});
  const SslContextPtr client_context = ClientContext(*user);
  const Connection connection(server_context.get(), client_context.get());
  ASSERT_TRUE(connection.ok());
  EXPECT_TRUE(JudgeAgain(connection.server.get(), absl::Now()).ok());
  EXPECT_FALSE(JudgeAgain(connection.server.get(), soon + absl::Minutes(1)).ok());
}

TEST_F(TlsTest, ClientsRefuseARevokedOrForeignServer) {
  TestCa other("Test CA");
  const auto stranger = NewCredentials(&other, "ops1", Role::kController);
  const SslContextPtr foreign_context = ServerContext(*stranger, {});
  const SslContextPtr client_context = ClientContext(*user_);
  EXPECT_FALSE(Connection(foreign_context.get(), client_context.get()).client_done);
  ca_.Revoke({"", "", server_->Sign(Domain::kReply, "", true)->certificate_chain(0), ""});
  ASSERT_TRUE(*user_->UpdateCrl(ca_.CrlDer(), absl::Now()));
  EXPECT_FALSE(Connect(*user_, {}).client_done);
}

TEST_F(TlsTest, ClientsCheckTheServersName) {
  for (const char* good : {"ops1", "localhost", "127.0.0.1", "OPS1", ""}) {
    EXPECT_TRUE(Connect(*user_, {}, good).ok()) << good;
  }
  for (const char* bad : {"ops2", "127.0.0.2", "ops1.evil", "*"}) {
    const Connection connection = Connect(*user_, {}, bad);
    EXPECT_FALSE(connection.client_done) << bad;
    EXPECT_TRUE(
        absl::StrContains(PeerOf(connection.client.get()).status().message(), "it is not for"));
  }
}

TEST_F(TlsTest, TheCommonNameCountsOnlyWithoutAlternatives) {
  CertificateSpec spec;
  spec.common_names = {"broker1"};
  spec.names = {};
  spec.addresses = {};
  server_ = Loaded(&ca_, spec);
  EXPECT_TRUE(Connect(*user_, {}, "broker1").ok());
  spec.addresses = {"127.0.0.1"};
  server_ = Loaded(&ca_, spec);
  EXPECT_FALSE(Connect(*user_, {}, "broker1").client_done);
  EXPECT_TRUE(Connect(*user_, {}, "127.0.0.1").ok());
}

TEST_F(TlsTest, UsagesAreChecked) {
  CertificateSpec spec;
  spec.common_names = {"broker1"};
  spec.extended_key_usage = "serverAuth";
  const auto broker = Loaded(&ca_, spec);
  const SslContextPtr server_context = ServerContext(*broker, {});
  const SslContextPtr user_context = ClientContext(*user_);
  EXPECT_TRUE(Connection(server_context.get(), user_context.get()).ok());
  EXPECT_FALSE(Connect(*broker, {}).server_done) << "it is not for clients";
  spec.extended_key_usage = "clientAuth";
  server_ = Loaded(&ca_, spec);
  EXPECT_FALSE(Connect(*user_, {}).client_done) << "it is not for servers";
}

TEST_F(TlsTest, SpeaksNothingBelow12AndResumesNothing) {
  const SslContextPtr server_context = ServerContext(*server_, {Role::kUser});
  const SslContextPtr client_context = ClientContext(*user_);
  EXPECT_EQ(SSL_CTX_get_min_proto_version(server_context.get()), TLS1_2_VERSION);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    ASSERT_EQ(SSL_CTX_set_min_proto_version(client_context.get(), version), 1);
    ASSERT_EQ(SSL_CTX_set_max_proto_version(client_context.get(), version), 1);
    const Connection first(server_context.get(), client_context.get());
    ASSERT_TRUE(first.ok());
    EXPECT_EQ(SSL_version(first.client.get()), version);
    EXPECT_EQ(SSL_session_reused(first.client.get()), 0);
    EXPECT_EQ(SSL_SESSION_has_ticket(SSL_get_session(first.client.get())), 0);
  }
  SSL_CTX_set_security_level(client_context.get(), 0);
  ASSERT_EQ(SSL_CTX_set_min_proto_version(client_context.get(), TLS1_VERSION), 1);
  ASSERT_EQ(SSL_CTX_set_max_proto_version(client_context.get(), TLS1_1_VERSION), 1);
  EXPECT_FALSE(Connection(server_context.get(), client_context.get()).server_done);
}

TEST_F(TlsTest, ContextsOutliveTheirCredentials) {
  const SslContextPtr server_context = ServerContext(*server_, {Role::kUser});
  const SslContextPtr client_context = ClientContext(*user_, "ops1");
  server_.reset();
  user_.reset();
  EXPECT_TRUE(Connection(server_context.get(), client_context.get()).ok());
}

TEST_F(TlsTest, SendsIntermediates) {
  TestCa middle("Middle CA", &ca_);
  TrustConfig config = WriteTrust(&middle, "ops1", Role::kController, NewTestDirectory());
  const std::string chain = *base::ReadFile(config.certificate()) + middle.pem();
  ASSERT_TRUE(base::WriteFileAtomically(config.certificate(), chain, 0644).ok());
  ASSERT_TRUE(base::WriteFileAtomically(config.ca(), ca_.pem(), 0644).ok());
  ASSERT_TRUE(base::WriteFileAtomically(config.crl(), ca_.CrlPem() + middle.CrlPem(), 0644).ok());
  // Its own CA file has the root alone: the chain's CRL is signed by the intermediate.
  const auto refused = Credentials::Load(config, absl::Now());
  EXPECT_FALSE(refused.ok());
  ASSERT_TRUE(base::WriteFileAtomically(config.ca(), ca_.pem() + middle.pem(), 0644).ok());
  server_ = *Credentials::Load(config, absl::Now());
  EXPECT_EQ(server_->Sign(Domain::kReply, "", true)->certificate_chain_size(), 2);
  CertificateSpec spec;
  spec.common_names = {"Bob"};
  spec.role = "orch-user";
  TrustConfig user = WriteTrust(&ca_, ca_.Issue(spec), "bob", NewTestDirectory());
  ASSERT_TRUE(base::WriteFileAtomically(user.crl(), ca_.CrlPem(), 0644).ok());
  user.clear_crl();
  user.set_no_crl(true);
  EXPECT_TRUE(Connect(**Credentials::Load(user, absl::Now()), {Role::kUser}).ok());
}

}  // namespace
}  // namespace orch::trust
