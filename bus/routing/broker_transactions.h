// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "bus/stomp/frame.h"

namespace orch::bus {

// The frames of one transaction (STOMP 1.2, "BEGIN"), which wait for its COMMIT.
struct Transaction {
  std::vector<Frame> frames;  // SEND, ACK, NACK, without their transaction header
  size_t bytes = 0;
};

// The transactions that one connection has begun and not ended: at most kTransactionsMax, each with
// at most kTransactionFramesMax frames and kTransactionBytesMax bytes. A frame that breaks these
// rules is refused with a status that says which, and changes nothing. Pure.
class Transactions {
 public:
  // BEGIN. InvalidArgument: it has begun already. ResourceExhausted: too many.
  absl::Status Begin(const Frame& frame);
  // Keeps `frame`, and leaves only its command behind, if it names a transaction; *deferred says
  // whether it did. InvalidArgument: that transaction has not begun. ResourceExhausted: it is full.
  absl::Status Defer(Frame* frame, bool* deferred);
  // COMMIT: what was kept, in its order; the transaction is over. InvalidArgument: it has not
  // begun.
  absl::StatusOr<Transaction> Take(const Frame& frame);
  // ABORT: what was kept is forgotten. InvalidArgument: it has not begun.
  absl::Status Abort(const Frame& frame);

  void Clear() { open_.clear(); }
  // Bytes that are kept, in all.
  size_t bytes() const;

 private:
  absl::flat_hash_map<std::string, Transaction> open_;
};

}  // namespace orch::bus
