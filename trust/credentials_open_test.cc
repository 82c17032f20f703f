// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "base/config.h"
#include "test/testing/test_ca.h"
#include "trust/identity.h"

// What Credentials::Open takes and refuses.

namespace orch::trust {
namespace {

using orch::bus::v1::Envelope;
using orch::testing::Certificate;
using orch::testing::CertificateSpec;
using orch::testing::KeyKind;
using orch::testing::NewCredentials;
using orch::testing::NewTestDirectory;
using orch::testing::TestCa;
using orch::testing::WriteTrust;

struct Opened {
  absl::StatusOr<Peer> peer;
  std::string payload;
  Refusal refusal = Refusal::kTooLarge;
};

Opened Open(const Credentials& at, const std::string& bytes, Domain domain = Domain::kRequest,
            absl::Time now = absl::Now()) {
  Opened out{.peer = absl::UnknownError(""), .payload = "", .refusal = Refusal::kTooLarge};
  out.peer = at.Open(domain, bytes, now, &out.payload, &out.refusal);
  return out;
}

std::string Signed(const Credentials& by, Domain domain = Domain::kRequest,
                   bool with_chain = true) {
  const auto envelope = by.Sign(domain, "do this", with_chain);
  EXPECT_TRUE(envelope.ok()) << envelope.status();
  return envelope->SerializeAsString();
}

std::shared_ptr<Credentials> Loaded(TestCa* ca, const CertificateSpec& spec) {
  auto config = WriteTrust(ca, ca->Issue(spec), spec.common_names.front(), NewTestDirectory());
  auto out = Credentials::Load(config, absl::Now());
  EXPECT_TRUE(out.ok()) << out.status();
  return out.ok() ? *out : nullptr;
}

// An envelope by a certificate that Load would not take: signed with a good one, then with its
// chain and key id exchanged, so that the signature is never reached.
std::string WithCertificate(const Credentials& signer, const orch::testing::Certificate& other) {
  Envelope envelope = *signer.Sign(Domain::kRequest, "do this", false);
  envelope.add_certificate_chain(other.der);
  envelope.set_key_id(Sha256(other.der));
  return envelope.SerializeAsString();
}

class OpenTest : public ::testing::Test {
 protected:
  TestCa ca_;
  std::shared_ptr<Credentials> node_ = NewCredentials(&ca_, "node1", Role::kNode);
  std::shared_ptr<Credentials> controller_ = NewCredentials(&ca_, "ops1", Role::kController);

  void ExpectRefused(const std::string& bytes, Refusal expected, absl::string_view why) {
    const Opened opened = Open(*node_, bytes);
    ASSERT_FALSE(opened.peer.ok());
    EXPECT_EQ(RefusalName(opened.refusal), RefusalName(expected)) << opened.peer.status();
    EXPECT_TRUE(absl::StrContains(opened.peer.status().message(), why)) << opened.peer.status();
    EXPECT_EQ(opened.payload, "");
  }
};

TEST_F(OpenTest, TakesAGoodOne) {
  const Opened opened = Open(*node_, Signed(*controller_));
  ASSERT_TRUE(opened.peer.ok()) << opened.peer.status();
  EXPECT_EQ(opened.payload, "do this");
  EXPECT_EQ(opened.peer->common_name, "ops1");
  EXPECT_EQ(opened.peer->role, Role::kController);
  EXPECT_EQ(opened.peer->key_id, controller_->self().key_id);
  EXPECT_EQ(opened.peer->serial, controller_->self().serial);
}

TEST_F(OpenTest, LeavesTheRoleToTheCaller) {
  const auto user = NewCredentials(&ca_, "Alice@example.com", Role::kUser);
  EXPECT_EQ(Open(*node_, Signed(*user)).peer->role, Role::kUser);
  const auto other = NewCredentials(&ca_, "node2", Role::kNode);
  EXPECT_EQ(Open(*node_, Signed(*other)).peer->role, Role::kNode);
}

TEST_F(OpenTest, TakesEveryKindOfKey) {
  for (KeyKind kind : {KeyKind::kP256, KeyKind::kP384, KeyKind::kEd25519, KeyKind::kRsa2048}) {
    CertificateSpec spec;
    spec.common_names = {"node2"};
    spec.key = kind;
    const auto signer = Loaded(&ca_, spec);
    EXPECT_TRUE(Open(*node_, Signed(*signer)).peer.ok()) << static_cast<int>(kind);
    Envelope envelope = *signer->Sign(Domain::kRequest, "do this", true);
    envelope.mutable_payload()->back() ^= 1;
    EXPECT_EQ(Open(*node_, envelope.SerializeAsString()).refusal, Refusal::kSignature);
  }
}

TEST_F(OpenTest, RefusesOtherKeys) {
  CertificateSpec spec;
  spec.common_names = {"node2"};
  spec.key = KeyKind::kP521;
  ExpectRefused(WithCertificate(*controller_, ca_.Issue(spec)), Refusal::kChain, "EC key");
  spec.key = KeyKind::kRsa1024;
  ExpectRefused(WithCertificate(*controller_, ca_.Issue(spec)), Refusal::kChain, "key too weak");
}

TEST_F(OpenTest, RefusesAnotherDomain) {
  const std::string reply = Signed(*controller_, Domain::kReply);
  for (Domain domain : {Domain::kRequest, Domain::kPresence}) {
    EXPECT_EQ(Open(*node_, reply, domain).refusal, Refusal::kSignature);
  }
  EXPECT_TRUE(Open(*node_, reply, Domain::kReply).peer.ok());
}

TEST_F(OpenTest, RefusesEachByteChanged) {
  const std::string good = Signed(*controller_);
  for (size_t i = 0; i < good.size(); ++i) {
    for (const char bit : {'\x01', '\x80'}) {
      std::string bad = good;
      bad[i] ^= bit;
      const Opened opened = Open(*node_, bad);
      EXPECT_FALSE(opened.peer.ok()) << "byte " << i;
      EXPECT_EQ(opened.payload, "");
    }
  }
  EXPECT_TRUE(Open(*node_, good).peer.ok());
}

TEST_F(OpenTest, RefusesAnotherCertificateWithTheSameKey) {
  // The key id is signed, so a second certificate can't take over what the first has signed.
  const auto other = NewCredentials(&ca_, "node2", Role::kNode);
  Envelope envelope = *controller_->Sign(Domain::kRequest, "do this", true);
  const Envelope theirs = *other->Sign(Domain::kRequest, "do this", true);
  *envelope.mutable_certificate_chain() = theirs.certificate_chain();
  envelope.set_key_id(theirs.key_id());
  ExpectRefused(envelope.SerializeAsString(), Refusal::kSignature, "certificate node2");
}

TEST_F(OpenTest, RefusesAnUnknownKeyUntilItWasShownOrLearnt) {
  const std::string bare = Signed(*controller_, Domain::kRequest, false);
  ExpectRefused(bare, Refusal::kUnknownKey, "is not known");
  EXPECT_TRUE(Open(*node_, Signed(*controller_)).peer.ok());
  EXPECT_TRUE(Open(*node_, bare).peer.ok());

  const auto other = NewCredentials(&ca_, "node2", Role::kNode);
  const Envelope chain = *other->Sign(Domain::kRequest, "do this", true);
  node_->LearnChain({chain.certificate_chain().begin(), chain.certificate_chain().end()});
  EXPECT_EQ(Open(*node_, Signed(*other, Domain::kRequest, false)).peer->common_name, "node2");
}

TEST_F(OpenTest, VerifiesWhatItLearnt) {
  TestCa evil("Test CA");
  const auto stranger = NewCredentials(&evil, "ops1", Role::kController);
  const Envelope chain = *stranger->Sign(Domain::kRequest, "do this", true);
  node_->LearnChain({chain.certificate_chain(0)});
  node_->LearnChain({});
  node_->LearnChain({"rubbish"});
  ExpectRefused(Signed(*stranger, Domain::kRequest, false), Refusal::kChain, "CN=ops1");
}

TEST_F(OpenTest, RefusesAnotherCa) {
  TestCa other("Another CA");
  ExpectRefused(Signed(*NewCredentials(&other, "ops1", Role::kController)), Refusal::kChain,
                "does not lead to a trusted CA (issuer CN=Another CA)");
  TestCa same_name("Test CA");
  ExpectRefused(Signed(*NewCredentials(&same_name, "ops1", Role::kController)), Refusal::kChain,
                "CN=ops1");
}

TEST_F(OpenTest, RefusesACertificateSignedByANode) {
  // A node's certificate above the leaf: it is not a CA's.
  CertificateSpec spec;
  spec.common_names = {"ops1"};
  spec.role = "orch-controller";
  TestCa pretender("node1");
  Envelope envelope;
  ASSERT_TRUE(envelope.ParseFromString(WithCertificate(*controller_, pretender.Issue(spec))));
  envelope.add_certificate_chain(ca_.Issue("node1").der);
  ExpectRefused(envelope.SerializeAsString(), Refusal::kChain, "CN=ops1");
}

TEST_F(OpenTest, RefusesOutOfItsTime) {
  CertificateSpec spec;
  spec.common_names = {"node2"};
  spec.not_after = absl::Now() - absl::Hours(1);
  ExpectRefused(WithCertificate(*controller_, ca_.Issue(spec)), Refusal::kChain, "expired 20");
  spec.not_before = absl::Now() + absl::Hours(1);
  spec.not_after = absl::Now() + absl::Hours(2);
  ExpectRefused(WithCertificate(*controller_, ca_.Issue(spec)), Refusal::kChain,
                "not valid before 20");
}

TEST_F(OpenTest, RefusesACachedChainOnceItsTimeIsOver) {
  const std::string bytes = Signed(*controller_);
  EXPECT_TRUE(Open(*node_, bytes).peer.ok());
  const Opened late = Open(*node_, bytes, Domain::kRequest, absl::Now() + absl::Hours(24 * 366));
  EXPECT_FALSE(late.peer.ok());
  EXPECT_EQ(late.refusal, Refusal::kRevoked);  // the revocation list is the first to end
  EXPECT_TRUE(Open(*node_, bytes).peer.ok());
}

TEST_F(OpenTest, RefusesWrongUsages) {
  CertificateSpec spec;
  spec.common_names = {"node2"};
  spec.extended_key_usage = "serverAuth";
  ExpectRefused(WithCertificate(*controller_, ca_.Issue(spec)), Refusal::kChain, "purpose");
  spec.extended_key_usage = "";
  spec.key_usage = "critical,keyAgreement";
  ExpectRefused(WithCertificate(*controller_, ca_.Issue(spec)), Refusal::kChain, "key usage");
}

TEST_F(OpenTest, RefusesSeveralOrDamagedRoles) {
  CertificateSpec spec;
  spec.common_names = {"node2"};
  spec.role_der = {"\x0c\x0forch-controller", "\x0c\x04node"};
  ExpectRefused(WithCertificate(*controller_, ca_.Issue(spec)), Refusal::kRole, "several");
  spec.role_der = {"\x16\x0forch-controller"};
  ExpectRefused(WithCertificate(*controller_, ca_.Issue(spec)), Refusal::kRole, "UTF8String");
}

TEST_F(OpenTest, RefusesNamesThatAreNoIdentity) {
  CertificateSpec spec;
  spec.common_names = {"Ops1"};
  spec.role = "orch-controller";
  ExpectRefused(WithCertificate(*controller_, ca_.Issue(spec)), Refusal::kChain, "not an identity");
  spec.common_names = {"ops1", "ops2"};
  ExpectRefused(WithCertificate(*controller_, ca_.Issue(spec)), Refusal::kChain,
                "several common names");
}

TEST_F(OpenTest, KeepsOfAChainOnlyWhatItNeeds) {
  TestCa middle("Middle CA", &ca_);
  TrustConfig config = WriteTrust(&ca_, ca_.Issue("node3"), "node3", NewTestDirectory());
  config.clear_crl();
  config.set_no_crl(true);
  const auto without_crl = *Credentials::Load(config, absl::Now());
  const Certificate leaf = middle.Issue("node2");
  TrustConfig theirs = WriteTrust(&middle, leaf, "node2", NewTestDirectory());
  ASSERT_TRUE(base::WriteFileAtomically(theirs.certificate(), leaf.pem + middle.pem(), 0644).ok());
  ASSERT_TRUE(base::WriteFileAtomically(theirs.ca(), ca_.pem(), 0644).ok());
  theirs.clear_crl();
  theirs.set_no_crl(true);
  const auto node = *Credentials::Load(theirs, absl::Now());
  Envelope envelope = *node->Sign(Domain::kRequest, "do this", true);
  for (int i = 0; i < 5; ++i) envelope.add_certificate_chain(ca_.Issue("other").der);
  EXPECT_TRUE(Open(*without_crl, envelope.SerializeAsString()).peer.ok());
  // A new verifier judges what was kept: the leaf and its intermediate.
  TestCa next("Next CA");
  ASSERT_TRUE(base::WriteFileAtomically(config.ca(), ca_.pem() + next.pem(), 0644).ok());
  ASSERT_TRUE(*without_crl->Reload(absl::Now()));
  const Opened again = Open(*without_crl, Signed(*node, Domain::kRequest, false));
  EXPECT_TRUE(again.peer.ok()) << again.peer.status();
}

TEST_F(OpenTest, RefusesAChainWithRubbishInIt) {
  Envelope envelope = *controller_->Sign(Domain::kRequest, "do this", true);
  envelope.add_certificate_chain("rubbish");
  ExpectRefused(envelope.SerializeAsString(), Refusal::kChain, "not a certificate");
}

}  // namespace
}  // namespace orch::trust
