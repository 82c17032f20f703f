// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "test/testing/test_ca.h"
#include "trust/identity.h"

// How a certificate gets its role: by extension, by a dedicated CA, by fingerprint.

namespace orch::trust {
namespace {

using orch::testing::Certificate;
using orch::testing::CertificateSpec;
using orch::testing::NewTestDirectory;
using orch::testing::TestCa;
using orch::testing::WriteTrust;

class RolesTest : public ::testing::Test {
 protected:
  TestCa ca_;
  std::string directory_ = NewTestDirectory();
  TrustConfig config_ = WriteTrust(&ca_, "node1", Role::kNode, directory_);

  absl::StatusOr<Peer> Verify(const Certificate& certificate) {
    const auto loaded = Credentials::Load(config_, absl::Now());
    if (!loaded.ok()) return loaded.status();
    return (*loaded)->VerifyPeerPem(certificate.pem, absl::Now());
  }
  std::string RoleOf(const Certificate& certificate) {
    const absl::StatusOr<Peer> peer = Verify(certificate);
    return std::string(peer.ok() ? RoleName(peer->role) : peer.status().message());
  }
  // Adds what a dedicated CA needs to `crl`, and returns its file.
  std::string Write(TestCa* ca, const std::string& name) {
    const std::string path = absl::StrCat(directory_, "/", name);
    const std::string crls = *base::ReadFile(config_.crl()) + ca->CrlPem();
    EXPECT_TRUE(base::WriteFileAtomically(path, ca->pem(), 0644).ok());
    EXPECT_TRUE(base::WriteFileAtomically(config_.crl(), crls, 0644).ok());
    return path;
  }
};

TEST_F(RolesTest, ByTheExactExtension) {
  EXPECT_EQ(RoleOf(ca_.Issue("ops1", Role::kController)), "orch-controller");
  EXPECT_EQ(RoleOf(ca_.Issue("Alice", Role::kUser)), "orch-user");
  EXPECT_EQ(RoleOf(ca_.Issue("orch-controller")), "node") << "never by the name";
  for (const char* other : {"orch-controllers", "Orch-Controller", "orch-controller ", " orch-user",
                            "node", "admin", "orch-user,orch-controller"}) {
    CertificateSpec spec;
    spec.common_names = {"node2"};
    spec.role = other;
    EXPECT_EQ(RoleOf(ca_.Issue(spec)), "node") << other;
  }
}

TEST_F(RolesTest, TheExtensionCanBeSwitchedOff) {
  config_.mutable_roles()->set_extension(false);
  EXPECT_EQ(RoleOf(ca_.Issue("ops1", Role::kController)), "node");
}

TEST_F(RolesTest, ByADedicatedCa) {
  TestCa controllers("Controllers");
  TestCa users("Users");
  config_.mutable_roles()->add_controller_ca(Write(&controllers, "controllers.pem"));
  config_.mutable_roles()->add_user_ca(Write(&users, "users.pem"));
  EXPECT_EQ(RoleOf(controllers.Issue("ops1")), "orch-controller");
  EXPECT_EQ(RoleOf(users.Issue("Alice")), "orch-user");
  EXPECT_EQ(RoleOf(ca_.Issue("node2")), "node");
  const Certificate revoked = controllers.Issue("ops2");
  controllers.Revoke(revoked);
  Write(&controllers, "controllers.pem");
  EXPECT_TRUE(absl::StrContains(RoleOf(revoked), "revoked by CN=Controllers"));
}

TEST_F(RolesTest, ByADedicatedCaBelowTheCommonRoot) {
  TestCa controllers("Controllers", &ca_);
  config_.mutable_roles()->add_controller_ca(Write(&controllers, "controllers.pem"));
  EXPECT_EQ(RoleOf(controllers.Issue("ops1")), "orch-controller");
  EXPECT_EQ(RoleOf(ca_.Issue("node2")), "node");
}

TEST_F(RolesTest, ADedicatedCaNeedsItsOwnCrl) {
  TestCa controllers("Controllers");
  config_.mutable_roles()->add_controller_ca(directory_ + "/controllers.pem");
  ASSERT_TRUE(
      base::WriteFileAtomically(directory_ + "/controllers.pem", controllers.pem(), 0644).ok());
  EXPECT_TRUE(absl::StrContains(RoleOf(controllers.Issue("ops1")), "no revocation list"));
}

TEST_F(RolesTest, TheCaOfEverybodyIsNotADedicatedOne) {
  config_.mutable_roles()->add_controller_ca(config_.ca());
  EXPECT_TRUE(absl::StrContains(RoleOf(ca_.Issue("node2")), "a dedicated CA is needed"));
}

TEST_F(RolesTest, NorIsOneAboveIt) {
  TestCa middle("Middle CA", &ca_);
  const TrustConfig below = WriteTrust(&middle, middle.Issue("node1"), "node1", NewTestDirectory());
  config_.set_certificate(below.certificate());
  config_.set_private_key(below.private_key());
  config_.mutable_roles()->add_controller_ca(config_.ca());
  config_.set_ca(below.ca());
  EXPECT_TRUE(absl::StrContains(RoleOf(middle.Issue("node2")), "a dedicated CA is needed"));
}

TEST_F(RolesTest, OneCaCantGiveTwoRoles) {
  TestCa both("Both");
  config_.mutable_roles()->add_controller_ca(Write(&both, "both.pem"));
  config_.mutable_roles()->add_user_ca(directory_ + "/both.pem");
  EXPECT_TRUE(absl::StrContains(RoleOf(both.Issue("ops1")), "a dedicated CA is needed"));
}

TEST_F(RolesTest, ByFingerprint) {
  const Certificate controller = ca_.Issue("ops1");
  const Certificate user = ca_.Issue("alice");
  config_.mutable_roles()->add_controller_fingerprints(controller.fingerprint);
  std::string colons;
  for (size_t i = 0; i < user.fingerprint.size(); i += 2) {
    absl::StrAppend(&colons, i > 0 ? ":" : "",
                    absl::AsciiStrToUpper(user.fingerprint.substr(i, 2)));
  }
  config_.mutable_roles()->add_user_fingerprints(colons);
  EXPECT_EQ(RoleOf(controller), "orch-controller");
  EXPECT_EQ(RoleOf(user), "orch-user");
  EXPECT_EQ(RoleOf(ca_.Issue("ops1")), "node") << "the same name, another certificate";
}

TEST_F(RolesTest, AFingerprintAloneIsNotEnough) {
  TestCa other("Another CA");
  const Certificate stranger = other.Issue("ops1");
  config_.mutable_roles()->add_controller_fingerprints(stranger.fingerprint);
  EXPECT_TRUE(absl::StrContains(RoleOf(stranger), "does not lead to a trusted CA"));
}

TEST_F(RolesTest, RefusesBadFingerprints) {
  for (const std::string& bad : {std::string("abc"), std::string(63, 'a'), std::string(64, 'g')}) {
    config_.mutable_roles()->clear_user_fingerprints();
    config_.mutable_roles()->add_user_fingerprints(bad);
    EXPECT_TRUE(absl::StrContains(RoleOf(ca_.Issue("node2")), "is not a SHA-256 in hex"));
  }
}

TEST_F(RolesTest, RefusesTwoRoles) {
  const Certificate user = ca_.Issue("alice", Role::kUser);
  config_.mutable_roles()->add_controller_fingerprints(user.fingerprint);
  EXPECT_TRUE(absl::StrContains(RoleOf(user), "two roles"));
}

TEST_F(RolesTest, VerifyPeerPemRefusesWhatIsNoChain) {
  const auto loaded = Credentials::Load(config_, absl::Now());
  ASSERT_TRUE(loaded.ok());
  EXPECT_FALSE((*loaded)->VerifyPeerPem("", absl::Now()).ok());
  EXPECT_FALSE((*loaded)->VerifyPeerPem("hello", absl::Now()).ok());
  std::string many;
  for (int i = 0; i < 9; ++i) many += ca_.pem();
  EXPECT_FALSE((*loaded)->VerifyPeerPem(many, absl::Now()).ok());
  EXPECT_FALSE((*loaded)->VerifyPeerPem(std::string(1 << 20, 'x'), absl::Now()).ok());
}

}  // namespace
}  // namespace orch::trust
