// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace orch::base {

// The version of this tree: what `--version` prints and presence carries. Changed with CHANGELOG.md
// only.
inline constexpr char kVersion[] = "0.1.0";

// The protocol number of requests, replies and presences that this tree speaks.
inline constexpr int kProtocol = 1;

}  // namespace orch::base
