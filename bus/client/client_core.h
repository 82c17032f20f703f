// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/asio.h"
#include "base/log.h"
#include "base/timer.h"
#include "bus/client/backoff.h"
#include "bus/client/client.h"
#include "bus/client/pace.h"
#include "bus/client/session.h"
#include "bus/stream/stream.h"

namespace orch::bus {

// The state of a Client, for client.cc and client_connection.cc only. It is shared with the
// coroutines that work on it, so it outlives the Client until they have ended.
//
// Lives on: strand_.
class Client::Core : public std::enable_shared_from_this<Client::Core> {
 public:
  Core(base::Strand strand, Options options, std::shared_ptr<StreamFactory> factory);

  void Subscribe(std::string destination, std::function<void(Delivery)> on_message);
  void WatchFailures(std::function<void()> call) { on_failure_ = std::move(call); }
  void Start(std::function<void(bool)> on_change);
  void Stop(std::function<void()> done);
  void Send(std::string destination, std::string body, absl::Time expires);
  void SendWithReceipt(std::string destination, std::string body, absl::Time expires, Sent sent);
  void Reconnect(std::string why);
  void SetClockSkew(absl::Duration skew) { skew_ = skew; }
  ClientStatus status() const;
  // The Client was destroyed: calls no callback any more and ends the coroutines.
  void Abandon();

 private:
  struct Subscription {
    std::string destination;
    // Shared: it may be running when the Client goes.
    std::shared_ptr<const std::function<void(Delivery)>> on_message;
  };

  // One connection, from the open stream to its end.
  struct Connection {
    Connection(std::unique_ptr<Stream> s, Session::Options options, uint32_t pace_max,
               base::Now now)
        : stream(std::move(s)), session(std::move(options), now), pace(pace_max, now) {}
    std::unique_ptr<Stream> stream;
    Session session;
    Pace pace;
    std::map<uint64_t, Sent> sent;  // by the session's receipt
    bool writing = false;
    bool ready = false;
    absl::Duration ready_at;  // steady
    bool ended = false;
    absl::Status why;  // if ended
    Fault fault = Fault::kNone;
  };
  using ConnectionPtr = std::shared_ptr<Connection>;

  // client.cc: the life of the client.
  static base::Awaitable<void> Run(std::shared_ptr<Core> self);
  static base::Awaitable<absl::StatusOr<std::unique_ptr<Stream>>> Open(std::shared_ptr<Core> self,
                                                                       std::string address);
  static base::Awaitable<void> WaitOrStop(std::shared_ptr<Core> self, absl::Duration wait);
  absl::StatusOr<Session::Options> SessionOptions() const;
  void OnFailed(absl::Status why);
  bool MayLog(absl::string_view what, base::Now now, uint64_t* suppressed);
  void OnOpenFailed(absl::Status why);
  void Finish();
  void Fail(Sent sent, absl::Status status);
  base::Now Now() const { return options_.clock->Read(); }

  // client_connection.cc: the life of a connection.
  static base::Awaitable<void> RunConnection(std::shared_ptr<Core> self, ConnectionPtr connection);
  static base::Awaitable<void> Pause(std::shared_ptr<Core> self, absl::Duration wait);
  static base::Awaitable<void> WriteLoop(std::shared_ptr<Core> self, ConnectionPtr connection);
  void OnEvent(const ConnectionPtr& connection, Session::Event event);
  void OnReady(const ConnectionPtr& connection);
  void Flush(const ConnectionPtr& connection);
  void Arm(const ConnectionPtr& connection);
  void OnTimer(const ConnectionPtr& connection);
  void End(const ConnectionPtr& connection, absl::Status why, Fault fault = Fault::kNone);
  void OnEnded(const ConnectionPtr& connection);

  const base::Strand strand_;
  const Options options_;
  const std::shared_ptr<StreamFactory> factory_;
  std::vector<std::string> addresses_;  // constant after construction, not empty
  Backoff backoff_;
  base::Timer timer_;  // back-off, connecting, or the session's next deadline
  base::Timer stop_timer_;
  base::Timer pause_timer_;
  absl::Duration armed_for_ = absl::InfiniteDuration();  // of the session's deadlines

  std::vector<Subscription> subscriptions_;  // a subscription's id is its index + 1
  std::function<void(bool)> on_change_;
  std::function<void()> on_failure_;
  std::vector<std::function<void()>> on_stopped_;
  ConnectionPtr connection_;            // null between connections
  ClientStatus status_;                 // its counts are those of past connections
  std::optional<absl::Duration> skew_;  // our clock minus that of the bus, once known
  std::string lost_broker_;             // the last that was usable
  base::LogLimiter limiter_;
  bool started_ = false;
  bool stopping_ = false;
  bool finished_ = false;  // nothing is called any more
};

}  // namespace orch::bus
