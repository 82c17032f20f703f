// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "bus/stomp/frame.h"

// What the broker holds: messages, encoded once and shared by all who receive them, and the frames
// that wait for one connection. Pure, not thread-safe.

namespace orch::bus {

// A count of bytes that are held in memory. Whoever holds bytes adds and subtracts them.
struct Meter {
  size_t bytes = 0;
};

struct NodeShare;  // broker_shares.h

// A SEND on its way to subscribers: the end of the MESSAGE frame that is the same for all of them
// (destination, content-length, the publisher's own headers, body, NUL). What STOMP defines
// (message-id, subscription, ack, receipt, credentials, …) is never taken over from a publisher.
class Message {
 public:
  // `send` has a destination header. `expires` is when a queue may drop it.
  Message(Frame send, absl::Time expires, Meter* meter);
  ~Message() { meter_->bytes -= counted_; }
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;

  // The shared end of the frame for clients of `version`.
  const std::string& tail(StompVersion version);
  absl::Time expires() const { return expires_; }
  // How many bytes it counts in a queue; constant.
  size_t bytes() const { return bytes_; }
  // The share of the node that sent it, while it is in a queue; null: no node sent it.
  NodeShare* share() const { return share_; }
  void set_share(NodeShare* share) { share_ = share; }

 private:
  void Count(size_t bytes);

  Meter* const meter_;
  absl::Time expires_;
  NodeShare* share_ = nullptr;
  size_t bytes_ = 0;
  size_t counted_ = 0;  // in the meter: bytes_ and older_tails_
  std::string tail_;    // for 1.2; without escapes in it for all versions
  // Kept only where a header needs escaping, which is rare: the other versions' tails are made of
  // it when asked for.
  std::vector<Header> special_headers_;
  size_t body_at_ = 0;
  std::string older_tails_[2];
};

using MessagePtr = std::shared_ptr<Message>;

// The frames that wait to be written to one connection. The ends of large or widely shared frames
// are referenced and not copied.
class Outbox {
 public:
  struct Piece {
    std::string own;                            // the beginning, or all of a frame
    std::shared_ptr<const std::string> shared;  // its end, or null
  };
  explicit Outbox(Meter* meter) : meter_(meter) {}
  ~Outbox();
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  // Appends one whole frame, or a heart-beat.
  void Add(std::string own, std::shared_ptr<const std::string> shared = nullptr);
  bool empty() const { return front_ == pieces_.size(); }
  // Bytes that wait to be written, including shared ends.
  size_t bytes() const { return bytes_; }
  // The first up to `max` stretches to be written, for a gather write. Returns how many.
  size_t Gather(absl::string_view* out, size_t max) const;
  // The first `size` bytes of them were written. Returns how many frames that completed.
  size_t Consume(size_t size);
  // Drops all but the frame that is partly written.
  void DropNotBegun();

 private:
  static size_t Cost(const Piece& piece) { return piece.own.capacity() + sizeof(Piece); }
  void Release(Piece* piece);

  Meter* const meter_;
  std::vector<Piece> pieces_;
  size_t front_ = 0;    // the first piece that is not written
  size_t written_ = 0;  // bytes of it that are
  size_t bytes_ = 0;
};

}  // namespace orch::bus
