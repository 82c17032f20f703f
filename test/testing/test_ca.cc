// SPDX-License-Identifier: Apache-2.0
#include "test/testing/test_ca.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/config.h"
#include "base/status.h"

namespace orch::testing {
namespace {

constexpr char kAuthRoleOid[] = "1.3.6.1.4.1.34380.1.3.13";

using KeyPtr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using X509Ptr = std::unique_ptr<X509, decltype(&X509_free)>;

KeyPtr NewKey(KeyKind kind) {
  EVP_PKEY* key = nullptr;
  switch (kind) {
    case KeyKind::kP256:
      key = EVP_EC_gen("P-256");
      break;
    case KeyKind::kP384:
      key = EVP_EC_gen("P-384");
      break;
    case KeyKind::kP521:
      key = EVP_EC_gen("P-521");
      break;
    case KeyKind::kEd25519:
      key = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
      break;
    case KeyKind::kRsa1024:
      key = EVP_RSA_gen(1024);
      break;
    case KeyKind::kRsa2048:
      key = EVP_RSA_gen(2048);
      break;
  }
  ORCH_CHECK(key != nullptr);
  return KeyPtr(key, &EVP_PKEY_free);
}

template <typename Write>
std::string Text(Write write) {
  BIO* bio = BIO_new(BIO_s_mem());
  ORCH_CHECK(write(bio) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string out(data, size);
  BIO_free(bio);
  return out;
}

template <typename T, typename Encode>
std::string Der(T* object, Encode encode) {
  unsigned char* bytes = nullptr;
  const int size = encode(object, &bytes);
  ORCH_CHECK(size > 0);
  std::string out(reinterpret_cast<char*>(bytes), size);
  OPENSSL_free(bytes);
  return out;
}

ASN1_TIME* NewTime(absl::Time time) {
  ASN1_TIME* out = ASN1_TIME_set(nullptr, absl::ToTimeT(time));
  ORCH_CHECK(out != nullptr);
  return out;
}

void AddRoleExtension(X509* certificate, const std::string& der) {
  ASN1_OBJECT* object = OBJ_txt2obj(kAuthRoleOid, 1);
  ASN1_OCTET_STRING* value = ASN1_OCTET_STRING_new();
  ORCH_CHECK(ASN1_OCTET_STRING_set(value, reinterpret_cast<const unsigned char*>(der.data()),
                                   static_cast<int>(der.size())) == 1);
  X509_EXTENSION* extension = X509_EXTENSION_create_by_OBJ(nullptr, object, 0, value);
  ORCH_CHECK(X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
  ASN1_OCTET_STRING_free(value);
  ASN1_OBJECT_free(object);
}

void AddExtension(X509* issuer, X509* certificate, int nid, const std::string& value) {
  if (value.empty()) return;
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  ORCH_CHECK(extension != nullptr);
  ORCH_CHECK(X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

std::string AlternativeNames(const CertificateSpec& spec) {
  std::vector<std::string> out;
  if (!spec.common_names.empty() && !spec.ca && !spec.names.empty()) {
    out.push_back(absl::StrCat("DNS:", spec.common_names.front()));
  }
  for (const std::string& name : spec.names) out.push_back(absl::StrCat("DNS:", name));
  for (const std::string& address : spec.addresses) out.push_back(absl::StrCat("IP:", address));
  return absl::StrJoin(out, ",");
}

// Ed25519 brings its own digest.
const EVP_MD* DigestFor(EVP_PKEY* key) {
  return EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? nullptr : EVP_sha256();
}

// Issued by `issuer` with `issuer_key`, or self-signed where they are null.
X509Ptr NewCertificate(const CertificateSpec& spec, EVP_PKEY* key, X509* issuer,
                       EVP_PKEY* issuer_key) {
  X509Ptr out(X509_new(), &X509_free);
  X509* const certificate = out.get();
  X509_set_version(certificate, X509_VERSION_3);
  unsigned char serial[8];
  ORCH_CHECK(RAND_bytes(serial, sizeof serial) == 1);
  serial[0] = (serial[0] & 0x7f) | 0x40;
  BIGNUM* number = BN_bin2bn(serial, sizeof serial, nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
  BN_free(number);
  ASN1_TIME* time = NewTime(spec.not_before);
  X509_set1_notBefore(certificate, time);
  ASN1_TIME_free(time);
  time = NewTime(spec.not_after);
  X509_set1_notAfter(certificate, time);
  ASN1_TIME_free(time);
  for (const std::string& name : spec.common_names) {
    ORCH_CHECK(X509_NAME_add_entry_by_NID(X509_get_subject_name(certificate), NID_commonName,
                                          MBSTRING_UTF8,
                                          reinterpret_cast<const unsigned char*>(name.data()),
                                          static_cast<int>(name.size()), -1, 0) == 1);
  }
  if (issuer == nullptr) issuer = certificate;
  X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
  ORCH_CHECK(X509_set_pubkey(certificate, key) == 1);
  AddExtension(issuer, certificate, NID_basic_constraints,
               spec.ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
  AddExtension(issuer, certificate, NID_key_usage, spec.key_usage);
  AddExtension(issuer, certificate, NID_ext_key_usage, spec.extended_key_usage);
  AddExtension(issuer, certificate, NID_subject_key_identifier, "hash");
  AddExtension(issuer, certificate, NID_authority_key_identifier, "keyid");
  AddExtension(issuer, certificate, NID_subject_alt_name, AlternativeNames(spec));
  for (const std::string& der : spec.role_der) AddRoleExtension(certificate, der);
  if (!spec.role.empty()) {
    ORCH_CHECK(spec.role.size() < 128);
    AddRoleExtension(
        certificate,
        absl::StrCat("\x0c", std::string(1, static_cast<char>(spec.role.size())), spec.role));
  }
  if (issuer_key == nullptr) issuer_key = key;
  ORCH_CHECK(X509_sign(certificate, issuer_key, DigestFor(issuer_key)) > 0);
  return out;
}

CertificateSpec CaSpec(const std::string& name) {
  CertificateSpec spec;
  spec.common_names = {name};
  spec.names = {};
  spec.addresses = {};
  spec.key_usage = "critical,keyCertSign,cRLSign";
  spec.extended_key_usage = "";
  spec.not_after = absl::Now() + absl::Hours(24 * 3650);
  spec.ca = true;
  return spec;
}

}  // namespace

struct TestCa::State {
  std::string name;
  KeyPtr key{nullptr, &EVP_PKEY_free};
  X509Ptr certificate{nullptr, &X509_free};
  std::string pem;
  std::vector<std::string> revoked;  // DER of certificates
  uint64_t next_crl_number = 1;

  void Own(const CertificateSpec& spec, KeyKind kind, X509* issuer, EVP_PKEY* issuer_key) {
    name = spec.common_names.front();
    key = NewKey(kind);
    certificate = NewCertificate(spec, key.get(), issuer, issuer_key);
    pem = Text([this](BIO* bio) { return PEM_write_bio_X509(bio, certificate.get()); });
  }
};

TestCa::TestCa(const std::string& name, KeyKind key) : state_(std::make_unique<State>()) {
  state_->Own(CaSpec(name), key, nullptr, nullptr);
}

TestCa::TestCa(const std::string& name, absl::Time end) : state_(std::make_unique<State>()) {
  CertificateSpec spec = CaSpec(name);
  spec.not_before = end - absl::Hours(24 * 3650);
  spec.not_after = end;
  state_->Own(spec, KeyKind::kP256, nullptr, nullptr);
}

TestCa::TestCa(const std::string& name, TestCa* parent) : state_(std::make_unique<State>()) {
  state_->Own(CaSpec(name), KeyKind::kP256, parent->state_->certificate.get(),
              parent->state_->key.get());
}

TestCa::~TestCa() = default;

const std::string& TestCa::pem() const { return state_->pem; }
const std::string& TestCa::name() const { return state_->name; }
void TestCa::set_next_crl_number(uint64_t number) { state_->next_crl_number = number; }

Certificate TestCa::Issue(const CertificateSpec& spec) {
  const KeyPtr key = NewKey(spec.key);
  const X509Ptr certificate =
      NewCertificate(spec, key.get(), state_->certificate.get(), state_->key.get());
  Certificate out;
  out.pem = Text([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate.get()); });
  out.key_pem = Text([&](BIO* bio) {
    return PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
  out.der = Der(certificate.get(), [](X509* c, unsigned char** p) { return i2d_X509(c, p); });
  out.fingerprint = absl::BytesToHexString(trust::Sha256(out.der));
  return out;
}

Certificate TestCa::Issue(const std::string& common_name, trust::Role role) {
  CertificateSpec spec;
  spec.common_names = {common_name};
  if (role != trust::Role::kNode) spec.role = std::string(trust::RoleName(role));
  return Issue(spec);
}

void TestCa::Revoke(const Certificate& certificate) { state_->revoked.push_back(certificate.der); }

std::string TestCa::CrlDer(absl::Time end) {
  return CrlDer(std::min(absl::Now(), end) - absl::Hours(24), end);
}

std::string TestCa::CrlDer(absl::Time start, absl::Time end) {
  X509_CRL* crl = X509_CRL_new();
  X509_CRL_set_version(crl, X509_CRL_VERSION_2);
  X509_CRL_set_issuer_name(crl, X509_get_subject_name(state_->certificate.get()));
  ASN1_TIME* time = NewTime(start);
  X509_CRL_set1_lastUpdate(crl, time);
  for (const std::string& der : state_->revoked) {
    const auto* at = reinterpret_cast<const unsigned char*>(der.data());
    const X509Ptr certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())), &X509_free);
    X509_REVOKED* entry = X509_REVOKED_new();
    X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(certificate.get()));
    X509_REVOKED_set_revocationDate(entry, time);
    ORCH_CHECK(X509_CRL_add0_revoked(crl, entry) == 1);
  }
  ASN1_TIME_free(time);
  time = NewTime(end);
  X509_CRL_set1_nextUpdate(crl, time);
  ASN1_TIME_free(time);
  ASN1_INTEGER* number = ASN1_INTEGER_new();
  ASN1_INTEGER_set_uint64(number, state_->next_crl_number++);
  ORCH_CHECK(X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, 0) == 1);
  ASN1_INTEGER_free(number);
  X509V3_CTX context;
  X509V3_set_ctx(&context, state_->certificate.get(), nullptr, nullptr, crl, 0);
  X509_EXTENSION* key_id =
      X509V3_EXT_conf_nid(nullptr, &context, NID_authority_key_identifier, "keyid");
  ORCH_CHECK(X509_CRL_add_ext(crl, key_id, -1) == 1);
  X509_EXTENSION_free(key_id);
  X509_CRL_sort(crl);
  ORCH_CHECK(X509_CRL_sign(crl, state_->key.get(), DigestFor(state_->key.get())) > 0);
  std::string out = Der(crl, [](X509_CRL* c, unsigned char** p) { return i2d_X509_CRL(c, p); });
  X509_CRL_free(crl);
  return out;
}

std::string TestCa::CrlPem(absl::Time end) { return CrlToPem(CrlDer(end)); }

std::string TestCa::CrlToPem(const std::string& der) {
  return Text([&der](BIO* bio) {
    return PEM_write_bio(bio, PEM_STRING_X509_CRL, "",
                         reinterpret_cast<const unsigned char*>(der.data()),
                         static_cast<long>(der.size())) > 0
               ? 1
               : 0;
  });
}

std::string NewTestDirectory() {
  const char* root = getenv("TEST_TMPDIR");
  std::string path = absl::StrCat(root == nullptr ? "/tmp" : root, "/orch.XXXXXX");
  ORCH_CHECK(mkdtemp(path.data()) != nullptr);
  return path;
}

trust::TrustConfig WriteTrust(TestCa* ca, const Certificate& certificate, const std::string& name,
                              const std::string& directory) {
  trust::TrustConfig out;
  out.set_certificate(absl::StrCat(directory, "/", name, ".pem"));
  out.set_private_key(absl::StrCat(directory, "/", name, ".key"));
  out.set_ca(absl::StrCat(directory, "/ca.pem"));
  out.set_crl(absl::StrCat(directory, "/crl.pem"));
  ORCH_CHECK(base::WriteFileAtomically(out.certificate(), certificate.pem, 0644).ok());
  ORCH_CHECK(base::WriteFileAtomically(out.private_key(), certificate.key_pem, 0600).ok());
  ORCH_CHECK(base::WriteFileAtomically(out.ca(), ca->pem(), 0644).ok());
  ORCH_CHECK(base::WriteFileAtomically(out.crl(), ca->CrlPem(), 0644).ok());
  return out;
}

trust::TrustConfig WriteTrust(TestCa* ca, const std::string& name, trust::Role role,
                              const std::string& directory) {
  return WriteTrust(ca, ca->Issue(name, role), name, directory);
}

std::shared_ptr<trust::Credentials> NewCredentials(TestCa* ca, const std::string& name,
                                                   trust::Role role) {
  const auto loaded =
      trust::Credentials::Load(WriteTrust(ca, name, role, NewTestDirectory()), absl::Now());
  if (!loaded.ok()) base::CheckFailed(__FILE__, __LINE__, loaded.status().ToString().c_str());
  return *loaded;
}

}  // namespace orch::testing
