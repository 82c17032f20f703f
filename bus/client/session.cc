// SPDX-License-Identifier: Apache-2.0

// The session decides and the client carries out: it never reads a clock or a socket, so each rule
// about time and order is tested without either. Its invariant is that pending_ holds exactly the
// frames that still owe a RECEIPT, in the order of their numbers; a receipt's deadline begins when
// its frame is taken for writing, not when it is queued, so that a slow network is not mistaken for
// a silent broker. Every way to the end goes through End(), which empties queue and table, and no
// input is looked at afterwards.

#include "bus/client/session.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "bus/stomp/destination.h"

namespace orch::bus {
namespace {

// How long after the last write our own heart-beat goes out: early enough that it is there in time
// on a slow way.
constexpr double kHeartBeatShare = 0.75;
// What the broker is asked for, in our own intervals.
constexpr double kAskedShare = 0.5;

// As the standard writes it: milliseconds that I can and that I want.
std::string HeartBeatHeader(absl::Duration every) {
  return absl::StrCat(absl::ToInt64Milliseconds(every), ",",
                      absl::ToInt64Milliseconds(every * kAskedShare));
}

std::string Excerpt(absl::string_view text) {
  constexpr size_t kExcerptMax = 40;
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, kExcerptMax)), "\"");
}

}  // namespace

absl::string_view FaultName(Fault fault) {
  switch (fault) {
    case Fault::kNone:
      return "none";
    case Fault::kMalformed:
      return "malformed";
    case Fault::kLimit:
      return "limit";
    case Fault::kOrder:
      return "order";
    case Fault::kFlood:
      return "flood";
    case Fault::kRefused:
      return "refused";
    case Fault::kError:
      return "error";
    case Fault::kSilent:
      return "silent";
    case Fault::kLate:
      return "late";
  }
  return "unknown";
}

Session::Session(Options options, base::Now now)
    : options_(std::move(options)),
      connect_deadline_(now.steady + kConnectMax),
      last_written_(now.steady),
      last_heard_(now.steady),
      window_(now.steady) {
  Frame connect;
  connect.command = "CONNECT";
  connect.Add("accept-version", "1.1,1.2");
  connect.Add("host", options_.virtual_host);
  connect.Add("heart-beat", HeartBeatHeader(options_.heart_beat));
  if (!options_.login.empty()) {
    connect.Add("login", options_.login);
    connect.Add("passcode", options_.passcode);
  }
  for (const Header& header : ConnectHeaders(options_.flavour, options_.client_id)) {
    connect.headers.push_back(header);
  }
  Queue(connect, 0);
}

std::vector<Session::Event> Session::OnBytes(absl::string_view bytes, base::Now now) {
  std::vector<Event> events;
  if (state_ == State::kEnded || bytes.empty()) return events;
  last_heard_ = now.steady;
  counts_.bytes_in += bytes.size();
  std::vector<Frame> frames;
  const absl::Status decoded = decoder_.Feed(bytes, &frames);
  for (Frame& frame : frames) {
    ++counts_.frames_in;
    std::optional<Event> event = OnFrame(std::move(frame), now);
    if (event.has_value()) events.push_back(*std::move(event));
    if (state_ == State::kEnded) return events;
  }
  if (!decoded.ok()) {
    const Fault fault = absl::IsResourceExhausted(decoded) ? Fault::kLimit : Fault::kMalformed;
    events.push_back(End(fault, base::Annotate(decoded, "the broker's frame")));
  } else if (IsFlooded(now)) {
    events.push_back(
        End(Fault::kFlood, absl::ResourceExhaustedError(absl::StrCat(
                               "the broker sent over ", kHeartBeatsMax, " heart-beats within ",
                               absl::FormatDuration(kFloodWindow)))));
  }
  WatchFrame(frames.size(), now);
  return events;
}

// Some brokers end each frame with an empty line.
bool Session::IsFlooded(base::Now now) {
  const uint64_t beats = decoder_.heart_beats() - window_beats_;
  const uint64_t frames = counts_.frames_in - window_frames_;
  if (beats > kHeartBeatsMax + frames) return true;
  if (now.steady - window_ >= kFloodWindow) {
    window_ = now.steady;
    window_beats_ = decoder_.heart_beats();
    window_frames_ = counts_.frames_in;
  }
  return false;
}

// Bytes are a sign of life, but a frame that never ends says nothing, and no heart-beat fits into
// it.
void Session::WatchFrame(size_t completed, base::Now now) {
  if (decoder_.pending_bytes() == 0) {
    frame_deadline_ = absl::InfiniteDuration();
  } else if (completed > 0 || frame_deadline_ == absl::InfiniteDuration()) {
    frame_deadline_ = now.steady + kFrameMax;
  }
}

std::optional<Session::Event> Session::OnFrame(Frame frame, base::Now now) {
  if (frame.command == "ERROR") return OnError(frame);
  if (frame.command == "CONNECTED") return OnConnected(frame, now);
  const bool message = frame.command == "MESSAGE";
  if (!message && frame.command != "RECEIPT") {
    return End(Fault::kOrder,
               absl::InvalidArgumentError(absl::StrCat("the broker sent ", Excerpt(frame.command),
                                                       ", which no broker sends")));
  }
  if (state_ == State::kConnecting) {
    return End(Fault::kOrder, absl::InvalidArgumentError(absl::StrCat(
                                  "the broker sent ", frame.command, " before CONNECTED")));
  }
  return message ? OnMessage(std::move(frame)) : OnReceipt(frame);
}

std::optional<Session::Event> Session::OnConnected(const Frame& frame, base::Now now) {
  if (state_ != State::kConnecting) {
    return End(Fault::kOrder, absl::InvalidArgumentError("the broker sent CONNECTED twice"));
  }
  const std::string* version = frame.Find("version");
  if (version != nullptr && *version == "1.1") {
    version_ = StompVersion::k11;
  } else if (version == nullptr || *version != "1.2") {
    return End(Fault::kOrder,
               absl::InvalidArgumentError(absl::StrCat(
                   "the broker speaks STOMP ", version == nullptr ? "1.0" : Excerpt(*version),
                   "; 1.1 or 1.2 is needed")));
  }
  decoder_.set_version(version_);
  if (absl::Status agreed = TakeHeartBeat(frame, now); !agreed.ok()) {
    return End(Fault::kMalformed, agreed);
  }

  state_ = State::kSubscribing;
  connect_deadline_ = absl::InfiniteDuration();
  unconfirmed_ = subscriptions_.size();
  for (const auto& [id, destination] : subscriptions_) QueueSubscribe(id);
  if (unconfirmed_ > 0) return std::nullopt;
  state_ = State::kReady;
  return Event{Event::Kind::kReady};
}

// The interval in each direction is the larger of what one side can and the other wants; 0 on
// either side means none (STOMP 1.2, "Heart-beating").
absl::Status Session::TakeHeartBeat(const Frame& connected, base::Now now) {
  last_written_ = last_heard_ = now.steady;
  const std::string* header = connected.Find("heart-beat");
  if (header == nullptr) return absl::OkStatus();
  const std::vector<std::string> parts = absl::StrSplit(*header, ',');
  uint32_t can = 0, wants = 0;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &can) ||
      !absl::SimpleAtoi(parts[1], &wants)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the broker's heart-beat is ", Excerpt(*header), ", not two numbers"));
  }
  if (wants > 0) send_every_ = std::max(options_.heart_beat, absl::Milliseconds(wants));
  if (can > 0 && absl::Milliseconds(can) <= kHeartBeatMax) {
    const absl::Duration asked = options_.heart_beat * kAskedShare;
    silence_max_ = std::max(kBeatsAskedMissedMax * asked,
                            kBeatsMissedMax * std::max(asked, absl::Milliseconds(can)));
  }
  return absl::OkStatus();
}

std::optional<Session::Event> Session::OnMessage(Frame frame) {
  const std::string* subscription = frame.Find("subscription");
  uint64_t id = 0;
  if (subscription == nullptr || !absl::SimpleAtoi(*subscription, &id) ||
      subscriptions_.count(id) == 0) {
    ++counts_.ignored;
    return std::nullopt;
  }
  return Event{Event::Kind::kMessage, id, std::move(frame.body)};
}

std::optional<Session::Event> Session::OnReceipt(const Frame& frame) {
  const std::string* receipt = frame.Find("receipt-id");
  uint64_t id = 0;
  const bool number = receipt != nullptr && absl::SimpleAtoi(*receipt, &id);
  const auto found = number ? pending_.find(id) : pending_.end();
  // One that was not written yet can't be answered.
  if (found == pending_.end() || found->second.deadline == absl::InfiniteDuration()) {
    return OnStrayReceipt();
  }
  const Purpose purpose = found->second.purpose;
  pending_.erase(found);
  switch (purpose) {
    case Purpose::kSend:
      return Event{Event::Kind::kReceipt, id};
    case Purpose::kDisconnect:
      return End(Fault::kNone, absl::OkStatus());
    case Purpose::kSubscribe:
      break;
  }
  if (state_ != State::kSubscribing || --unconfirmed_ > 0) return std::nullopt;
  state_ = State::kReady;
  return Event{Event::Kind::kReady};
}

std::optional<Session::Event> Session::OnStrayReceipt() {
  if (++counts_.stray_receipts <= kStrayReceiptsMax) return std::nullopt;
  return End(Fault::kFlood,
             absl::ResourceExhaustedError(absl::StrCat("the broker sent over ", kStrayReceiptsMax,
                                                       " RECEIPTs that nobody asked for")));
}

// STOMP asks the broker to close after an ERROR; where it does not, we do.
Session::Event Session::OnError(const Frame& frame) {
  const std::string text = ErrorText(options_.flavour, frame);
  if (state_ == State::kConnecting) {
    return End(Fault::kRefused, absl::PermissionDeniedError(absl::StrCat("refused: ", text)));
  }
  const std::string* receipt = frame.Find("receipt-id");
  uint64_t id = 0;
  if (receipt != nullptr && absl::SimpleAtoi(*receipt, &id)) {
    const auto found = pending_.find(id);
    if (found != pending_.end() && found->second.purpose == Purpose::kSubscribe) {
      return End(Fault::kRefused, absl::PermissionDeniedError(absl::StrCat(
                                      "subscribe ", subscriptions_[found->second.subscription],
                                      ": refused: ", text)));
    }
  }
  return End(Fault::kError, absl::UnavailableError(absl::StrCat("the broker says: ", text)));
}

Session::Event Session::End(Fault fault, absl::Status status) {
  state_ = State::kEnded;
  queue_.clear();
  pending_.clear();
  return Event{Event::Kind::kEnded, 0, {}, std::move(status), fault};
}

std::optional<Session::Event> Session::OnTime(base::Now now) {
  if (state_ == State::kEnded) return std::nullopt;
  const auto late = [this](const std::string& what, absl::Duration limit) {
    return End(Fault::kLate,
               absl::UnavailableError(absl::StrCat(what, " ", absl::FormatDuration(limit))));
  };
  if (now.steady >= connect_deadline_) return late("no CONNECTED within", kConnectMax);
  if (now.steady >= last_heard_ + silence_max_) {
    return End(Fault::kSilent, absl::UnavailableError(absl::StrCat(
                                   "nothing heard for ", absl::FormatDuration(silence_max_))));
  }
  if (now.steady >= write_deadline_) return late("the broker reads nothing for", kWriteMax);
  if (now.steady >= frame_deadline_) return late("a frame without end for", kFrameMax);
  if (!pending_.empty() && now.steady >= pending_.begin()->second.deadline) {
    return late("no RECEIPT within", kReceiptMax);
  }
  if (now.steady >= heart_beat_due()) {
    queue_.push_back({"\n", 0});
    ++queued_bytes_;
  }
  return std::nullopt;
}

absl::Duration Session::next_deadline() const {
  if (state_ == State::kEnded) return absl::InfiniteDuration();
  absl::Duration next = std::min({connect_deadline_, write_deadline_, frame_deadline_,
                                  heart_beat_due(), last_heard_ + silence_max_});
  if (!pending_.empty()) next = std::min(next, pending_.begin()->second.deadline);
  return next;
}

// What waits or is under way is a sign of life itself.
absl::Duration Session::heart_beat_due() const {
  if (!queue_.empty() || batch_bytes_ > 0) return absl::InfiniteDuration();
  return last_written_ + send_every_ * kHeartBeatShare;
}

void Session::Subscribe(uint64_t id, std::string destination) {
  subscriptions_.emplace(id, std::move(destination));
  if (!connected()) return;
  if (state_ == State::kSubscribing) ++unconfirmed_;
  QueueSubscribe(id);
}

void Session::QueueSubscribe(uint64_t id) {
  Frame frame;
  frame.command = "SUBSCRIBE";
  frame.Add("id", absl::StrCat(id));
  frame.Add("destination", subscriptions_[id]);
  frame.Add("ack", "auto");
  for (const Header& header : SubscribeHeaders(options_.flavour)) frame.headers.push_back(header);
  const uint64_t receipt = NewReceipt(Purpose::kSubscribe, id, &frame);
  Queue(frame, receipt);
}

absl::StatusOr<uint64_t> Session::Send(absl::string_view destination, std::string body,
                                       absl::Time expires, bool receipt, base::Now now) {
  if (!connected()) return absl::UnavailableError("not connected");
  if (queued_bytes_ + destination.size() + body.size() > options_.send_queue_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the send queue is full (send_queue_bytes, ", options_.send_queue_bytes, ")"));
  }
  if (receipt && pending_.size() >= kPendingReceiptsMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat("more than ", kPendingReceiptsMax, " sends wait for their RECEIPT"));
  }
  Frame frame;
  frame.command = "SEND";
  frame.headers.reserve(5);
  frame.Add("destination", destination);
  for (Header& header : SendHeaders(options_.flavour, expires, now.wall)) {
    frame.headers.push_back(std::move(header));
  }
  frame.body = std::move(body);
  const uint64_t id = receipt ? NewReceipt(Purpose::kSend, 0, &frame) : 0;
  Queue(frame, id);
  return id;
}

bool Session::Disconnect() {
  if (!connected()) return state_ == State::kDisconnecting;
  Frame frame;
  frame.command = "DISCONNECT";
  const uint64_t receipt = NewReceipt(Purpose::kDisconnect, 0, &frame);
  Queue(frame, receipt);
  state_ = State::kDisconnecting;
  return true;
}

uint64_t Session::NewReceipt(Purpose purpose, uint64_t subscription, Frame* frame) {
  const uint64_t id = ++last_receipt_;
  frame->Add("receipt", absl::StrCat(id));
  pending_.emplace(id, Pending{purpose, subscription, absl::InfiniteDuration()});
  return id;
}

void Session::Queue(const Frame& frame, uint64_t receipt) {
  queue_.push_back({Encode(frame, version_), receipt});
  queued_bytes_ += queue_.back().bytes.size();
}

std::vector<std::string> Session::TakeBatch(base::Now now) {
  std::vector<std::string> batch;
  if (batch_bytes_ > 0) return batch;
  while (!queue_.empty() && batch.size() < kBatchFramesMax) {
    Queued& next = queue_.front();
    if (!batch.empty() && batch_bytes_ + next.bytes.size() > kBatchBytesMax) break;
    batch_bytes_ += next.bytes.size();
    if (next.bytes.size() > 1) ++counts_.frames_out;
    if (next.receipt != 0) pending_[next.receipt].deadline = now.steady + kReceiptMax;
    batch.push_back(std::move(next.bytes));
    queue_.pop_front();
  }
  if (batch_bytes_ > 0) write_deadline_ = now.steady + kWriteMax;
  return batch;
}

void Session::OnWritten(base::Now now) {
  counts_.bytes_out += batch_bytes_;
  queued_bytes_ -= batch_bytes_;
  batch_bytes_ = 0;
  write_deadline_ = absl::InfiniteDuration();
  last_written_ = now.steady;
}

}  // namespace orch::bus
