// SPDX-License-Identifier: Apache-2.0
#include "trust/certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/ids.h"

namespace orch::trust {
namespace {

constexpr char kAuthRoleOid[] = "1.3.6.1.4.1.34380.1.3.13";

constexpr size_t kNameTextMax = 256;

const ASN1_OBJECT* AuthRoleObject() {
  static const ASN1_OBJECT* const object = OBJ_txt2obj(kAuthRoleOid, /*no_name=*/1);
  return object;
}

bool IsUserName(absl::string_view text) {
  return !text.empty() && text.size() <= 128 && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isalnum(c) || absl::string_view("._@:-").find(c) != absl::string_view::npos;
  });
}

template <typename T, typename Encode>
std::string Encoded(const T* object, Encode encode) {
  unsigned char* bytes = nullptr;
  const int size = encode(object, &bytes);
  if (size < 0) return "";
  std::string out(reinterpret_cast<char*>(bytes), size);
  OPENSSL_free(bytes);
  return out;
}

std::string TakeText(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return std::string(data, size > 0 ? size : 0);
}

}  // namespace

std::string TakeOpenSslError() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "unknown reason" : reason;
}

absl::StatusOr<X509Ptr> ParseCertificateDer(absl::string_view der) {
  if (der.size() > kCertificateMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("a certificate of ", der.size(), " bytes; the limit is ", kCertificateMax));
  }
  const auto* begin = reinterpret_cast<const unsigned char*>(der.data());
  const unsigned char* at = begin;
  X509Ptr out(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (out == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("not a certificate: ", TakeOpenSslError()));
  }
  if (at != begin + der.size()) {
    return absl::InvalidArgumentError("bytes behind a certificate");
  }
  return out;
}

absl::StatusOr<std::vector<X509Ptr>> ParseCertificatesPem(absl::string_view pem, size_t max) {
  ERR_clear_error();
  std::vector<X509Ptr> out;
  const BioPtr bio = ReadingBio(pem);
  for (;;) {
    X509Ptr certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (certificate == nullptr) break;
    if (out.size() == max) {
      return absl::InvalidArgumentError(absl::StrCat("more than ", max, " certificates"));
    }
    out.push_back(std::move(certificate));
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  const std::string why = TakeOpenSslError();
  if (!at_end) {
    return absl::InvalidArgumentError(
        absl::StrCat("certificate ", out.size() + 1, " in it is damaged: ", why));
  }
  if (out.empty()) return absl::InvalidArgumentError("no PEM certificate in it");
  return out;
}

std::string DerOf(const X509* certificate) { return Encoded(certificate, i2d_X509); }

std::string PemOf(X509* certificate) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(bio.get(), certificate) != 1) return "";
  return TakeText(bio.get());
}

std::string NameText(const X509_NAME* name) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253);
  std::string out = TakeText(bio.get());
  if (out.size() <= kNameTextMax) return out;
  out.resize(kNameTextMax);
  return out + "…";
}

std::string SubjectOf(const X509* certificate) {
  return NameText(X509_get_subject_name(certificate));
}

std::string SerialOf(const X509* certificate) {
  const BignumPtr number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr));
  if (number == nullptr) return "";
  char* hex = BN_bn2hex(number.get());
  std::string out = hex == nullptr ? "" : hex;
  OPENSSL_free(hex);
  const size_t digits = out.find_first_not_of('0');
  return digits == std::string::npos ? "0" : out.substr(digits);
}

absl::Time ToTime(const ASN1_TIME* time) {
  if (time == nullptr) return absl::InfiniteFuture();
  std::tm parts = {};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return absl::InfinitePast();
  return absl::FromTM(parts, absl::UTCTimeZone());
}

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

absl::Time NotBeforeOf(const X509* certificate) { return ToTime(X509_get0_notBefore(certificate)); }

absl::Time NotAfterOf(const X509* certificate) { return ToTime(X509_get0_notAfter(certificate)); }

std::string KeyDigestOf(const X509* certificate) {
  unsigned char* bytes = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &bytes);
  if (size < 0) return "";
  const std::string out = Sha256(absl::string_view(reinterpret_cast<char*>(bytes), size));
  OPENSSL_free(bytes);
  return out;
}

absl::StatusOr<std::string> CommonNameOf(const X509* certificate, Role role) {
  const X509_NAME* subject = X509_get_subject_name(certificate);
  const int index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (index < 0) return absl::InvalidArgumentError("the certificate has no common name");
  if (X509_NAME_get_index_by_NID(subject, NID_commonName, index) >= 0) {
    return absl::InvalidArgumentError("the certificate has several common names");
  }
  unsigned char* text = nullptr;
  const int size =
      ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, index)));
  if (size < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("the certificate's common name is not text: ", TakeOpenSslError()));
  }
  const std::string name(reinterpret_cast<char*>(text), size);
  OPENSSL_free(text);
  if (role == Role::kUser ? IsUserName(name) : base::IsIdentity(name)) return name;
  return absl::InvalidArgumentError(absl::StrCat(
      "the certificate's common name (", SubjectOf(certificate), ") is not ",
      role == Role::kUser ? "[A-Za-z0-9._@:-]{1,128}" : "an identity [a-z0-9._-]{1,253}"));
}

absl::StatusOr<std::optional<std::string>> AuthRoleOf(const X509* certificate) {
  const int index = X509_get_ext_by_OBJ(certificate, AuthRoleObject(), -1);
  if (index < 0) return std::optional<std::string>();
  if (X509_get_ext_by_OBJ(certificate, AuthRoleObject(), index) >= 0) {
    return absl::InvalidArgumentError("the certificate has several pp_auth_role extensions");
  }
  const ASN1_OCTET_STRING* value = X509_EXTENSION_get_data(X509_get_ext(certificate, index));
  const absl::string_view der(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
                              ASN1_STRING_length(value));
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  ASN1_UTF8STRING* text = d2i_ASN1_UTF8STRING(nullptr, &at, static_cast<long>(der.size()));
  ERR_clear_error();
  const absl::Cleanup freer = [text] { ASN1_UTF8STRING_free(text); };
  // Encoding it again finds trailing bytes and the freedoms of BER.
  if (text == nullptr || Encoded(text, i2d_ASN1_UTF8STRING) != der) {
    return absl::InvalidArgumentError(
        "the certificate's pp_auth_role extension is not one DER UTF8String");
  }
  return std::optional<std::string>(std::string(
      reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)), ASN1_STRING_length(text)));
}

}  // namespace orch::trust
