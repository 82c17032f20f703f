// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace orch::base {

// `text` in lower case as Ruby's String#downcase makes it: Unicode's simple mapping (version 14.0),
// character by character, whatever the locale; U+0130 becomes `i` and a combining dot. Bytes that
// are no UTF-8 stay as they are. Puppet lowers the names of resources and tags so. Pure.
std::string Downcase(absl::string_view text);

}  // namespace orch::base
