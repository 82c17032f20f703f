// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace orch::base {

// Rules that test/sim breaks on purpose, one at a time, to prove that it would notice. Nothing but
// a test sets them: no configuration and no flag of a binary reaches them.
struct Plants {
  bool no_journal = false;             // the node's journal keeps nothing and knows nothing
  bool digest_not_compared = false;    // the controller takes replies to other bytes than it sent
  bool late_reply_overwrites = false;  // a node's last outcome stands, not its first
  bool expired_accepted = false;       // a node starts what is void
  bool sequence_gap = false;           // a job that is taken up again skips a sequence number
};

}  // namespace orch::base
