// SPDX-License-Identifier: Apache-2.0
#include "trust/envelope.h"

#include "absl/strings/str_cat.h"
#include "trust/certificate.h"
#include "trust/signature.h"

namespace orch::trust {
namespace {

constexpr size_t kKeyIdSize = 32;

void AppendPrefixed(absl::string_view part, std::string* out) {
  const auto size = static_cast<uint32_t>(part.size());
  for (int shift = 24; shift >= 0; shift -= 8) out->push_back(static_cast<char>(size >> shift));
  absl::StrAppend(out, part);
}

absl::Status CheckFields(const orch::bus::v1::Envelope& envelope) {
  if (envelope.protocol() != kEnvelopeProtocol) {
    return absl::InvalidArgumentError(
        absl::StrCat("protocol ", envelope.protocol(), "; this build speaks ", kEnvelopeProtocol));
  }
  if (!envelope.GetReflection()->GetUnknownFields(envelope).empty()) {
    return absl::InvalidArgumentError("unknown fields");
  }
  if (envelope.key_id().size() != kKeyIdSize) {
    return absl::InvalidArgumentError(
        absl::StrCat("a key id of ", envelope.key_id().size(), " bytes"));
  }
  if (envelope.signature().empty() || envelope.signature().size() > kSignatureMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("a signature of ", envelope.signature().size(), " bytes"));
  }
  if (static_cast<size_t>(envelope.certificate_chain_size()) > kChainMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("a chain of ", envelope.certificate_chain_size(), " certificates"));
  }
  if (envelope.certificate_chain_size() > 0 &&
      Sha256(envelope.certificate_chain(0)) != envelope.key_id()) {
    return absl::InvalidArgumentError("the key id is not that of the certificate in it");
  }
  return absl::OkStatus();
}

}  // namespace

absl::string_view DomainText(Domain domain) {
  switch (domain) {
    case Domain::kRequest:
      return "orch.request.v1";
    case Domain::kReply:
      return "orch.reply.v1";
    case Domain::kPresence:
      return "orch.presence.v1";
  }
  return "";
}

std::string SignedBytes(Domain domain, absl::string_view key_id, absl::string_view payload) {
  const absl::string_view text = DomainText(domain);
  std::string out;
  out.reserve(12 + text.size() + key_id.size() + payload.size());
  AppendPrefixed(text, &out);
  AppendPrefixed(key_id, &out);
  AppendPrefixed(payload, &out);
  return out;
}

absl::StatusOr<orch::bus::v1::Envelope> ParseEnvelope(absl::string_view bytes, Refusal* refusal) {
  *refusal = Refusal::kTooLarge;
  if (bytes.size() > kEnvelopeMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("an envelope of ", bytes.size(), " bytes; the limit is ", kEnvelopeMax));
  }
  *refusal = Refusal::kEnvelope;
  orch::bus::v1::Envelope envelope;
  if (!envelope.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::InvalidArgumentError("not an envelope: it does not parse");
  }
  absl::Status status = CheckFields(envelope);
  // proto3 takes the last of a field that comes twice, and padded numbers, without a word; both
  // make the message longer than it has to be.
  if (status.ok() && envelope.ByteSizeLong() != bytes.size()) {
    status = absl::InvalidArgumentError("a field twice, or more bytes than it takes");
  }
  if (!status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("envelope: ", status.message()));
  }
  return envelope;
}

}  // namespace orch::trust
