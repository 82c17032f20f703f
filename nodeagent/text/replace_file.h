// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"

namespace orch::nodeagent {

// Replaces the file's content; the file is readable by everybody. A reader sees the old or the new
// content, never a part. The new content is not synced to disk, so that the calling strand does not
// wait for an fsync (base::WriteFileAtomically syncs). The directory may belong to somebody else,
// as that of node_exporter's textfiles does: what stands in the place of the temporary file is
// removed, never followed or written to.
absl::Status ReplaceFile(const std::string& path, const std::string& content);

}  // namespace orch::nodeagent
