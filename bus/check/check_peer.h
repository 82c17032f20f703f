// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/asio.h"
#include "bus/check/check_cases.h"
#include "bus/stomp/config.pb.h"
#include "bus/stomp/frame.h"
#include "bus/stream/stream.h"

namespace orch::bus {

// How `orch-broker check` connects as one role: its streams, login and passcode.
struct CheckCredentials {
  std::shared_ptr<StreamFactory> streams;
  std::string login;  // empty: none
  std::string passcode;
};

// The broker that is checked, and how long it may take to answer.
struct CheckBroker {
  std::string address;
  Flavour flavour = FLAVOUR_EMBEDDED;
  std::string virtual_host;
  absl::Duration timeout = absl::Seconds(5);
};

// One STOMP connection that sends what it is told to, whether that is permitted or not, and reports
// how the broker answered. Session can't be used for that, because it does only what a client of
// ours does.
//
// Lives on: the strand of its stream; one call at a time.
class CheckPeer {
 public:
  struct Answer {
    CheckAnswer kind = CheckAnswer::kNothing;
    std::string text;  // of an ERROR, or why the connection ended
  };

  // Completes when: CONNECTED. Errors: Unavailable: no stream; PermissionDenied: the broker's ERROR
  // or the connection's end in place of CONNECTED; DeadlineExceeded: nothing within the timeout.
  // Cancellation: total. Runs on: `strand`.
  static base::Awaitable<absl::StatusOr<std::unique_ptr<CheckPeer>>> Open(base::Strand strand,
                                                                          CheckBroker broker,
                                                                          CheckCredentials as);

  // Completes when: the broker answered, or the timeout is over. Errors: none. Cancellation: total.
  // Runs on: the strand. A queue's messages are not taken from their owner: they are acknowledged
  // only if they are the check's own, so that the broker gives the others back.
  base::Awaitable<Answer> Subscribe(std::string destination, std::vector<Header> headers);
  // Completes when: the broker answered, or the timeout is over. Errors: none. Cancellation: total.
  // Runs on: the strand. The message expires after the timeout.
  base::Awaitable<Answer> Send(std::string destination, std::string body,
                               std::vector<Header> headers);
  // Completes when: a message with one of `bodies` came (its index), or `limit` or the connection
  // is over (nothing). Errors: none. Cancellation: total. Runs on: the strand.
  base::Awaitable<std::optional<size_t>> Hear(std::vector<std::string> bodies,
                                              absl::Duration limit);

 private:
  CheckPeer(std::unique_ptr<Stream> stream, CheckBroker broker)
      : stream_(std::move(stream)), broker_(std::move(broker)) {}

  // Completes when: a frame is there. Errors: DeadlineExceeded; Unavailable: the connection ended.
  // Cancellation: total. Runs on: the strand.
  base::Awaitable<absl::StatusOr<Frame>> Next(absl::Duration until);
  base::Awaitable<absl::Status> Write(Frame frame);
  base::Awaitable<absl::Status> Login(CheckCredentials as);
  base::Awaitable<Answer> AnswerTo(Frame frame);

  const std::unique_ptr<Stream> stream_;
  const CheckBroker broker_;
  Decoder decoder_;
  std::deque<Frame> frames_;    // decoded and not looked at yet
  std::deque<Frame> messages_;  // messages that came before Hear was called
  bool acknowledges_ = false;
  int receipts_ = 0;
};

}  // namespace orch::bus
