// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace orch::base {

// From here on what libprotobuf has to say goes into our log (base/log.h), one line a minute for
// each place in it that speaks: by itself it writes to stderr, in its own form and without limit,
// and a peer chooses how often. Once in main, after SetUpLog. Thread-safe after that.
void SetUpProtobufLog();

}  // namespace orch::base
