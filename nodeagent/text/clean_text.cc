// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/text/clean_text.h"

#include "absl/strings/ascii.h"
#include "base/text.h"

namespace orch::nodeagent {
namespace {

bool IsTreacherous(char c) {
  return absl::ascii_iscntrl(static_cast<unsigned char>(c)) && c != '\n' && c != '\t';
}

}  // namespace

std::string CleanText(absl::string_view text, size_t max) {
  std::string clean = base::ToUtf8(text, max);
  for (char& c : clean) {
    if (IsTreacherous(c)) c = ' ';
  }
  return clean;
}

}  // namespace orch::nodeagent
