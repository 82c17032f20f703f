// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/text/clean_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"

namespace orch::nodeagent {
namespace {

bool IsPlain(char c) {
  const unsigned char byte = static_cast<unsigned char>(c);
  return (byte >= 0x20 && byte < 0x7f) || c == '\n' || c == '\t';
}

}  // namespace

std::string CleanText(absl::string_view text, size_t max) {
  size_t end = std::min(text.size(), max);
  // Not in the middle of a character.
  while (end > 0 && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) {
    end--;
  }
  std::string cut(text.substr(0, end));
  if (std::all_of(cut.begin(), cut.end(), IsPlain)) return cut;
  for (char& c : cut) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c)) && !IsPlain(c)) c = ' ';
  }
  // Writing JSON is what replaces bytes that are not UTF-8.
  using nlohmann::json;
  const std::string quoted = json(cut).dump(-1, ' ', false, json::error_handler_t::replace);
  return json::parse(quoted).get<std::string>();
}

}  // namespace orch::nodeagent
