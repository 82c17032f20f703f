// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/strings/string_view.h"

// Makes text fit for a terminal. Pure.

namespace orch::cli {

// What a node says, made harmless: control characters (C1 as well), line separators, characters
// without width and those that turn the direction of writing come out as `\x1b` or `\u202e`, broken
// UTF-8 as `\xff`; a line break or a tab becomes a space. So what is printed is one line, and it
// says what it seems to say.
std::string Safe(absl::string_view text);

// Columns that a terminal gives UTF-8 text: two for wide characters, none for combining ones and
// for our own colours.
size_t Columns(absl::string_view text);
// `text` with spaces behind it, so that it takes at least `width` columns.
std::string Padded(const std::string& text, size_t width);
// `text` cut to at most `width` columns; if something was cut off, the result ends with `mark`. Of
// our own colours those that begin before the cut are kept.
std::string Cut(absl::string_view text, size_t width, absl::string_view mark);

// `part` of `whole` as a bar of at most `room` columns; never nothing.
std::string Bar(size_t part, size_t whole, size_t room, bool unicode);

// Whether `a` comes before `b` as people count: digits by their value, so `web2` before `web10` and
// `1.9` before `1.10`.
bool NaturalLess(absl::string_view a, absl::string_view b);

}  // namespace orch::cli
