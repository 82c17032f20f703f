// SPDX-License-Identifier: Apache-2.0

// A broker that refuses may answer with an ERROR, close the connection, or drop the message without
// a word after it has confirmed it; ActiveMQ and RabbitMQ do each of these. So the broker's answer
// alone proves nothing: where the credentials allow it, a second connection watches whether the
// verb had an effect. That a SEND did not arrive is concluded from a fence: a message of a rightful
// sender, sent afterwards; once it is heard, what was tried before it is not going to come. Each
// case has a connection of its own, because a refusal usually ends the connection.

#include "bus/check/check.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/asio.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/status.h"

namespace orch::bus {
namespace {

// So many messages into a queue, for one of them to reach us beside the queue's owner.
constexpr int kQueueProbes = 8;
// What should not arrive is waited for so long after the broker has confirmed it to its sender.
constexpr absl::Duration kSettle = absl::Seconds(1);

bool IsQueue(absl::string_view destination) { return absl::StartsWith(destination, "/queue/"); }

std::string NewBody() {
  return absl::StrCat("orch-broker check ", base::NewUlid(base::SystemClock().Read().wall));
}

// One run. Lives on: the strand.
class Check {
 public:
  Check(base::Strand strand, CheckBroker broker, std::map<CheckRole, CheckCredentials> credentials,
        BrokerCheck* check)
      : strand_(strand),
        broker_(std::move(broker)),
        credentials_(std::move(credentials)),
        check_(check) {}

  base::Awaitable<absl::Status> Run(CheckNames names);

 private:
  using Peer = std::unique_ptr<CheckPeer>;

  base::Awaitable<absl::StatusOr<Peer>> Open(CheckRole role);
  base::Awaitable<void> Connect(const CheckCase& tried);
  base::Awaitable<absl::Status> TryLogin(const CheckCase& tried);
  base::Awaitable<absl::Status> Try(const CheckCase& tried);
  base::Awaitable<absl::Status> TrySubscribe(const CheckCase& tried, Peer peer);
  base::Awaitable<absl::Status> TrySend(const CheckCase& tried, Peer peer);
  base::Awaitable<absl::StatusOr<Peer>> Listen(const CheckWitness& witness);
  // Whether what `sender` says comes to `peer` within `limit`.
  base::Awaitable<absl::StatusOr<bool>> Reaches(CheckWitness sender, absl::Duration limit,
                                                CheckPeer* peer);
  // Whether `body` came to `listener`; nothing: it could not be told.
  base::Awaitable<absl::StatusOr<std::optional<bool>>> Came(const CheckCase& tried,
                                                            std::string body, CheckPeer* listener);

  void Add(const CheckCase& tried, CheckFinding found, absl::string_view answer) {
    *check_->add_rows() = Judge(tried, found, answer);
    if (check_->rows(check_->rows_size() - 1).surprise()) {
      check_->set_surprises(check_->surprises() + 1);
    }
  }
  // Effects are seen by nodes and controllers for each other.
  bool CanWitness() const {
    return entered_.count(CHECK_ROLE_NODE) > 0 && entered_.count(CHECK_ROLE_CONTROLLER) > 0;
  }

  const base::Strand strand_;
  const CheckBroker broker_;
  const std::map<CheckRole, CheckCredentials> credentials_;
  BrokerCheck* const check_;
  std::map<CheckRole, bool> entered_;  // who got a connection
  bool answered_ = false;              // the broker has spoken STOMP to somebody
  absl::Status last_failure_;
};

base::Awaitable<absl::Status> Check::Run(CheckNames names) {
  std::vector<CheckCase> rest;
  for (const auto& entry : credentials_) {
    std::vector<CheckCase> cases = CheckCasesOf(entry.first, names);
    base::Awaitable<void> connecting = Connect(cases.front());
    co_await std::move(connecting);
    if (entered_.count(entry.first) == 0) continue;
    rest.insert(rest.end(), std::make_move_iterator(cases.begin() + 1),
                std::make_move_iterator(cases.end()));
  }
  if (!answered_) co_return last_failure_;
  for (const CheckCase& tried : rest) {
    base::Awaitable<absl::Status> trying = Try(tried);
    absl::Status status = co_await std::move(trying);
    if (!status.ok()) co_return status;
  }
  co_return absl::OkStatus();
}

base::Awaitable<absl::StatusOr<Check::Peer>> Check::Open(CheckRole role) {
  base::Awaitable<absl::StatusOr<Peer>> opening =
      CheckPeer::Open(strand_, broker_, credentials_.at(role));
  absl::StatusOr<Peer> peer = co_await std::move(opening);
  co_return std::move(peer);
}

base::Awaitable<void> Check::Connect(const CheckCase& tried) {
  base::Awaitable<absl::StatusOr<Peer>> opening = Open(tried.row.role());
  const absl::StatusOr<Peer> peer = co_await std::move(opening);
  if (peer.ok() || absl::IsPermissionDenied(peer.status())) answered_ = true;
  if (peer.ok()) {
    entered_[tried.row.role()] = true;
    Add(tried, CHECK_FINDING_ALLOWED, "");
  } else {
    last_failure_ = peer.status();
    Add(tried,
        absl::IsDeadlineExceeded(peer.status()) ? CHECK_FINDING_UNANSWERED : CHECK_FINDING_REFUSED,
        peer.status().message());
  }
}

base::Awaitable<absl::Status> Check::TryLogin(const CheckCase& tried) {
  CheckCredentials as = credentials_.at(tried.row.role());
  as.login = tried.login;
  as.passcode = tried.passcode;
  base::Awaitable<absl::StatusOr<Peer>> opening = CheckPeer::Open(strand_, broker_, std::move(as));
  const absl::Status status = (co_await std::move(opening)).status();
  const bool refused = absl::IsPermissionDenied(status);
  if (!status.ok() && !refused && !absl::IsDeadlineExceeded(status)) co_return status;
  Add(tried,
      status.ok() ? CHECK_FINDING_ALLOWED
      : refused   ? CHECK_FINDING_REFUSED
                  : CHECK_FINDING_UNANSWERED,
      status.message());
  co_return absl::OkStatus();
}

base::Awaitable<absl::Status> Check::Try(const CheckCase& tried) {
  if (tried.row.verb() == CHECK_VERB_CONNECT) {
    base::Awaitable<absl::Status> trying = TryLogin(tried);
    absl::Status status = co_await std::move(trying);
    co_return status;
  }
  base::Awaitable<absl::StatusOr<Peer>> opening = Open(tried.row.role());
  absl::StatusOr<Peer> peer = co_await std::move(opening);
  // It could connect a moment ago: this says nothing about rights.
  if (!peer.ok()) {
    co_return absl::UnavailableError(absl::StrCat(
        RoleWord(tried.row.role()), " can't connect any more: ", peer.status().message()));
  }
  base::Awaitable<absl::Status> trying = tried.row.verb() == CHECK_VERB_SUBSCRIBE
                                             ? TrySubscribe(tried, *std::move(peer))
                                             : TrySend(tried, *std::move(peer));
  absl::Status status = co_await std::move(trying);
  co_return status;
}

base::Awaitable<absl::Status> Check::TrySubscribe(const CheckCase& tried, Peer peer) {
  base::Awaitable<CheckPeer::Answer> subscribing =
      peer->Subscribe(tried.row.destination(), tried.headers);
  const CheckPeer::Answer answer = co_await std::move(subscribing);
  std::optional<bool> arrived;
  const bool open = answer.kind == CheckAnswer::kReceipt || answer.kind == CheckAnswer::kNothing;
  if (open && tried.witness.has_value() && CanWitness()) {
    const bool needed = tried.row.expected() == CHECK_EXPECTATION_ALLOWED;
    base::Awaitable<absl::StatusOr<bool>> reaching = Reaches(
        *tried.witness, needed ? broker_.timeout : std::min(kSettle, broker_.timeout), peer.get());
    const absl::StatusOr<bool> reached = co_await std::move(reaching);
    if (!reached.ok()) co_return reached.status();
    arrived = *reached;
  }
  Add(tried, Conclude(answer.kind, arrived), answer.text);
  co_return absl::OkStatus();
}

base::Awaitable<absl::StatusOr<bool>> Check::Reaches(CheckWitness sender, absl::Duration limit,
                                                     CheckPeer* peer) {
  const std::string body = NewBody();
  base::Awaitable<absl::StatusOr<Peer>> opening = Open(sender.role);
  const absl::StatusOr<Peer> from = co_await std::move(opening);
  if (!from.ok()) co_return from.status();
  for (int i = 0; i < (IsQueue(sender.destination) ? kQueueProbes : 1); ++i) {
    base::Awaitable<CheckPeer::Answer> sending = (*from)->Send(sender.destination, body, {});
    const CheckPeer::Answer sent = co_await std::move(sending);
    // The sender's own right to it is a row of its own.
    if (sent.kind == CheckAnswer::kError || sent.kind == CheckAnswer::kClosed) break;
  }
  base::Awaitable<std::optional<size_t>> hearing = peer->Hear({body}, limit);
  const std::optional<size_t> heard = co_await std::move(hearing);
  co_return heard.has_value();
}

base::Awaitable<absl::StatusOr<Check::Peer>> Check::Listen(const CheckWitness& witness) {
  base::Awaitable<absl::StatusOr<Peer>> opening = Open(witness.role);
  absl::StatusOr<Peer> listener = co_await std::move(opening);
  if (!listener.ok()) co_return listener.status();
  base::Awaitable<CheckPeer::Answer> subscribing = (*listener)->Subscribe(witness.destination, {});
  const CheckPeer::Answer answer = co_await std::move(subscribing);
  // Whether it may is a row of its own; deaf it is no witness.
  if (answer.kind != CheckAnswer::kReceipt) co_return Peer();
  co_return std::move(listener);
}

base::Awaitable<absl::Status> Check::TrySend(const CheckCase& tried, Peer peer) {
  Peer listener;
  if (tried.witness.has_value() && CanWitness()) {
    base::Awaitable<absl::StatusOr<Peer>> listening = Listen(*tried.witness);
    absl::StatusOr<Peer> listens = co_await std::move(listening);
    if (!listens.ok()) co_return listens.status();
    listener = *std::move(listens);
  }
  const std::string body = NewBody();
  CheckPeer::Answer answer;
  const bool queue = tried.witness.has_value() && IsQueue(tried.witness->destination);
  for (int i = 0; i < (queue ? kQueueProbes : 1); ++i) {
    base::Awaitable<CheckPeer::Answer> sending =
        peer->Send(tried.row.destination(), body, tried.headers);
    answer = co_await std::move(sending);
    if (answer.kind != CheckAnswer::kReceipt) break;
  }
  std::optional<bool> arrived;
  if (listener != nullptr) {
    base::Awaitable<absl::StatusOr<std::optional<bool>>> coming = Came(tried, body, listener.get());
    const absl::StatusOr<std::optional<bool>> came = co_await std::move(coming);
    if (!came.ok()) co_return came.status();
    // A queue's owner may have had it in our place.
    if (came->value_or(false) || !queue) arrived = *came;
  }
  Add(tried, Conclude(answer.kind, arrived), answer.text);
  co_return absl::OkStatus();
}

// The rightful sender speaks after the one who is tried: once that is heard, what has not come
// before it does not come any more.
base::Awaitable<absl::StatusOr<std::optional<bool>>> Check::Came(const CheckCase& tried,
                                                                 std::string body,
                                                                 CheckPeer* listener) {
  const std::string fence = NewBody();
  if (tried.row.expected() != CHECK_EXPECTATION_ALLOWED) {
    base::Awaitable<absl::StatusOr<Peer>> opening = Open(RightfulSenderTo(tried.witness->role));
    const absl::StatusOr<Peer> from = co_await std::move(opening);
    if (!from.ok()) co_return from.status();
    for (int i = 0; i < (IsQueue(tried.witness->destination) ? kQueueProbes : 1); ++i) {
      base::Awaitable<CheckPeer::Answer> sending =
          (*from)->Send(tried.witness->destination, fence, {});
      const CheckPeer::Answer sent = co_await std::move(sending);
      // Its own right to it is a row of its own.
      if (sent.kind != CheckAnswer::kReceipt) co_return std::optional<bool>();
    }
  }
  base::Awaitable<std::optional<size_t>> hearing = listener->Hear({body, fence}, broker_.timeout);
  const std::optional<size_t> heard = co_await std::move(hearing);
  co_return std::optional<bool>(heard.has_value() && *heard == 0);
}

}  // namespace

base::Awaitable<absl::Status> RunCheck(base::Strand strand, CheckBroker broker, CheckNames names,
                                       std::map<CheckRole, CheckCredentials> credentials,
                                       BrokerCheck* check) {
  check->set_broker(broker.address);
  check->set_flavour(names.flavour);
  check->set_destination_prefix(names.prefix);
  check->set_collective(names.collective);
  Check run(strand, std::move(broker), std::move(credentials), check);
  base::Awaitable<absl::Status> running = run.Run(std::move(names));
  absl::Status status = co_await std::move(running);
  co_return status;
}

}  // namespace orch::bus
