// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"

namespace orch::nodeagent {

// Puts `content` in the place of the file, readable by everybody: who reads it sees the old or the
// new, never a half. Not durable (base::WriteFileAtomically would hold up its strand with an
// fsync). The directory may belong to somebody else, as that of node_exporter's textfiles does:
// what stands in the temporary file's place is removed, never followed or written to.
absl::Status ReplaceFile(const std::string& path, const std::string& content);

}  // namespace orch::nodeagent
