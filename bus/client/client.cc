// SPDX-License-Identifier: Apache-2.0

// The life of the client is one coroutine (Run): wait, open, run the connection, begin again. It is
// the only place where the next broker is chosen, so two connections never exist at once and a
// callback can't start a second attempt. Callbacks may destroy the Client while that coroutine
// waits; therefore everything lives in a shared Core, Abandon() forgets the callbacks and wakes
// what waits, and each callback is copied or moved out before it is called.

#include "bus/client/client.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/asio.h"
#include "base/clock.h"
#include "base/status.h"
#include "bus/client/client_core.h"
#include "bus/stomp/destination.h"
#include "bus/stream/stream.h"

namespace orch::bus {
namespace {

constexpr absl::Duration kStopMax = absl::Seconds(2);

std::vector<std::string> AddressesOf(const BusConfig& config) {
  std::vector<std::string> out(config.brokers().begin(), config.brokers().end());
  if (out.empty()) out.push_back("memory");
  return out;
}

Backoff::Order OrderOf(const BusConfig& config) {
  return config.order() == BROKER_ORDER_RANDOM ? Backoff::Order::kRandom
                                               : Backoff::Order::kPriority;
}

Backoff::Times BackoffTimes(const BusConfig& config) {
  const BusTimes times = TimesOf(config);
  return {times.reconnect_spread, times.reconnect_min, times.reconnect_max};
}

absl::string_view HostOf(absl::string_view address) {
  return address.substr(0, address.rfind(':'));
}

}  // namespace

Client::Core::Core(base::Strand strand, Options options, std::shared_ptr<StreamFactory> factory)
    : strand_(strand),
      options_(std::move(options)),
      factory_(std::move(factory)),
      addresses_(AddressesOf(options_.config)),
      backoff_(addresses_.size(), OrderOf(options_.config), BackoffTimes(options_.config),
               options_.spread_start, options_.random->Next64()),
      timer_(strand, options_.clock),
      stop_timer_(strand, options_.clock),
      pause_timer_(strand, options_.clock) {
  status_.broker = addresses_.front();
  status_.last_error = "not started";
}

void Client::Core::Subscribe(std::string destination, std::function<void(Delivery)> on_message) {
  if (started_) ORCH_CHECK_ON(strand_);
  if (stopping_) return;
  subscriptions_.push_back(
      {destination, std::make_shared<const std::function<void(Delivery)>>(std::move(on_message))});
  if (connection_ == nullptr || connection_->ended) return;
  connection_->session.Subscribe(subscriptions_.size(), std::move(destination));
  Flush(connection_);
}

void Client::Core::Start(std::function<void(bool)> on_change) {
  ORCH_CHECK_ON(strand_);
  ORCH_CHECK(!started_);
  started_ = true;
  on_change_ = std::move(on_change);
  status_.last_error = "connecting";
  status_.away_since = Now().wall;
  if (stopping_) return;
  base::asio::co_spawn(strand_, Run(shared_from_this()), base::asio::detached);
}

base::Awaitable<void> Client::Core::Run(std::shared_ptr<Core> self) {
  co_await base::asio::this_coro::throw_if_cancelled(false);
  while (!self->stopping_) {
    const Backoff::Attempt attempt = self->backoff_.Next(self->options_.random->Next64());
    base::Awaitable<void> waiting = WaitOrStop(self, attempt.wait);
    co_await std::move(waiting);
    if (self->stopping_) break;

    const std::string address = self->addresses_[attempt.broker];
    self->status_.broker = address;
    // Read at each connect: the passcode may have changed.
    absl::StatusOr<Session::Options> session = self->SessionOptions();
    if (!session.ok()) {
      self->OnOpenFailed(base::Annotate(session.status(), absl::StrCat("connect ", address)));
      continue;
    }
    base::Awaitable<absl::StatusOr<std::unique_ptr<Stream>>> opening = Open(self, address);
    absl::StatusOr<std::unique_ptr<Stream>> stream = co_await std::move(opening);
    if (self->stopping_) break;
    if (!stream.ok()) {
      self->OnOpenFailed(stream.status());
      continue;
    }
    self->connection_ = std::make_shared<Connection>(
        *std::move(stream), *std::move(session), self->options_.messages_per_second, self->Now());
    base::Awaitable<void> running = RunConnection(self, self->connection_);
    co_await std::move(running);
  }
  self->Finish();
}

// Completes when: `wait` is over, or Stop came. Runs on: strand_.
base::Awaitable<void> Client::Core::WaitOrStop(std::shared_ptr<Core> self, absl::Duration wait) {
  if (wait <= absl::ZeroDuration()) co_return;
  self->timer_.expires_after(wait);
  co_await self->timer_.async_wait(base::kTuple);
}

// Completes when: connected, failed, kOpenMax is over, or Stop came. Errors: the factory's,
// Unavailable. Runs on: strand_. Not WithDeadline, because Stop ends it too, by timer_.
base::Awaitable<absl::StatusOr<std::unique_ptr<Stream>>> Client::Core::Open(
    std::shared_ptr<Core> self, std::string address) {
  using base::asio::experimental::awaitable_operators::operator||;
  self->timer_.expires_after(kOpenMax);
  std::variant<absl::StatusOr<std::unique_ptr<Stream>>, std::tuple<boost::system::error_code>>
      first = co_await (self->factory_->Connect(self->strand_, address) ||
                        self->timer_.async_wait(base::kTuple));
  if (first.index() == 0) co_return std::get<0>(std::move(first));
  co_return absl::UnavailableError(
      absl::StrCat("connect ", address, ": no answer within ", absl::FormatDuration(kOpenMax)));
}

absl::StatusOr<Session::Options> Client::Core::SessionOptions() const {
  const BusConfig& config = options_.config;
  const Flavour flavour = Destinations::FromConfig(config).flavour;
  Session::Options out;
  out.flavour = flavour;
  out.virtual_host = config.virtual_host().empty()
                         ? DefaultVirtualHost(flavour, HostOf(status_.broker))
                         : config.virtual_host();
  out.login = config.login();
  out.client_id = options_.client_id;
  out.heart_beat = TimesOf(config).heart_beat;
  out.send_queue_bytes = options_.send_queue_bytes;
  if (!config.passcode_file().empty()) {
    ORCH_ASSIGN_OR_RETURN(out.passcode, ReadPasscode(config.passcode_file()));
  }
  return out;
}

void Client::Core::OnOpenFailed(absl::Status why) {
  ++status_.failures;
  OnFailed(std::move(why));
  // A copy, because the Client may go while it runs.
  const std::function<void()> on_failure = on_failure_;
  if (on_failure) on_failure();
}

// Two lines of a kind, broker and minute: a loss soon after the start is told, and so is its end.
// Not by the reason, which a hostile broker may make up anew each time.
bool Client::Core::MayLog(absl::string_view what, base::Now now, uint64_t* suppressed) {
  const std::string key = absl::StrCat(what, " ", status_.broker);
  return limiter_.Admit(key, now, suppressed) ||
         limiter_.Admit(absl::StrCat(key, " again"), now, suppressed);
}

void Client::Core::OnFailed(absl::Status why) {
  status_.last_error = std::string(why.message());
  uint64_t suppressed = 0;
  const base::Now now = Now();
  if (!MayLog("not connected", now, &suppressed)) return;
  base::LogWarning(
      "bus: not connected",
      {{"why", status_.last_error},
       {"broker", status_.broker},
       {"for", absl::FormatDuration(absl::Trunc(now.wall - status_.away_since, absl::Seconds(1)))},
       {"next_within", absl::FormatDuration(backoff_.ceiling())},
       {"not_logged", suppressed}});
}

void Client::Core::Stop(std::function<void()> done) {
  ORCH_CHECK_ON(strand_);
  on_stopped_.push_back(std::move(done));
  on_change_ = nullptr;
  on_failure_ = nullptr;
  const bool first = !stopping_;
  stopping_ = true;
  if (finished_ || !started_) {
    base::asio::post(strand_, [self = shared_from_this()] { self->Finish(); });
    return;
  }
  if (!first) return;
  timer_.cancel();
  if (connection_ == nullptr || connection_->ended) return;
  if (!connection_->session.Disconnect()) {
    End(connection_, absl::CancelledError("stopped"));
    return;
  }
  armed_for_ = absl::InfiniteDuration();  // timer_ was cancelled
  Arm(connection_);
  Flush(connection_);
  stop_timer_.expires_after(kStopMax);
  stop_timer_.async_wait(
      [self = shared_from_this(), connection = connection_](boost::system::error_code error) {
        if (!error) self->End(connection, absl::UnavailableError("stopped; no receipt in time"));
      });
}

void Client::Core::Finish() {
  stop_timer_.cancel();
  finished_ = true;
  status_.last_error = "stopped";
  subscriptions_.clear();
  // Abandon may come from within.
  std::vector<std::function<void()>> stopped = std::move(on_stopped_);
  on_stopped_.clear();
  for (const std::function<void()>& done : stopped) done();
}

void Client::Core::Abandon() {
  stopping_ = true;
  finished_ = true;
  on_change_ = nullptr;
  on_failure_ = nullptr;
  on_stopped_.clear();
  subscriptions_.clear();
  timer_.cancel();
  stop_timer_.cancel();
  if (connection_ == nullptr) return;
  connection_->sent.clear();
  End(connection_, absl::CancelledError("destroyed"));
}

void Client::Core::Send(std::string destination, std::string body, absl::Time expires) {
  ORCH_CHECK_ON(strand_);
  if (connection_ == nullptr || connection_->ended) return;
  const absl::StatusOr<uint64_t> queued = connection_->session.Send(
      destination, std::move(body), BrokerExpiry(options_.config.flavour(), expires, skew_),
      /*receipt=*/false, Now());
  if (queued.ok()) {
    Flush(connection_);
    return;
  }
  uint64_t suppressed = 0;
  if (!limiter_.Admit("send", Now(), &suppressed)) return;
  base::LogWarning("bus: message lost", {{"why", queued.status().message()},
                                         {"destination", destination},
                                         {"not_logged", suppressed}});
}

void Client::Core::SendWithReceipt(std::string destination, std::string body, absl::Time expires,
                                   Sent sent) {
  ORCH_CHECK_ON(strand_);
  if (connection_ == nullptr || connection_->ended) {
    Fail(std::move(sent), absl::UnavailableError(absl::StrCat(
                              "send ", destination, ": not connected to ", status_.broker)));
    return;
  }
  const absl::StatusOr<uint64_t> queued = connection_->session.Send(
      destination, std::move(body), BrokerExpiry(options_.config.flavour(), expires, skew_),
      /*receipt=*/true, Now());
  if (!queued.ok()) {
    Fail(std::move(sent), base::Annotate(queued.status(), absl::StrCat("send ", destination)));
    return;
  }
  connection_->sent.emplace(*queued, std::move(sent));
  Flush(connection_);
}

void Client::Core::Fail(Sent sent, absl::Status status) {
  base::asio::post(strand_,
                   [self = shared_from_this(), sent = std::move(sent), status = std::move(status)] {
                     if (!self->finished_) sent(status);
                   });
}

void Client::Core::Reconnect(std::string why) {
  ORCH_CHECK_ON(strand_);
  if (connection_ != nullptr && !stopping_) End(connection_, absl::UnavailableError(why));
}

ClientStatus Client::Core::status() const {
  ClientStatus out = status_;
  if (connection_ == nullptr) return out;
  const Session::Counts& counts = connection_->session.counts();
  out.frames_in += counts.frames_in;
  out.frames_out += counts.frames_out;
  out.bytes_in += counts.bytes_in;
  out.bytes_out += counts.bytes_out;
  out.ignored += counts.ignored;
  out.stray_receipts += counts.stray_receipts;
  return out;
}

Client::Client(base::Strand strand, Options options, std::shared_ptr<StreamFactory> factory)
    : core_(std::make_shared<Core>(strand, std::move(options), std::move(factory))) {}

Client::~Client() { core_->Abandon(); }

void Client::Subscribe(std::string destination, std::function<void(Delivery)> on_message) {
  core_->Subscribe(std::move(destination), std::move(on_message));
}
void Client::Start(std::function<void(bool connected)> on_change) {
  core_->Start(std::move(on_change));
}
void Client::WatchFailures(std::function<void()> call) { core_->WatchFailures(std::move(call)); }
void Client::Stop(std::function<void()> done) { core_->Stop(std::move(done)); }
void Client::Send(std::string destination, std::string body, absl::Time expires) {
  core_->Send(std::move(destination), std::move(body), expires);
}
void Client::SendWithReceipt(std::string destination, std::string body, absl::Time expires,
                             Sent sent) {
  core_->SendWithReceipt(std::move(destination), std::move(body), expires, std::move(sent));
}
void Client::Reconnect(std::string why) { core_->Reconnect(std::move(why)); }
void Client::SetClockSkew(absl::Duration skew) { core_->SetClockSkew(skew); }
ClientStatus Client::status() const { return core_->status(); }

absl::StatusOr<std::shared_ptr<StreamFactory>> NewClientStreams(
    const BusConfig& config, std::shared_ptr<trust::Credentials> credentials) {
  ORCH_RETURN_IF_ERROR(ValidateBusConfig(config));
  if (!UsesTls(config)) return NewNetworkStreams(nullptr, "");
  if (credentials == nullptr) {
    return absl::FailedPreconditionError("tls: needs the certificate of `trust`");
  }
  return NewNetworkStreams(std::move(credentials), config.tls_server_name());
}

}  // namespace orch::bus
