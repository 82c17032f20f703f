// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "orch/bus/v1/envelope.pb.h"
#include "trust/identity.h"

// The envelope: the signed wrapper of every message on the bus. This file knows its form;
// Credentials signs and verifies. Pure, thread-safe.
//
// What is signed, with n(x) the length of x in bytes as 32 bits, most significant byte first:
//
//   n(domain) domain  n(key_id) key_id  n(payload) payload
//
// domain is `orch.request.v1`, `orch.reply.v1` or `orch.presence.v1` in ASCII, so that a signature
// for one kind of message, or for a later protocol, never passes for another; key_id is the SHA-256
// of the signing certificate's DER, so that it holds for one certificate alone, also where two
// certificates share a key; payload are the very bytes of the envelope's field.

namespace orch::trust {

// The envelope's own protocol number.
inline constexpr uint32_t kEnvelopeProtocol = 1;

absl::string_view DomainText(Domain domain);

std::string SignedBytes(Domain domain, absl::string_view key_id, absl::string_view payload);

// Parses an envelope strictly: at most kEnvelopeMax bytes, protocol 1, no unknown field, no field
// twice, no bytes behind, all lengths within their limits, and, where it carries a chain, the
// key_id of the chain's first certificate. Verifies no signature. On failure `*refusal` is
// kTooLarge or kEnvelope.
absl::StatusOr<orch::bus::v1::Envelope> ParseEnvelope(absl::string_view bytes, Refusal* refusal);

}  // namespace orch::trust
