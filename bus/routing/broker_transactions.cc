// SPDX-License-Identifier: Apache-2.0
#include "bus/routing/broker_transactions.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "bus/routing/broker_limits.h"
#include "bus/routing/frame_words.h"

namespace orch::bus {
namespace {

size_t BytesOf(const Frame& frame) {
  size_t bytes = sizeof(Frame) + frame.body.size();
  for (const Header& header : frame.headers) {
    bytes += sizeof(Header) + header.name.size() + header.value.size();
  }
  return bytes;
}

}  // namespace

absl::Status Transactions::Begin(const Frame& frame) {
  ORCH_ASSIGN_OR_RETURN(const std::string id, Require(frame, "transaction"));
  if (open_.contains(id)) {
    return Wrong(absl::StrCat("BEGIN ", Shown(id), ": that transaction has begun already"));
  }
  if (open_.size() >= kTransactionsMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat("BEGIN ", Shown(id), ": more than ", kTransactionsMax, " transactions"));
  }
  open_[id].bytes = sizeof(Transaction) + id.size();
  return absl::OkStatus();
}

absl::Status Transactions::Defer(Frame* frame, bool* deferred) {
  const std::string* id = frame->Find("transaction");
  *deferred = id != nullptr;
  if (id == nullptr) return absl::OkStatus();
  const std::string what = absl::StrCat(frame->command, " in transaction ", Shown(*id));
  const auto found = open_.find(*id);
  if (found == open_.end()) {
    return Wrong(absl::StrCat(what, ": it has not begun"));
  }
  Transaction& transaction = found->second;
  transaction.bytes += BytesOf(*frame);
  if (transaction.frames.size() >= kTransactionFramesMax ||
      transaction.bytes > kTransactionBytesMax) {
    return absl::ResourceExhaustedError(absl::StrCat(what, ": more than ", kTransactionFramesMax,
                                                     " frames or ", kTransactionBytesMax,
                                                     " bytes"));
  }
  const auto is_id = [](const Header& header) { return header.name == "transaction"; };
  Frame kept = std::move(*frame);
  kept.headers.erase(std::remove_if(kept.headers.begin(), kept.headers.end(), is_id),
                     kept.headers.end());
  frame->command = kept.command;
  transaction.frames.push_back(std::move(kept));
  return absl::OkStatus();
}

absl::StatusOr<Transaction> Transactions::Take(const Frame& frame) {
  ORCH_ASSIGN_OR_RETURN(const std::string id, Require(frame, "transaction"));
  const auto found = open_.find(id);
  if (found == open_.end()) {
    return Wrong(absl::StrCat("COMMIT ", Shown(id), ": it has not begun"));
  }
  Transaction transaction = std::move(found->second);
  open_.erase(found);
  return transaction;
}

absl::Status Transactions::Abort(const Frame& frame) {
  ORCH_ASSIGN_OR_RETURN(const std::string id, Require(frame, "transaction"));
  if (open_.erase(id) == 0) {
    return Wrong(absl::StrCat("ABORT ", Shown(id), ": it has not begun"));
  }
  return absl::OkStatus();
}

size_t Transactions::bytes() const {
  size_t bytes = 0;
  for (const auto& [id, transaction] : open_) bytes += transaction.bytes;
  return bytes;
}

}  // namespace orch::bus
