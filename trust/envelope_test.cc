// SPDX-License-Identifier: Apache-2.0
#include "trust/envelope.h"

#include <gtest/gtest.h>

#include "trust/certificate.h"
#include "trust/signature.h"

namespace orch::trust {
namespace {

using orch::bus::v1::Envelope;

Envelope Good() {
  Envelope out;
  out.set_protocol(1);
  out.set_key_id(std::string(32, 'k'));
  out.set_payload("payload");
  out.set_signature("signature");
  return out;
}

std::string RefusedBecause(const std::string& bytes, Refusal expected) {
  Refusal refusal;
  const auto parsed = ParseEnvelope(bytes, &refusal);
  EXPECT_FALSE(parsed.ok());
  EXPECT_EQ(RefusalName(refusal), RefusalName(expected));
  return std::string(parsed.status().message());
}

TEST(SignedBytesTest, AreDomainKeyIdAndPayloadEachWithItsLength) {
  using namespace std::string_literals;
  EXPECT_EQ(SignedBytes(Domain::kReply, "key", "pay"),
            "\0\0\0\x0dorch.reply.v1\0\0\0\x03key\0\0\0\x03pay"s);
  EXPECT_EQ(SignedBytes(Domain::kRequest, "", std::string(258, 'x')),
            "\0\0\0\x0forch.request.v1\0\0\0\0\0\0\x01\x02"s + std::string(258, 'x'));
}

TEST(SignedBytesTest, DifferWhereverTheBorderIs) {
  EXPECT_NE(SignedBytes(Domain::kPresence, "ab", "c"), SignedBytes(Domain::kPresence, "a", "bc"));
  EXPECT_NE(SignedBytes(Domain::kPresence, "a", "b"), SignedBytes(Domain::kReply, "a", "b"));
}

TEST(ParseEnvelopeTest, TakesAGoodOne) {
  Refusal refusal;
  const auto parsed = ParseEnvelope(Good().SerializeAsString(), &refusal);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->payload(), "payload");
}

TEST(ParseEnvelopeTest, RefusesWhatIsTooLarge) {
  Envelope envelope = Good();
  envelope.set_payload(std::string(kEnvelopeMax, 'x'));
  RefusedBecause(envelope.SerializeAsString(), Refusal::kTooLarge);
  envelope.mutable_payload()->resize(kEnvelopeMax - 100);
  Refusal refusal;
  EXPECT_TRUE(ParseEnvelope(envelope.SerializeAsString(), &refusal).ok());
}

TEST(ParseEnvelopeTest, RefusesWhatDoesNotParse) {
  RefusedBecause("hello", Refusal::kEnvelope);
  RefusedBecause("", Refusal::kEnvelope);
  const std::string good = Good().SerializeAsString();
  for (size_t size = 0; size < good.size(); ++size) {
    RefusedBecause(good.substr(0, size), Refusal::kEnvelope);
  }
}

TEST(ParseEnvelopeTest, RefusesOtherProtocols) {
  Envelope envelope = Good();
  envelope.set_protocol(2);
  EXPECT_EQ(RefusedBecause(envelope.SerializeAsString(), Refusal::kEnvelope),
            "envelope: protocol 2; this build speaks 1");
}

TEST(ParseEnvelopeTest, RefusesMoreThanItTakes) {
  const std::string good = Good().SerializeAsString();
  using namespace std::string_literals;
  RefusedBecause(good + "x", Refusal::kEnvelope);
  EXPECT_EQ(RefusedBecause(good + "\x32\x01x"s, Refusal::kEnvelope), "envelope: unknown fields");
  RefusedBecause(good +
                     "\x22\x03"
                     "abc",
                 Refusal::kEnvelope);                                    // payload again
  RefusedBecause("\x08\x01"s + good, Refusal::kEnvelope);                // protocol again
  RefusedBecause("\x08\x81\x00"s + good.substr(2), Refusal::kEnvelope);  // a padded number
}

TEST(ParseEnvelopeTest, RefusesLengthsThatCantBe) {
  Envelope envelope = Good();
  envelope.set_key_id("short");
  RefusedBecause(envelope.SerializeAsString(), Refusal::kEnvelope);
  envelope = Good();
  envelope.clear_signature();
  RefusedBecause(envelope.SerializeAsString(), Refusal::kEnvelope);
  envelope.set_signature(std::string(kSignatureMax + 1, 's'));
  RefusedBecause(envelope.SerializeAsString(), Refusal::kEnvelope);
  envelope = Good();
  for (size_t i = 0; i <= kChainMax; ++i) envelope.add_certificate_chain("c");
  envelope.set_key_id(Sha256("c"));
  RefusedBecause(envelope.SerializeAsString(), Refusal::kEnvelope);
}

TEST(ParseEnvelopeTest, RefusesAKeyIdOfAnotherCertificate) {
  Envelope envelope = Good();
  envelope.add_certificate_chain("a certificate");
  EXPECT_EQ(RefusedBecause(envelope.SerializeAsString(), Refusal::kEnvelope),
            "envelope: the key id is not that of the certificate in it");
  envelope.set_key_id(Sha256("a certificate"));
  Refusal refusal;
  EXPECT_TRUE(ParseEnvelope(envelope.SerializeAsString(), &refusal).ok());
}

}  // namespace
}  // namespace orch::trust
