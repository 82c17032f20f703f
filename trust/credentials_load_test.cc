// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "test/testing/test_ca.h"
#include "trust/identity.h"

// What Credentials::Load takes and refuses, with the file named.

namespace orch::trust {
namespace {

using orch::testing::Certificate;
using orch::testing::CertificateSpec;
using orch::testing::KeyKind;
using orch::testing::NewTestDirectory;
using orch::testing::TestCa;
using orch::testing::WriteTrust;

class LoadTest : public ::testing::Test {
 protected:
  TestCa ca_;
  std::string directory_ = NewTestDirectory();
  TrustConfig config_ = WriteTrust(&ca_, "ops1", Role::kController, directory_);

  absl::StatusOr<std::shared_ptr<Credentials>> Load() {
    return Credentials::Load(config_, absl::Now());
  }
  void ExpectRefused(absl::string_view file, absl::string_view why) {
    const auto loaded = Load();
    ASSERT_FALSE(loaded.ok()) << why;
    EXPECT_TRUE(absl::StrContains(loaded.status().message(), file)) << loaded.status();
    EXPECT_TRUE(absl::StrContains(loaded.status().message(), why)) << loaded.status();
  }
  static void Write(const std::string& path, const std::string& content, int mode = 0600) {
    ASSERT_TRUE(base::WriteFileAtomically(path, content, mode).ok());
  }
  void Use(const Certificate& certificate) {
    Write(config_.certificate(), certificate.pem);
    Write(config_.private_key(), certificate.key_pem);
  }
};

TEST_F(LoadTest, SaysWhoIAm) {
  const auto loaded = Load();
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ((*loaded)->self().common_name, "ops1");
  EXPECT_EQ((*loaded)->self().role, Role::kController);
  EXPECT_EQ((*loaded)->ca_pem(), ca_.pem());
  EXPECT_EQ((*loaded)->certificate_chain_pem(), *base::ReadFile(config_.certificate()));
  EXPECT_EQ((*loaded)->private_key_pem(), *base::ReadFile(config_.private_key()));
  EXPECT_EQ((*loaded)->certificate_end(), (*loaded)->self().not_after);
  EXPECT_GT((*loaded)->crl_end(absl::Now()), absl::Now() + absl::Hours(24 * 300));
}

TEST_F(LoadTest, RefusesMissingEmptyAndDamagedFiles) {
  for (std::string* path : {config_.mutable_certificate(), config_.mutable_private_key(),
                            config_.mutable_ca(), config_.mutable_crl()}) {
    const std::string good = *path;
    *path = "/nowhere/file";
    ExpectRefused("/nowhere/file", "No such file");
    *path = directory_;
    ExpectRefused(directory_, "not a regular file");
    *path = directory_ + "/bad";
    Write(*path, "");
    ExpectRefused(*path, "empty");
    Write(*path, "hello");
    ExpectRefused(*path, "PEM");
    const std::string content = *base::ReadFile(good);
    Write(*path, content.substr(0, content.size() / 2));
    EXPECT_FALSE(Load().ok());
    path->clear();
    ExpectRefused("trust.", "no file is configured");
    *path = good;
  }
  EXPECT_TRUE(Load().ok());
}

TEST_F(LoadTest, DoesNotHangOnAFifo) {
  config_.set_ca(directory_ + "/fifo");
  ASSERT_EQ(mkfifo(config_.ca().c_str(), 0600), 0);
  ExpectRefused(config_.ca(), "not a regular file");
}

TEST_F(LoadTest, RefusesAKeyThatOthersMayReadOrWrite) {
  for (const int mode : {0644, 0604, 0602, 0666}) {
    ASSERT_EQ(chmod(config_.private_key().c_str(), mode), 0);
    ExpectRefused(config_.private_key(), "others may read or write it");
  }
  for (const int mode : {0400, 0600, 0640, 0440, 0660}) {
    ASSERT_EQ(chmod(config_.private_key().c_str(), mode), 0);
    EXPECT_TRUE(Load().ok()) << Load().status();
  }
}

TEST_F(LoadTest, FollowsSymbolicLinksAsKubernetesMakesThem) {
  ASSERT_EQ(mkdir((directory_ + "/..v1").c_str(), 0755), 0);
  ASSERT_EQ(symlink("..v1", (directory_ + "/..data").c_str()), 0);
  ASSERT_EQ(rename(config_.private_key().c_str(), (directory_ + "/..v1/tls.key").c_str()), 0);
  ASSERT_EQ(symlink("..data/tls.key", config_.private_key().c_str()), 0);
  EXPECT_TRUE(Load().ok()) << Load().status();
  ASSERT_EQ(chmod((directory_ + "/..v1/tls.key").c_str(), 0644), 0);
  ExpectRefused(config_.private_key(), "others may read");
}

TEST_F(LoadTest, RefusesAKeyThatDoesNotFit) {
  Write(config_.private_key(), ca_.Issue("ops2").key_pem);
  ExpectRefused(config_.private_key(), "does not fit");
}

TEST_F(LoadTest, RefusesAKeyWithAPassphraseWithoutAsking) {
  Write(config_.private_key(),
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
        "MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAhnBgEeVhjtPwICCAAw\n"
        "-----END ENCRYPTED PRIVATE KEY-----\n");
  ExpectRefused(config_.private_key(), "without a passphrase");
}

TEST_F(LoadTest, RefusesWeakKeys) {
  CertificateSpec spec;
  spec.common_names = {"ops1"};
  spec.key = KeyKind::kRsa1024;
  Use(ca_.Issue(spec));
  ExpectRefused(config_.private_key(), "an RSA key of 1024 bits");
  spec.key = KeyKind::kP521;
  Use(ca_.Issue(spec));
  ExpectRefused(config_.private_key(), "secp521r1");
}

TEST_F(LoadTest, RefusesACertificateOutOfItsTime) {
  CertificateSpec spec;
  spec.common_names = {"ops1"};
  spec.not_after = absl::Now() - absl::Hours(1);
  Use(ca_.Issue(spec));
  ExpectRefused(config_.certificate(), "expired 20");
  spec.not_after = absl::Now() + absl::Hours(2);
  spec.not_before = absl::Now() + absl::Hours(1);
  Use(ca_.Issue(spec));
  ExpectRefused(config_.certificate(), "not valid before 20");
}

TEST_F(LoadTest, RefusesACertificateOfAnotherCa) {
  TestCa other("Another CA");
  Write(config_.ca(), other.pem());
  Write(config_.crl(), other.CrlPem());
  ExpectRefused(config_.certificate(), "does not lead to a trusted CA");
}

TEST_F(LoadTest, RefusesMyOwnCertificateOnceRevoked) {
  const Certificate mine = ca_.Issue("ops1", Role::kController);
  Use(mine);
  EXPECT_TRUE(Load().ok());
  ca_.Revoke(mine);
  Write(config_.crl(), ca_.CrlPem());
  ExpectRefused(config_.certificate(), "revoked by CN=Test CA");
}

TEST_F(LoadTest, RefusesAnExpiredCrl) {
  Write(config_.crl(), ca_.CrlPem(absl::Now() - absl::Hours(1)));
  ExpectRefused(config_.crl(), "the revocation list of its CA CN=Test CA expired 20");
}

TEST_F(LoadTest, RefusesACrlThatTheCaDidNotSign) {
  TestCa same_name("Test CA");
  Write(config_.crl(), same_name.CrlPem());
  ExpectRefused(config_.crl(), "not signed by that CA");
}

TEST_F(LoadTest, RefusesToDoWithoutTheCrlOfMyCa) {
  TestCa other("Another CA");
  Write(config_.crl(), other.CrlPem());
  ExpectRefused(config_.crl(), "no revocation list of its CA CN=Test CA");
}

TEST_F(LoadTest, DoesWithoutCrlsOnlyIfToldSo) {
  config_.clear_crl();
  ExpectRefused("trust.crl", "no file is configured");
  config_.set_no_crl(true);
  ASSERT_TRUE(Load().ok()) << Load().status();
  EXPECT_EQ((*Load())->crl_end(absl::Now()), absl::InfiniteFuture());
  EXPECT_TRUE((*Load())->CrlsDer().empty());
  config_.set_crl(directory_ + "/crl.pem");
  ExpectRefused("crl", "exclude each other");
}

TEST_F(LoadTest, RefusesACaThatIsNone) {
  Write(config_.ca(), ca_.pem() + ca_.Issue("node1").pem);
  ExpectRefused(config_.ca(), "CN=node1 is not a CA's certificate");
}

TEST_F(LoadTest, TakesTheNewestCrlOfABundle) {
  const std::string old = ca_.CrlPem(absl::Now() - absl::Hours(1));
  const std::string next = ca_.CrlPem();
  TestCa unrelated("Another CA");
  Write(config_.crl(), next + unrelated.CrlPem() + old);
  ASSERT_TRUE(Load().ok()) << Load().status();
  EXPECT_EQ((*Load())->CrlNumbers().size(), 1u);
  EXPECT_EQ((*Load())->CrlNumbers()[0].second, "3");
}

TEST_F(LoadTest, TakesAnIntermediateCaWithBothCrls) {
  TestCa middle("Middle CA", &ca_);
  Use(middle.Issue("ops1"));
  Write(config_.ca(), middle.pem() + ca_.pem());
  Write(config_.crl(), middle.CrlPem());
  ExpectRefused(config_.crl(), "no revocation list of its CA CN=Test CA");
  Write(config_.crl(), middle.CrlPem() + ca_.CrlPem());
  EXPECT_TRUE(Load().ok()) << Load().status();
  Write(config_.ca(), middle.pem());
  EXPECT_FALSE(Load().ok()) << "the root is not trusted";
  // The intermediate may also come with the certificate.
  Write(config_.ca(), ca_.pem());
  Write(config_.certificate(), *base::ReadFile(config_.certificate()) + middle.pem());
  ExpectRefused(config_.crl(), "no revocation list of its CA CN=Middle CA");
}

TEST_F(LoadTest, TrustsTwoRootsDuringARollOver) {
  TestCa next("Test CA");  // Puppet gives the new CA the old name
  Write(config_.ca(), next.pem() + ca_.pem());
  Write(config_.crl(), next.CrlPem() + ca_.CrlPem());
  const auto loaded = Load();
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ((*loaded)->CrlsDer().size(), 2u);
  for (TestCa* ca : {&next, &ca_}) {
    EXPECT_TRUE((*loaded)->VerifyPeerPem(ca->Issue("node1").pem, absl::Now()).ok());
  }
  const Certificate bad = next.Issue("node2");
  next.Revoke(bad);
  EXPECT_TRUE(*(*loaded)->UpdateCrl(next.CrlDer(), absl::Now()));
  EXPECT_FALSE((*loaded)->VerifyPeerPem(bad.pem, absl::Now()).ok());
}

// The end of a roll-over: the old CA has ended, nobody can sign a list for it any more.
TEST_F(LoadTest, AnEndedCaAndItsEndedListRefuseNobodyElse) {
  const absl::Time past = absl::Now() - absl::Hours(1);
  TestCa ended("Old CA", past);
  CertificateSpec spec;
  spec.common_names = {"node2"};
  const Certificate below = ended.Issue(spec);
  Write(config_.ca(), ended.pem() + ca_.pem());
  Write(config_.crl(), ended.CrlPem(past) + ca_.CrlPem());
  const auto loaded = Load();
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_TRUE((*loaded)->VerifyPeerPem(ca_.Issue("node1").pem, absl::Now()).ok());
  EXPECT_FALSE((*loaded)->VerifyPeerPem(below.pem, absl::Now()).ok());
  EXPECT_GT((*loaded)->crl_end(absl::Now()), absl::Now() + absl::Hours(24 * 300));
  EXPECT_GT((*loaded)->own_crl_end(), absl::Now() + absl::Hours(24 * 300));
  const std::vector<std::string> warnings = (*loaded)->Warnings(absl::Now());
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_TRUE(absl::StrContains(warnings[0], "CA CN=Old CA (serial ")) << warnings[0];
  EXPECT_TRUE(absl::StrContains(warnings[0], "its revocation list (number 1) ended 20"))
      << warnings[0];
}

TEST_F(LoadTest, AnEndedListOfALiveCaRefusesOnlyWhatIsBelowIt) {
  const absl::Time past = absl::Now() - absl::Hours(1);
  TestCa other("Other CA");
  Write(config_.ca(), other.pem() + ca_.pem());
  Write(config_.crl(), other.CrlPem(past) + ca_.CrlPem());
  const auto loaded = Load();
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_TRUE((*loaded)->VerifyPeerPem(ca_.Issue("node1").pem, absl::Now()).ok());
  const auto below = (*loaded)->VerifyPeerPem(other.Issue("node2").pem, absl::Now());
  EXPECT_TRUE(absl::StrContains(below.status().message(),
                                "the revocation list of its CA CN=Other CA expired"))
      << below.status();
  EXPECT_LT((*loaded)->crl_end(absl::Now()), absl::Now()) << "this one can be renewed";
  ASSERT_EQ((*loaded)->Warnings(absl::Now()).size(), 1u);
  EXPECT_TRUE(absl::StrContains((*loaded)->Warnings(absl::Now())[0],
                                "the revocation list of CA CN=Other CA ended 20"));
}

// Puppet gives a new CA the old one's name; the bundle of lists may keep the old one's.
TEST_F(LoadTest, AListOfAFormerCaOfTheSameNameIsLeftAlone) {
  TestCa former("Test CA");
  Write(config_.crl(), former.CrlPem() + ca_.CrlPem());
  const auto loaded = Load();
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ((*loaded)->CrlsDer().size(), 1u);
}

TEST_F(LoadTest, ASlowClockTakesWhatWasSignedAMomentAgo) {
  const absl::Time now = absl::Now();
  CertificateSpec spec;
  spec.common_names = {"ops1"};
  spec.not_before = now;
  Use(ca_.Issue(spec));
  Write(config_.crl(), TestCa::CrlToPem(ca_.CrlDer(now, now + absl::Hours(24))));
  const absl::Time slow = now - absl::Seconds(20);
  const auto loaded = Credentials::Load(config_, slow);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  CertificateSpec fresh;
  fresh.common_names = {"node1"};
  fresh.not_before = now;
  EXPECT_TRUE((*loaded)->VerifyPeerPem(ca_.Issue(fresh).pem, slow).ok());
  EXPECT_FALSE((*loaded)->VerifyPeerPem(ca_.Issue(fresh).pem, now - absl::Seconds(40)).ok());
  EXPECT_TRUE((*loaded)->Warnings(slow).empty());
  EXPECT_FALSE(Credentials::Load(config_, now - absl::Seconds(40)).ok()) << "more than the skew";
}

}  // namespace
}  // namespace orch::trust
