// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

// Text from others (nodes, callers, files, programs) on its way into messages, logs and the store:
// protobuf's `string`, JSON and every reader in another language take UTF-8 alone (RFC 3629), so
// what is not UTF-8 is made so where it comes in, and what is too long is cut between characters.
// Pure; nothing here fails.

namespace orch::base {

// The length in bytes of the UTF-8 character that begins at `text[at]`, 1 to 4; 0: no character
// does. Overlong forms, surrogates and what lies above U+10FFFF are no characters. Where `code` is
// given, it becomes the character's number.
size_t Utf8Length(absl::string_view text, size_t at, char32_t* code = nullptr);

// How many characters `text` has; each byte that belongs to none counts as one.
size_t Utf8Characters(absl::string_view text);

// Whether all of `text` is UTF-8.
bool IsUtf8(absl::string_view text);

// The longest prefix of `text` of at most `bytes_max` bytes that does not end inside a character.
// Valid text stays valid.
absl::string_view CutUtf8(absl::string_view text, size_t bytes_max);

// `text` with each byte that belongs to no character replaced by U+FFFD, cut to at most `bytes_max`
// bytes: always UTF-8.
std::string ToUtf8(absl::string_view text, size_t bytes_max);

// `text` without the byte order mark that some editors put before a file (U+FEFF in UTF-8), if it
// begins with one. Every reader of a file that people write calls it first.
absl::string_view SkipBom(absl::string_view text);

}  // namespace orch::base
