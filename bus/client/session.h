// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "bus/stomp/config.pb.h"
#include "bus/stomp/frame.h"

namespace orch::bus {

// What the broker did that made us end a connection; counted by kind in ClientStatus.
enum class Fault : uint8_t {
  kNone,       // nothing: the stream ended, or we did
  kMalformed,  // bytes that are no frame
  kLimit,      // a frame over a limit
  kOrder,      // a frame that no broker sends, or not now, or not in this version
  kFlood,      // heart-beats or receipts without end
  kRefused,    // ERROR to CONNECT or to a subscription
  kError,      // any other ERROR
  kSilent,     // no heart-beats
  kLate,       // CONNECTED, a RECEIPT or the end of a frame did not come, or it reads nothing
};
inline constexpr size_t kFaults = 9;
absl::string_view FaultName(Fault fault);  // `malformed`, …

// The client's side of one STOMP connection, from CONNECT to its end: versions, heart-beats,
// subscriptions, receipts, and the bounded queue of what is to be written. It is fed with bytes and
// time and answers what to do: events to act on, batches to write, the moment to ask again.
//
// The broker is not trusted: what it says out of order, malformed or over a limit ends the
// connection with a reason. A message for a subscription that we don't have is counted and ignored,
// and nothing more: with some brokers whoever publishes can set that header.
//
// Heart-beats: we promise one every `heart_beat` and ask for two in that time. A broker that is
// silent for three of those, which is one and a half intervals, is given up; with the wait before
// the next broker (at most half an interval, bus/backoff.h) a broker that hangs costs no more than
// two intervals. A broker that promises less than it was asked for is given two of its own.
//
// Pure: no sockets, no clock, no threads. Lives on: its client's strand.
class Session {
 public:
  // From CONNECT until CONNECTED.
  static constexpr absl::Duration kConnectMax = absl::Seconds(10);
  // From the writing of a frame until its RECEIPT, and until the kernel has taken one batch.
  static constexpr absl::Duration kReceiptMax = absl::Seconds(30);
  static constexpr absl::Duration kWriteMax = absl::Seconds(30);
  static constexpr size_t kPendingReceiptsMax = 65'536;
  // From the first to the last byte of a frame.
  static constexpr absl::Duration kFrameMax = absl::Minutes(2);
  // Heart-beat intervals that may pass in silence: of those asked for and of those promised.
  static constexpr int kBeatsAskedMissedMax = 3;
  static constexpr int kBeatsMissedMax = 2;
  // A broker that promises heart-beats more rarely than this counts as promising none.
  static constexpr absl::Duration kHeartBeatMax = absl::Hours(1);
  // Empty lines within kFloodWindow, beyond one for each frame. A heart-beat is one a second at
  // most.
  static constexpr uint64_t kHeartBeatsMax = 1000;
  static constexpr absl::Duration kFloodWindow = absl::Seconds(10);
  // RECEIPTs that nobody asked for, over the whole connection. Only a broker can make them.
  static constexpr uint64_t kStrayReceiptsMax = 100;
  // One gather write: as many frames as the kernel takes in one call from Asio.
  static constexpr size_t kBatchFramesMax = 64;
  static constexpr size_t kBatchBytesMax = 256 << 10;

  struct Options {
    Flavour flavour = FLAVOUR_EMBEDDED;
    std::string virtual_host;
    std::string login;  // empty: none
    std::string passcode;
    std::string client_id;
    absl::Duration heart_beat = absl::Seconds(30);
    size_t send_queue_bytes = 16 << 20;
  };

  struct Event {
    enum class Kind {
      kReady,    // CONNECTED, and every subscription so far has its RECEIPT; comes once
      kMessage,  // `id` is the subscription's, `body` the message
      kReceipt,  // `id` is what Send returned
      kEnded,    // close the stream; `status` says why, OK after Disconnect; nothing comes later
    };
    Kind kind;
    uint64_t id = 0;
    std::string body = {};
    absl::Status status = {};
    Fault fault = Fault::kNone;  // of kEnded
  };

  struct Counts {
    uint64_t frames_in = 0, frames_out = 0, bytes_in = 0, bytes_out = 0;
    uint64_t ignored = 0;         // messages for a subscription that we don't have
    uint64_t stray_receipts = 0;  // receipts that we did not ask for
  };

  // Begins a session on a stream that has just been opened: CONNECT is the first thing in the
  // queue.
  Session(Options options, base::Now now);

  // Takes bytes from the broker, in order and cut in any way; returns what came of them.
  std::vector<Event> OnBytes(absl::string_view bytes, base::Now now);
  // To be called at next_deadline(), or at any time. May queue a heart-beat. An event is kEnded.
  std::optional<Event> OnTime(base::Now now);
  // When OnTime is to be called next, on the steady clock; InfiniteDuration: there is nothing to
  // wait for.
  absl::Duration next_deadline() const;

  // Adds a subscription with an id of 1 or more that was not used before. It is sent at once, or as
  // soon as the session is connected.
  void Subscribe(uint64_t id, std::string destination);

  // Queues a SEND; with `receipt` one that is answered by kReceipt with the number returned (else
  // 0). Unavailable: not connected; ResourceExhausted: the queue, or the table of receipts, is
  // full.
  absl::StatusOr<uint64_t> Send(absl::string_view destination, std::string body, absl::Time expires,
                                bool receipt, base::Now now);
  // Queues DISCONNECT behind what waits; its receipt brings kEnded with OK. False: the session is
  // not connected, so the stream can be closed at once.
  bool Disconnect();

  // Takes the next batch to write, in order. Empty while a batch is under way, or when nothing
  // waits.
  std::vector<std::string> TakeBatch(base::Now now);
  // The batch that TakeBatch gave is with the kernel.
  void OnWritten(base::Now now);

  // Whether TakeBatch would give something.
  bool has_output() const { return !queue_.empty() && batch_bytes_ == 0; }
  // Whether Send can work.
  bool connected() const { return state_ == State::kSubscribing || state_ == State::kReady; }
  const Counts& counts() const { return counts_; }

 private:
  enum class State { kConnecting, kSubscribing, kReady, kDisconnecting, kEnded };
  enum class Purpose { kSubscribe, kSend, kDisconnect };

  struct Queued {
    std::string bytes;
    uint64_t receipt;  // 0: none
  };
  struct Pending {
    Purpose purpose;
    uint64_t subscription;    // of kSubscribe
    absl::Duration deadline;  // infinite until it is written
  };

  std::optional<Event> OnFrame(Frame frame, base::Now now);
  std::optional<Event> OnConnected(const Frame& frame, base::Now now);
  std::optional<Event> OnReceipt(const Frame& frame);
  std::optional<Event> OnStrayReceipt();
  std::optional<Event> OnMessage(Frame frame);
  Event OnError(const Frame& frame);
  absl::Status TakeHeartBeat(const Frame& connected, base::Now now);
  bool IsFlooded(base::Now now);
  void WatchFrame(size_t completed, base::Now now);
  Event End(Fault fault, absl::Status status);
  void QueueSubscribe(uint64_t id);
  void Queue(const Frame& frame, uint64_t receipt);
  uint64_t NewReceipt(Purpose purpose, uint64_t subscription, Frame* frame);
  absl::Duration heart_beat_due() const;

  const Options options_;
  State state_ = State::kConnecting;
  StompVersion version_ = StompVersion::k12;
  Decoder decoder_;
  Counts counts_;

  std::map<uint64_t, std::string> subscriptions_;  // id → destination
  size_t unconfirmed_ = 0;                         // of them, before kReady

  std::deque<Queued> queue_;
  size_t queued_bytes_ = 0;  // with the batch under way
  size_t batch_bytes_ = 0;   // 0: none under way
  // Receipts are numbered as their frames are queued, so the first deadline here is the earliest.
  std::map<uint64_t, Pending> pending_;
  uint64_t last_receipt_ = 0;

  // Steady clock. Intervals are infinite where no heart-beats were agreed.
  absl::Duration connect_deadline_;
  absl::Duration write_deadline_ = absl::InfiniteDuration();
  absl::Duration send_every_ = absl::InfiniteDuration();
  absl::Duration silence_max_ = absl::InfiniteDuration();
  absl::Duration frame_deadline_ = absl::InfiniteDuration();  // of the begun frame
  absl::Duration last_written_;
  absl::Duration last_heard_;
  absl::Duration window_;       // begin of the one that is counted
  uint64_t window_beats_ = 0;   // the decoder's heart-beats at its begin
  uint64_t window_frames_ = 0;  // frames_in at its begin
};

}  // namespace orch::bus
