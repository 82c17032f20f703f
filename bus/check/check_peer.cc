// SPDX-License-Identifier: Apache-2.0
#include "bus/check/check_peer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/asio.h"
#include "base/clock.h"
#include "base/status.h"
#include "bus/stomp/destination.h"

namespace orch::bus {
namespace {

constexpr size_t kReadMax = 16 << 10;
// Messages of others that a subscription may bring while it is looked at.
constexpr size_t kMessagesMax = 1000;

absl::Duration SteadyNow() { return base::SystemClock().Read().steady; }

}  // namespace

base::Awaitable<absl::StatusOr<std::unique_ptr<CheckPeer>>> CheckPeer::Open(base::Strand strand,
                                                                            CheckBroker broker,
                                                                            CheckCredentials as) {
  using Opened = absl::StatusOr<std::unique_ptr<Stream>>;
  base::Awaitable<std::optional<Opened>> connecting =
      base::WithDeadline(as.streams->Connect(strand, broker.address), broker.timeout);
  std::optional<Opened> stream = co_await std::move(connecting);
  if (!stream.has_value()) {
    co_return absl::UnavailableError(absl::StrCat("connect ", broker.address, ": nothing within ",
                                                  absl::FormatDuration(broker.timeout)));
  }
  if (!stream->ok()) co_return stream->status();
  std::unique_ptr<CheckPeer> peer(new CheckPeer(**std::move(stream), broker));
  base::Awaitable<absl::Status> login = peer->Login(as);
  absl::Status entered = co_await std::move(login);
  if (!entered.ok()) co_return entered;
  co_return std::move(peer);
}

base::Awaitable<absl::Status> CheckPeer::Login(CheckCredentials as) {
  Frame connect;
  connect.command = "CONNECT";
  connect.Add("accept-version", "1.2");
  connect.Add("host", broker_.virtual_host);
  connect.Add("heart-beat", "0,0");
  if (!as.login.empty()) {
    connect.Add("login", as.login);
    connect.Add("passcode", as.passcode);
  }
  base::Awaitable<absl::Status> writing = Write(std::move(connect));
  absl::Status written = co_await std::move(writing);
  if (!written.ok()) co_return absl::PermissionDeniedError(written.message());
  base::Awaitable<absl::StatusOr<Frame>> reading = Next(SteadyNow() + broker_.timeout);
  const absl::StatusOr<Frame> answer = co_await std::move(reading);
  if (absl::IsDeadlineExceeded(answer.status())) co_return answer.status();
  // With TLS 1.3 a certificate that was refused shows here: the client's handshake ends earlier.
  if (!answer.ok()) co_return absl::PermissionDeniedError(answer.status().message());
  if (answer->command != "CONNECTED") {
    co_return absl::PermissionDeniedError(ErrorText(broker_.flavour, *answer));
  }
  co_return absl::OkStatus();
}

base::Awaitable<absl::Status> CheckPeer::Write(Frame frame) {
  const std::string bytes = Encode(frame);
  const std::vector<boost::asio::const_buffer> buffers = {boost::asio::buffer(bytes)};
  base::Awaitable<std::optional<absl::Status>> writing =
      base::WithDeadline(stream_->Write(buffers), broker_.timeout);
  std::optional<absl::Status> written = co_await std::move(writing);
  co_return written.value_or(absl::DeadlineExceededError("the broker reads nothing"));
}

base::Awaitable<absl::StatusOr<Frame>> CheckPeer::Next(absl::Duration until) {
  std::string buffer(kReadMax, '\0');
  while (frames_.empty()) {
    const absl::Duration left = until - SteadyNow();
    if (left <= absl::ZeroDuration()) co_return absl::DeadlineExceededError("no answer");
    base::Awaitable<std::optional<absl::StatusOr<size_t>>> reading =
        base::WithDeadline(stream_->Read(buffer.data(), buffer.size()), left);
    std::optional<absl::StatusOr<size_t>> size = co_await std::move(reading);
    if (!size.has_value()) co_return absl::DeadlineExceededError("no answer");
    if (!size->ok()) co_return absl::UnavailableError(size->status().message());
    std::vector<Frame> decoded;
    const absl::Status good = decoder_.Feed(absl::string_view(buffer.data(), **size), &decoded);
    for (Frame& frame : decoded) frames_.push_back(std::move(frame));
    if (!good.ok() && frames_.empty()) co_return absl::UnavailableError(good.message());
  }
  Frame frame = std::move(frames_.front());
  frames_.pop_front();
  co_return std::move(frame);
}

base::Awaitable<CheckPeer::Answer> CheckPeer::AnswerTo(Frame frame) {
  const std::string receipt = absl::StrCat("check-", ++receipts_);
  frame.Add("receipt", receipt);
  base::Awaitable<absl::Status> writing = Write(std::move(frame));
  absl::Status written = co_await std::move(writing);
  if (!written.ok()) co_return Answer{CheckAnswer::kClosed, std::string(written.message())};
  const absl::Duration until = SteadyNow() + broker_.timeout;
  for (;;) {
    base::Awaitable<absl::StatusOr<Frame>> reading = Next(until);
    absl::StatusOr<Frame> next = co_await std::move(reading);
    if (absl::IsDeadlineExceeded(next.status())) co_return Answer{CheckAnswer::kNothing, ""};
    if (!next.ok()) co_return Answer{CheckAnswer::kClosed, std::string(next.status().message())};
    if (next->command == "ERROR") {
      co_return Answer{CheckAnswer::kError, ErrorText(broker_.flavour, *next)};
    }
    if (next->command == "MESSAGE" && messages_.size() < kMessagesMax) {
      messages_.push_back(*std::move(next));
    } else if (next->command == "RECEIPT") {
      const std::string* id = next->Find("receipt-id");
      if (id != nullptr && *id == receipt) co_return Answer{CheckAnswer::kReceipt, ""};
    }
  }
}

base::Awaitable<CheckPeer::Answer> CheckPeer::Subscribe(std::string destination,
                                                        std::vector<Header> headers) {
  acknowledges_ = absl::StartsWith(destination, "/queue/");
  Frame frame;
  frame.command = "SUBSCRIBE";
  frame.Add("id", "1");
  frame.Add("destination", destination);
  frame.Add("ack", acknowledges_ ? "client-individual" : "auto");
  for (Header& header : headers) frame.headers.push_back(std::move(header));
  base::Awaitable<Answer> answering = AnswerTo(std::move(frame));
  Answer answer = co_await std::move(answering);
  co_return answer;
}

base::Awaitable<CheckPeer::Answer> CheckPeer::Send(std::string destination, std::string body,
                                                   std::vector<Header> headers) {
  const absl::Time now = base::SystemClock().Read().wall;
  Frame frame;
  frame.command = "SEND";
  frame.Add("destination", destination);
  for (Header& header : SendHeaders(broker_.flavour, now + broker_.timeout, now)) {
    frame.headers.push_back(std::move(header));
  }
  for (Header& header : headers) frame.headers.push_back(std::move(header));
  frame.body = std::move(body);
  base::Awaitable<Answer> answering = AnswerTo(std::move(frame));
  Answer answer = co_await std::move(answering);
  co_return answer;
}

base::Awaitable<std::optional<size_t>> CheckPeer::Hear(std::vector<std::string> bodies,
                                                       absl::Duration limit) {
  const absl::Duration until = SteadyNow() + limit;
  for (;;) {
    Frame message;
    if (!messages_.empty()) {
      message = std::move(messages_.front());
      messages_.pop_front();
    } else {
      base::Awaitable<absl::StatusOr<Frame>> reading = Next(until);
      absl::StatusOr<Frame> next = co_await std::move(reading);
      if (!next.ok()) co_return std::nullopt;
      message = *std::move(next);
    }
    const auto found = std::find(bodies.begin(), bodies.end(), message.body);
    if (message.command != "MESSAGE" || found == bodies.end()) continue;
    const std::string* id = message.Find("ack");
    if (acknowledges_ && id != nullptr) {
      Frame ack;
      ack.command = "ACK";
      ack.Add("id", *id);
      base::Awaitable<absl::Status> writing = Write(std::move(ack));
      const absl::Status ignored = co_await std::move(writing);
      (void)ignored;
    }
    co_return static_cast<size_t>(found - bodies.begin());
  }
}

}  // namespace orch::bus
