// SPDX-License-Identifier: Apache-2.0
#include "trust/signature.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace orch::trust {
namespace {

constexpr int kRsaBitsMin = 2048;
constexpr int kRsaBitsMax = 8192;

struct Scheme {
  const EVP_MD* digest = nullptr;  // null: the algorithm brings its own
  bool pss = false;
};

absl::StatusOr<Scheme> EcScheme(const EVP_PKEY* key) {
  int spelled_out = 0;
  EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &spelled_out);
  char curve[64] = "";
  size_t size = 0;
  EVP_PKEY_get_group_name(key, curve, sizeof curve, &size);
  const absl::string_view name(curve);
  if (spelled_out != 1 && name == "prime256v1") return Scheme{.digest = EVP_sha256()};
  if (spelled_out != 1 && name == "secp384r1") return Scheme{.digest = EVP_sha384()};
  return absl::InvalidArgumentError(absl::StrCat(
      "an EC key on ", name.empty() ? "an unnamed curve" : name, "; P-256 or P-384 is needed"));
}

absl::StatusOr<Scheme> SchemeOf(const EVP_PKEY* key) {
  switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_EC:
      return EcScheme(key);
    case EVP_PKEY_ED25519:
      return Scheme{};
    case EVP_PKEY_RSA: {
      const int bits = EVP_PKEY_get_bits(key);
      if (bits >= kRsaBitsMin && bits <= kRsaBitsMax) {
        return Scheme{.digest = EVP_sha256(), .pss = true};
      }
      return absl::InvalidArgumentError(absl::StrCat("an RSA key of ", bits, " bits; ", kRsaBitsMin,
                                                     " to ", kRsaBitsMax, " are needed"));
    }
    default: {
      const char* name = EVP_PKEY_get0_type_name(key);
      return absl::InvalidArgumentError(
          absl::StrCat("a key of type ", name == nullptr ? "unknown" : name,
                       "; ECDSA P-256 or P-384, Ed25519 or RSA is needed"));
    }
  }
}

bool SetPadding(const Scheme& scheme, EVP_PKEY_CTX* context) {
  return !scheme.pss || (EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
                         EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1);
}

const unsigned char* Bytes(absl::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

absl::Status CheckKey(const EVP_PKEY* key) { return SchemeOf(key).status(); }

absl::StatusOr<std::string> SignBytes(EVP_PKEY* key, absl::string_view bytes) {
  ORCH_ASSIGN_OR_RETURN(const Scheme scheme, SchemeOf(key));
  const DigestContextPtr context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* key_context = nullptr;
  std::string out(kSignatureMax, '\0');
  size_t size = out.size();
  if (EVP_DigestSignInit(context.get(), &key_context, scheme.digest, nullptr, key) != 1 ||
      !SetPadding(scheme, key_context) ||
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &size,
                     Bytes(bytes), bytes.size()) != 1) {
    return absl::InternalError(absl::StrCat("sign: ", TakeOpenSslError()));
  }
  out.resize(size);
  return out;
}

absl::Status VerifyBytes(EVP_PKEY* key, absl::string_view bytes, absl::string_view signature) {
  ORCH_ASSIGN_OR_RETURN(const Scheme scheme, SchemeOf(key));
  const DigestContextPtr context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* key_context = nullptr;
  if (EVP_DigestVerifyInit(context.get(), &key_context, scheme.digest, nullptr, key) != 1 ||
      !SetPadding(scheme, key_context)) {
    return absl::InternalError(absl::StrCat("verify a signature: ", TakeOpenSslError()));
  }
  const int verdict = EVP_DigestVerify(context.get(), Bytes(signature), signature.size(),
                                       Bytes(bytes), bytes.size());
  ERR_clear_error();
  if (verdict == 1) return absl::OkStatus();
  return absl::UnauthenticatedError("the signature does not verify");
}

}  // namespace orch::trust
