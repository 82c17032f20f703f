// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

// Text from others (nodes, callers, files, programs) on its way into messages, logs and the store:
// protobuf's `string`, JSON and every reader in another language take UTF-8 alone (RFC 3629), so
// what is not UTF-8 is made so where it comes in, and what is too long is cut between characters.
// Pure; nothing here fails.

namespace orch::base {

// Whether `c` is a byte inside a UTF-8 character and not its first one.
inline bool IsUtf8Continuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// The length in bytes of the UTF-8 character that begins at `text[at]`, 1 to 4; 0: no character
// does. Overlong forms, surrogates and what lies above U+10FFFF are no characters.
size_t Utf8Length(absl::string_view text, size_t at);

// Whether all of `text` is UTF-8.
bool IsUtf8(absl::string_view text);

// The longest prefix of `text` of at most `bytes_max` bytes that does not end inside a character.
// Valid text stays valid.
absl::string_view CutUtf8(absl::string_view text, size_t bytes_max);

// `text` with each byte that belongs to no character replaced by U+FFFD, cut to at most `bytes_max`
// bytes: always UTF-8.
std::string ToUtf8(absl::string_view text, size_t bytes_max);

}  // namespace orch::base
