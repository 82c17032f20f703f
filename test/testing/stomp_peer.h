// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/asio.h"
#include "bus/stomp/frame.h"
#include "bus/stream/stream.h"

// A broker that follows a script, over memory streams:
//
//   peer->NextConnection().Expect(Connect()).Reply(Connected())
//       .Expect(Subscribe("/topic/a")).ReplyReceipt()
//       .Reply(Message("1", "hello"));
//
// Hand it to a client as its StreamFactory: each connection takes the next part of the script.

namespace orch::testing {

// What a frame from the client must be: its command, and those headers and the body that the
// pattern names.
struct FramePattern {
  std::string command;
  std::vector<bus::Header> headers = {};
  std::optional<std::string> body = {};
};
FramePattern Connect();
FramePattern Subscribe(const std::string& destination);
FramePattern Send(const std::string& destination, const std::string& body);
FramePattern Disconnect();

// Frames of a broker.
bus::Frame Connected(const std::string& version = "1.2", const std::string& heart_beat = "0,0");
bus::Frame Message(const std::string& subscription, const std::string& body);
bus::Frame Error(const std::string& message);

// After the end of its script a connection stays open, reads and says nothing. A connection without
// a script is refused. Heart-beats of the client are never expected, only counted.
//
// Lives on: its strand, that of the clients it serves.
class StompPeer : public bus::StreamFactory, public std::enable_shared_from_this<StompPeer> {
 public:
  explicit StompPeer(base::Strand strand) : strand_(strand) {}

  // Begins the script of one more connection; what follows is appended to it.
  StompPeer& NextConnection();
  // Begins a connection that is refused with `why`.
  StompPeer& RefuseConnection(const std::string& why);
  // Waits for the next frame, which must fit the pattern.
  StompPeer& Expect(FramePattern pattern);
  StompPeer& Reply(const bus::Frame& frame);
  StompPeer& ReplyBytes(std::string bytes);
  // Sends the RECEIPT for the frame that was expected last.
  StompPeer& ReplyReceipt();
  // Reads nothing from here on.
  StompPeer& StopReading();
  StompPeer& HangUp();

  base::Awaitable<absl::StatusOr<std::unique_ptr<bus::Stream>>> Connect(
      base::Strand strand, std::string address) override;

  // What was expected and did not come. Empty: everything went as the script has it.
  const std::string& failure() const { return failure_; }
  // The whole script has been played.
  bool finished() const { return scripts_.empty() && playing_ == 0; }
  // The addresses that were asked for, in order.
  const std::vector<std::string>& addresses() const { return addresses_; }
  // All frames that came, and how many heart-beats.
  const std::vector<bus::Frame>& received() const { return received_; }
  uint64_t heart_beats() const { return heart_beats_; }
  // Connections whose client has not closed them.
  int open() const { return open_; }

 private:
  struct Step {
    enum class Kind { kExpect, kReply, kReceipt, kStopReading, kHangUp } kind;
    FramePattern pattern = {};
    std::string bytes = {};
  };
  struct Script {
    std::string refusal;  // not empty: no connection
    std::deque<Step> steps;
  };

  static base::Awaitable<void> Play(std::shared_ptr<StompPeer> self,
                                    std::unique_ptr<bus::Stream> stream, Script script);
  static base::Awaitable<void> PlaySteps(std::shared_ptr<StompPeer> self, bus::Stream* stream,
                                         Script* script, bus::Decoder* decoder);
  static base::Awaitable<std::optional<bus::Frame>> NextFrame(std::shared_ptr<StompPeer> self,
                                                              bus::Stream* stream,
                                                              bus::Decoder* decoder,
                                                              std::deque<bus::Frame>* waiting);
  void Fail(std::string what);

  const base::Strand strand_;
  std::deque<Script> scripts_;
  std::string failure_;
  std::vector<std::string> addresses_;
  std::vector<bus::Frame> received_;
  uint64_t heart_beats_ = 0;
  int playing_ = 0;
  int open_ = 0;
};

}  // namespace orch::testing
