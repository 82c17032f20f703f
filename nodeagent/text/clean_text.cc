// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/text/clean_text.h"

#include "absl/strings/ascii.h"
#include "base/text.h"

namespace orch::nodeagent {

std::string CleanText(absl::string_view text, size_t max) {
  std::string cut = base::ToUtf8(text, max);
  for (char& c : cut) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c)) && c != '\n' && c != '\t') c = ' ';
  }
  return cut;
}

}  // namespace orch::nodeagent
