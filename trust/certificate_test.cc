// SPDX-License-Identifier: Apache-2.0
#include "trust/certificate.h"

#include <gtest/gtest.h>

#include <cstring>

#include "test/testing/test_ca.h"

namespace orch::trust {
namespace {

using ::orch::testing::CertificateSpec;
using ::orch::testing::TestCa;

X509Ptr Parsed(const orch::testing::Certificate& certificate) {
  absl::StatusOr<X509Ptr> out = ParseCertificateDer(certificate.der);
  EXPECT_TRUE(out.ok()) << out.status();
  return *std::move(out);
}

CertificateSpec WithRoles(std::vector<std::string> der) {
  CertificateSpec spec;
  spec.common_names = {"ops1"};
  spec.role_der = std::move(der);
  return spec;
}

TEST(CertificateTest, SaysWhoItIsFor) {
  TestCa ca;
  const orch::testing::Certificate issued = ca.Issue("node1.example.com");
  const X509Ptr certificate = Parsed(issued);
  EXPECT_EQ(*CommonNameOf(certificate.get(), Role::kNode), "node1.example.com");
  EXPECT_EQ(SubjectOf(certificate.get()), "CN=node1.example.com");
  EXPECT_EQ(SerialOf(certificate.get()).size(), 16u);
  EXPECT_EQ(DerOf(certificate.get()), issued.der);
  EXPECT_EQ(PemOf(certificate.get()), issued.pem);
  EXPECT_GT(NotAfterOf(certificate.get()), absl::Now());
  EXPECT_LT(NotBeforeOf(certificate.get()), absl::Now());
}

TEST(CertificateTest, CutsLongNames) {
  TestCa ca;
  CertificateSpec spec;
  spec.names = {};
  for (int i = 0; i < 20; ++i) spec.common_names.push_back(std::string(60, 'x'));
  EXPECT_EQ(SubjectOf(Parsed(ca.Issue(spec)).get()).size(), 256 + strlen("…"));
}

TEST(CertificateTest, RefusesBytesThatAreNotExactlyOne) {
  TestCa ca;
  const std::string der = ca.Issue("node1").der;
  EXPECT_FALSE(ParseCertificateDer("").ok());
  EXPECT_FALSE(ParseCertificateDer(der.substr(0, der.size() - 1)).ok());
  EXPECT_EQ(ParseCertificateDer(der + "x").status().message(), "bytes behind a certificate");
  EXPECT_FALSE(ParseCertificateDer(std::string(kCertificateMax + 1, 'x')).ok());
}

TEST(CertificateTest, ReadsPemBundles) {
  TestCa ca;
  const std::string one = ca.Issue("node1").pem;
  const std::string two = ca.Issue("node2").pem;
  EXPECT_EQ(ParseCertificatesPem("# a comment\n" + one + "\n\n" + two, 2)->size(), 2u);
  EXPECT_EQ(ParseCertificatesPem(one + two, 1).status().message(), "more than 1 certificates");
  EXPECT_EQ(ParseCertificatesPem("", 2).status().message(), "no PEM certificate in it");
  EXPECT_EQ(ParseCertificatesPem("hello", 2).status().message(), "no PEM certificate in it");
}

TEST(CertificateTest, RefusesADamagedOneInABundle) {
  TestCa ca;
  const std::string good = ca.Issue("node1").pem;
  std::string bad = ca.Issue("node2").pem;
  bad.replace(200, 4, "!!!!");
  const auto bundle = ParseCertificatesPem(good + bad, 8);
  ASSERT_FALSE(bundle.ok());
  EXPECT_NE(bundle.status().message().find("certificate 2 in it is damaged"),
            absl::string_view::npos);
  const std::string cut = good.substr(0, good.size() / 2);
  EXPECT_FALSE(ParseCertificatesPem(good + cut, 8).ok());
}

TEST(CertificateTest, WantsExactlyOneCommonName) {
  TestCa ca;
  CertificateSpec spec;
  EXPECT_FALSE(CommonNameOf(Parsed(ca.Issue(spec)).get(), Role::kNode).ok());
  spec.common_names = {"node1", "node2"};
  EXPECT_EQ(CommonNameOf(Parsed(ca.Issue(spec)).get(), Role::kNode).status().message(),
            "the certificate has several common names");
}

TEST(CertificateTest, WantsACommonNameThatFitsTheRole) {
  TestCa ca;
  const struct {
    std::string name;
    bool node, user;
  } cases[] = {{"node1", true, true},
               {"Alice", false, true},
               {"alice@example.com", false, true},
               {"a/b", false, false},
               {"a b", false, false},
               {"a*", false, false},
               {std::string("node1\0.evil", 11), false, false},
               {"n\xc3\xb6"
                "de",
                false, false},
               {"-node", false, true}};
  for (const auto& each : cases) {
    CertificateSpec spec;
    spec.common_names = {each.name};
    spec.names = {};
    const X509Ptr certificate = Parsed(ca.Issue(spec));
    EXPECT_EQ(CommonNameOf(certificate.get(), Role::kNode).ok(), each.node) << each.name;
    EXPECT_EQ(CommonNameOf(certificate.get(), Role::kController).ok(), each.node) << each.name;
    EXPECT_EQ(CommonNameOf(certificate.get(), Role::kUser).ok(), each.user) << each.name;
  }
}

TEST(CertificateTest, ReadsTheRoleExtension) {
  TestCa ca;
  EXPECT_EQ(*AuthRoleOf(Parsed(ca.Issue("node1")).get()), std::nullopt);
  EXPECT_EQ(*AuthRoleOf(Parsed(ca.Issue("ops1", Role::kController)).get()), "orch-controller");
  EXPECT_EQ(*AuthRoleOf(Parsed(ca.Issue(WithRoles({std::string("\x0c\x00", 2)}))).get()), "");
}

TEST(CertificateTest, RefusesARoleExtensionThatIsNotOneDerUtf8String) {
  TestCa ca;
  const std::string user = "\x0c\x09orch-user";
  const std::vector<std::vector<std::string>> cases = {
      {user, user},                                        // twice
      {user, "\x0c\x04node"},                              // twice
      {"\x16\x09orch-user"},                               // IA5String
      {"\x13\x09orch-user"},                               // PrintableString
      {"orch-user"},                                       // no ASN.1
      {std::string("\x0c\x09orch-userX")},                 // trailing bytes
      {std::string("\x0c\x0aorch-user")},                  // too short
      {std::string("\x0c\x81\x09orch-user")},              // a length that is not DER
      {std::string("\x2c\x0b\x0c\x09orch-user")},          // constructed
      {std::string("\x2c\x80\x0c\x09orch-user\0\0", 15)},  // of indefinite length
      {""}};
  for (const auto& each : cases) {
    const auto role = AuthRoleOf(Parsed(ca.Issue(WithRoles(each))).get());
    EXPECT_FALSE(role.ok()) << each.front();
  }
}

}  // namespace
}  // namespace orch::trust
