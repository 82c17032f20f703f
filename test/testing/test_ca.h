// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "trust/config.pb.h"
#include "trust/identity.h"

// A CA in memory, for tests: certificates with roles, and deliberately bad ones, revocation lists,
// and the files that a TrustConfig names. Failures abort: a test can't go on without.

namespace orch::testing {

enum class KeyKind { kP256, kP384, kP521, kEd25519, kRsa1024, kRsa2048 };

// What a certificate says.
struct CertificateSpec {
  std::vector<std::string> common_names;  // one, unless a test wants it wrong
  std::string role;                       // pp_auth_role; empty: none
  // Raw values of pp_auth_role extensions, in place of `role`: each becomes an extension.
  std::vector<std::string> role_der;
  std::vector<std::string> names = {"localhost"};  // DNS names in the SAN, besides the first CN
  std::vector<std::string> addresses = {"127.0.0.1"};
  std::string key_usage = "critical,digitalSignature,keyEncipherment";
  std::string extended_key_usage = "serverAuth,clientAuth";
  KeyKind key = KeyKind::kP256;
  absl::Time not_before = absl::Now() - absl::Hours(24);
  absl::Time not_after = absl::Now() + absl::Hours(24 * 365);
  bool ca = false;
};

struct Certificate {
  std::string pem;
  std::string key_pem;
  std::string der;
  std::string fingerprint;  // SHA-256 of the DER, hex
};

class TestCa {
 public:
  explicit TestCa(const std::string& name = "Test CA", KeyKind key = KeyKind::kP256);
  // A CA whose certificate ends, or ended, at `end`.
  TestCa(const std::string& name, absl::Time end);
  // A CA below `parent`.
  TestCa(const std::string& name, TestCa* parent);
  ~TestCa();
  TestCa(const TestCa&) = delete;
  TestCa& operator=(const TestCa&) = delete;

  Certificate Issue(const CertificateSpec& spec);
  // The usual: an identity with pp_auth_role, P-256.
  Certificate Issue(const std::string& common_name, trust::Role role = trust::Role::kNode);

  // Puts the certificate on every revocation list that is made from now on.
  void Revoke(const Certificate& certificate);
  // Makes a revocation list with the next number.
  std::string CrlPem(absl::Time end = absl::Now() + absl::Hours(24 * 365));
  std::string CrlDer(absl::Time end = absl::Now() + absl::Hours(24 * 365));
  // The same, signed at `start`.
  std::string CrlDer(absl::Time start, absl::Time end);
  // A revocation list's DER as the files have it.
  static std::string CrlToPem(const std::string& der);
  void set_next_crl_number(uint64_t number);

  const std::string& pem() const;
  const std::string& name() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Writes ca.pem, crl.pem, `<name>.pem` and `<name>.key` (0600) into `directory` and returns the
// configuration that names them. A second call with the same directory replaces ca.pem and crl.pem
// with those of `ca`.
trust::TrustConfig WriteTrust(TestCa* ca, const Certificate& certificate, const std::string& name,
                              const std::string& directory);
// Issues a certificate and writes its files.
trust::TrustConfig WriteTrust(TestCa* ca, const std::string& name, trust::Role role,
                              const std::string& directory);
// Issues a certificate, writes its files and loads them: what a fake needs to sign, to verify and
// to speak TLS.
std::shared_ptr<trust::Credentials> NewCredentials(TestCa* ca, const std::string& name,
                                                   trust::Role role);

// A new directory below the test's own.
std::string NewTestDirectory();

}  // namespace orch::testing
