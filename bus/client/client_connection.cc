// SPDX-License-Identifier: Apache-2.0

// One reader and one writer work on a connection. The reader alone clears up: whoever notices the
// end (a deadline, a failed write, Reconnect, Stop) calls End, which records the first reason and
// closes the stream; the reader then wakes and OnEnded runs, once. If others cleaned up themselves,
// sends that wait for a receipt could be answered twice or never. The writer takes whatever has
// gathered as one gather write, so batches grow with the load; it does not begin within the call
// that queued the first frame, so that all frames of one handler share a write.

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/asio.h"
#include "base/clock.h"
#include "base/status.h"
#include "bus/client/client_core.h"

namespace orch::bus {
namespace {

// An idle connection holds the small buffer, a busy one the large.
constexpr size_t kReadMin = 1 << 10;
constexpr size_t kReadMax = 8 << 10;

}  // namespace

// Completes when: the connection is over and everybody was told. Runs on: strand_.
base::Awaitable<void> Client::Core::RunConnection(std::shared_ptr<Core> self,
                                                  ConnectionPtr connection) {
  for (size_t i = 0; i < self->subscriptions_.size(); ++i) {
    connection->session.Subscribe(i + 1, self->subscriptions_[i].destination);
  }
  self->Flush(connection);
  self->armed_for_ = absl::InfiniteDuration();
  self->Arm(connection);
  std::string buffer(kReadMin, '\0');
  while (!connection->ended) {
    base::Awaitable<absl::StatusOr<size_t>> reading =
        connection->stream->Read(buffer.data(), buffer.size());
    absl::StatusOr<size_t> size = co_await std::move(reading);
    if (connection->ended) break;
    if (!size.ok()) {
      self->End(connection, size.status());
      break;
    }
    const uint64_t frames = connection->session.counts().frames_in;
    std::vector<Session::Event> events =
        connection->session.OnBytes(absl::string_view(buffer.data(), *size), self->Now());
    for (Session::Event& event : events) {
      if (connection->ended) break;
      self->OnEvent(connection, std::move(event));
    }
    if (connection->ended) break;
    self->Flush(connection);
    self->Arm(connection);
    const absl::Duration wait =
        connection->pace.Take(connection->session.counts().frames_in - frames, *size, self->Now());
    if (wait > absl::ZeroDuration()) {
      base::Awaitable<void> pausing = Pause(self, wait);
      co_await std::move(pausing);
      if (connection->ended) break;
    }
    if (*size == buffer.size() && *size < kReadMax) {
      buffer.resize(kReadMax);
    } else if (*size < kReadMin && buffer.size() > kReadMin) {
      buffer = std::string(kReadMin, '\0');
    }
  }
  self->OnEnded(connection);
}

// What waits meanwhile waits in the kernel, and then at the broker. Completes when: `wait` is over,
// or the connection ended. Runs on: strand_.
base::Awaitable<void> Client::Core::Pause(std::shared_ptr<Core> self, absl::Duration wait) {
  ++self->status_.paused;
  self->pause_timer_.expires_after(wait);
  co_await self->pause_timer_.async_wait(base::kTuple);
}

void Client::Core::OnEvent(const ConnectionPtr& connection, Session::Event event) {
  switch (event.kind) {
    case Session::Event::Kind::kReady:
      OnReady(connection);
      return;
    case Session::Event::Kind::kMessage: {
      const Subscription& subscription = subscriptions_[event.id - 1];
      const auto on_message = subscription.on_message;
      (*on_message)({subscription.destination, std::move(event.body)});
      return;
    }
    case Session::Event::Kind::kReceipt: {
      const auto found = connection->sent.find(event.id);
      if (found == connection->sent.end()) return;
      const Sent sent = std::move(found->second);
      connection->sent.erase(found);
      sent(absl::OkStatus());
      return;
    }
    case Session::Event::Kind::kEnded:
      End(connection, std::move(event.status), event.fault);
      return;
  }
}

void Client::Core::OnReady(const ConnectionPtr& connection) {
  const base::Now now = Now();
  connection->ready = true;
  connection->ready_at = now.steady;
  status_.connected = true;
  status_.connected_since = now.wall;
  status_.last_error.clear();
  if (status_.connects > 0) ++status_.reconnects;
  if (status_.connects > 0 && status_.broker != lost_broker_) ++status_.failovers;
  ++status_.connects;
  lost_broker_ = status_.broker;
  // A connection that comes and goes must not fill the log either.
  uint64_t suppressed = 0;
  if (MayLog("connected", now, &suppressed)) {
    base::LogInfo("bus: connected",
                  {{"broker", status_.broker},
                   {"peer", connection->stream->peer()},
                   {"after", absl::FormatDuration(absl::Trunc(now.wall - status_.away_since,
                                                              absl::Milliseconds(1)))},
                   {"not_logged", suppressed}});
  }
  // A copy, because the Client may go while it runs.
  const std::function<void(bool)> on_change = on_change_;
  if (on_change) on_change(true);
}

void Client::Core::Flush(const ConnectionPtr& connection) {
  if (connection->writing || connection->ended || !connection->session.has_output()) return;
  connection->writing = true;
  base::asio::co_spawn(strand_, WriteLoop(shared_from_this(), connection), base::asio::detached);
}

// The only writer. Completes when: nothing waits any more, or the connection ended. Runs on:
// strand_.
base::Awaitable<void> Client::Core::WriteLoop(std::shared_ptr<Core> self,
                                              ConnectionPtr connection) {
  // What is sent by the handler that runs now goes out in one write.
  co_await base::asio::post(self->strand_, base::asio::use_awaitable);
  while (!connection->ended) {
    const std::vector<std::string> batch = connection->session.TakeBatch(self->Now());
    if (batch.empty()) break;
    self->Arm(connection);
    std::vector<base::asio::const_buffer> buffers;
    buffers.reserve(batch.size());
    for (const std::string& frame : batch) buffers.push_back(base::asio::buffer(frame));
    base::Awaitable<absl::Status> writing = connection->stream->Write(buffers);
    absl::Status written = co_await std::move(writing);
    if (connection->ended) break;
    if (!written.ok()) {
      self->End(connection, written);
      break;
    }
    connection->session.OnWritten(self->Now());
  }
  connection->writing = false;
  if (!connection->ended) self->Arm(connection);
}

// An earlier moment than needed does no harm: OnTimer looks again.
void Client::Core::Arm(const ConnectionPtr& connection) {
  const absl::Duration deadline = connection->session.next_deadline();
  if (connection->ended || deadline >= armed_for_) return;
  armed_for_ = deadline;
  timer_.expires_after(deadline - Now().steady);
  timer_.async_wait([weak = weak_from_this(), connection](boost::system::error_code error) {
    const std::shared_ptr<Core> self = weak.lock();
    if (!error && self != nullptr && !connection->ended) self->OnTimer(connection);
  });
}

void Client::Core::OnTimer(const ConnectionPtr& connection) {
  armed_for_ = absl::InfiniteDuration();
  std::optional<Session::Event> event = connection->session.OnTime(Now());
  if (event.has_value()) {
    OnEvent(connection, *std::move(event));
    return;
  }
  Flush(connection);
  Arm(connection);
}

void Client::Core::End(const ConnectionPtr& connection, absl::Status why, Fault fault) {
  if (connection->ended) return;
  connection->ended = true;
  connection->why = std::move(why);
  connection->fault = fault;
  timer_.cancel();
  pause_timer_.cancel();
  connection->stream->Close();
}

// Called once, when the reader has seen the end.
void Client::Core::OnEnded(const ConnectionPtr& connection) {
  const Session::Counts& counts = connection->session.counts();
  status_.frames_in += counts.frames_in;
  status_.frames_out += counts.frames_out;
  status_.bytes_in += counts.bytes_in;
  status_.bytes_out += counts.bytes_out;
  status_.ignored += counts.ignored;
  status_.stray_receipts += counts.stray_receipts;
  ++status_.faults[static_cast<size_t>(connection->fault)];
  status_.connected = false;
  connection_ = nullptr;
  const bool was_ready = connection->ready;
  const base::Now now = Now();
  if (was_ready) {
    backoff_.OnLost(now.steady - connection->ready_at);
    status_.away_since = now.wall;
  }
  const std::string where = was_ready ? status_.broker : absl::StrCat("connect ", status_.broker);
  const absl::Status why = base::Annotate(connection->why, where);
  if (!stopping_ && was_ready) OnFailed(why);
  if (!stopping_ && !was_ready) OnOpenFailed(why);

  const std::function<void(bool)> on_change = on_change_;
  if (was_ready && on_change) on_change(false);
  std::map<uint64_t, Sent> sent = std::move(connection->sent);
  connection->sent.clear();
  for (const auto& [id, callback] : sent) {
    // Any of them may destroy the Client; its own Finish comes after this.
    if (finished_) return;
    callback(absl::UnavailableError(absl::StrCat("not confirmed: ", why.message())));
  }
}

}  // namespace orch::bus
