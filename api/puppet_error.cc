// SPDX-License-Identifier: Apache-2.0
#include "api/puppet_error.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace orch::api {

std::string ErrorLine(const orch::v1::PuppetRunError& error) {
  std::string line = error.resource().empty()
                         ? error.message()
                         : absl::StrCat(error.resource(), ": ", error.message());
  // A compiler's message has it already.
  if (error.file().empty() || absl::StrContains(error.message(), error.file())) return line;
  absl::StrAppend(&line, " (file: ", error.file());
  if (error.line() != 0) absl::StrAppend(&line, ", line: ", error.line());
  absl::StrAppend(&line, ")");
  return line;
}

}  // namespace orch::api
