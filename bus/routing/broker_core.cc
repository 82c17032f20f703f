// SPDX-License-Identifier: Apache-2.0

// The broker must survive any client. Two rules keep it so. Whatever goes wrong with a client ends
// in Fail(), which sends one ERROR, takes its subscriptions away and marks the session kEnded; the
// session object stays until the shell calls Close, so nothing here deletes what a caller still
// walks over. And whatever is held is counted in meter_ when it is taken and when it is let go;
// only so can KeepWithinTotal() find the connection that costs most. Ending a session gives its
// messages back to queues, which can make the next consumer slow: the loops that drop sessions
// therefore run until nothing is left to drop, instead of recursing.

#include "bus/routing/broker_core.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace orch::bus {
namespace {

FrameLimits LimitsOf(const BrokerBounds& bounds) {
  FrameLimits out;
  out.body_bytes = bounds.body_bytes;
  out.utf8_headers = true;
  return out;
}

// What a session holds in the way of memory that dropping it gives back.
size_t HeldBy(const BrokerSession& session) {
  return session.outbox.bytes() + session.counted_input;
}

absl::Status TooLate(absl::string_view what, absl::Duration limit) {
  return absl::DeadlineExceededError(absl::StrCat(what, absl::FormatDuration(limit)));
}

BrokerRefusal RefusalOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kPermissionDenied:
      return BrokerRefusal::kDenied;
    case absl::StatusCode::kResourceExhausted:
      return BrokerRefusal::kFull;
    case absl::StatusCode::kAborted:
      return BrokerRefusal::kSlow;
    case absl::StatusCode::kDeadlineExceeded:
      return BrokerRefusal::kTimeout;
    case absl::StatusCode::kUnavailable:
      return BrokerRefusal::kConnections;
    default:
      return BrokerRefusal::kMalformed;
  }
}

}  // namespace

absl::string_view BrokerRefusalName(BrokerRefusal refusal) {
  switch (refusal) {
    case BrokerRefusal::kMalformed:
      return "malformed";
    case BrokerRefusal::kDenied:
      return "denied";
    case BrokerRefusal::kFull:
      return "full";
    case BrokerRefusal::kSlow:
      return "slow";
    case BrokerRefusal::kTimeout:
      return "timeout";
    case BrokerRefusal::kConnections:
      return "connections";
  }
  return "";
}

BrokerCore::BrokerCore(BrokerBounds bounds, std::string prefix)
    : bounds_(bounds), prefix_(std::move(prefix)), router_(bounds_, &meter_, &ready_) {}

BrokerCore::~BrokerCore() = default;

BrokerSession* BrokerCore::Open(BrokerPeer peer, std::string where, BrokerLink* link,
                                base::Now now) {
  const bool node = peer.kind == BrokerPeer::Kind::kNode;
  const auto of_node = of_node_.find(peer.name);
  const size_t others = node && of_node != of_node_.end() ? of_node->second : 0;
  if (sessions_.size() >= bounds_.connections || others >= 2 * kConnectionsOfNodeMax) {
    CountRefusal(BrokerRefusal::kConnections);
    return nullptr;
  }
  if (others >= kConnectionsOfNodeMax) EndLongestSilent(peer.name, now);
  if (node) ++of_node_[peer.name];
  auto session = std::make_unique<BrokerSession>(std::move(peer), std::move(where), link,
                                                 LimitsOf(bounds_), &meter_);
  session->opened = now.steady;
  session->last_in = now.steady;
  session->last_out = now.steady;
  BrokerSession* out = session.get();
  sessions_.emplace(out, std::move(session));
  ++counters_.sessions_total;
  Schedule(out);
  return out;
}

void BrokerCore::EndLongestSilent(const std::string& node, base::Now now) {
  BrokerSession* longest = nullptr;
  for (const auto& [session, owned] : sessions_) {
    if (session->peer.kind != BrokerPeer::Kind::kNode || session->peer.name != node ||
        session->state == BrokerSession::State::kEnded) {
      continue;
    }
    if (longest == nullptr || session->last_in < longest->last_in) longest = session;
  }
  if (longest == nullptr) return;
  Fail(longest, nullptr,
       absl::UnavailableError(absl::StrCat("a newer connection of ", node,
                                           " took its place: it has more than ",
                                           kConnectionsOfNodeMax)),
       now);
}

void BrokerCore::Evict(BrokerSession* session, const absl::Status& why, base::Now now) {
  Fail(session, nullptr, why, now);
}

void BrokerCore::OnBytes(BrokerSession* session, absl::string_view bytes, base::Now now) {
  counters_.bytes_in += bytes.size();
  session->last_in = now.steady;
  if (session->state == BrokerSession::State::kEnded) return;
  bool completed = false;
  // CONNECT decides how the bytes behind it are to be read, so until then one frame at a time.
  while (!bytes.empty() && session->state == BrokerSession::State::kNew) {
    const size_t nul = bytes.find('\0');
    const size_t size = nul == absl::string_view::npos ? bytes.size() : nul + 1;
    frames_.clear();
    const absl::Status status = session->decoder.Feed(bytes.substr(0, size), &frames_);
    bytes.remove_prefix(size);
    completed = completed || !frames_.empty();
    for (Frame& frame : frames_) OnFrame(session, std::move(frame), now);
    if (!status.ok()) Fail(session, nullptr, base::Annotate(status, "malformed frame"), now);
  }
  if (!bytes.empty() && session->state == BrokerSession::State::kOpen) {
    frames_.clear();
    const absl::Status status = session->decoder.Feed(bytes, &frames_);
    completed = completed || !frames_.empty();
    for (Frame& frame : frames_) {
      if (session->state != BrokerSession::State::kOpen) break;
      OnFrame(session, std::move(frame), now);
    }
    if (!status.ok()) Fail(session, nullptr, base::Annotate(status, "malformed frame"), now);
  }
  frames_.clear();
  CountInput(session);
  if (session->decoder.pending_bytes() == 0) {
    session->frame_begun = absl::InfiniteDuration();
  } else if (completed || session->frame_begun == absl::InfiniteDuration()) {
    // Each frame has its own time: a busy publisher may end every read of ours within one.
    session->frame_begun = now.steady;
    Schedule(session);
  }
  DropSlow(now);
  KeepWithinTotal(now);
}

void BrokerCore::OnWritten(BrokerSession* session, size_t size, base::Now now) {
  if (size > 0) {
    counters_.bytes_out += size;
    counters_.frames_out += session->outbox.Consume(size);
    session->last_out = now.steady;
    session->stalled = absl::InfiniteDuration();
  }
  if (!session->outbox.empty() && session->stalled == absl::InfiniteDuration()) {
    session->stalled = now.steady;
    Schedule(session);
  }
  router_.OnRoom(session, now);
}

void BrokerCore::Close(BrokerSession* session, base::Now now) {
  session->state = BrokerSession::State::kEnded;
  router_.UnsubscribeAll(session, now);
  meter_.bytes -= session->counted_input;
  ready_.Remove(session);
  checks_.erase({session->check_at, session});
  if (const auto node = of_node_.find(session->peer.name);
      session->peer.kind == BrokerPeer::Kind::kNode && --node->second == 0) {
    of_node_.erase(node);
  }
  sessions_.erase(session);
  DropSlow(now);
}

void BrokerCore::Reply(BrokerSession* session, const Frame& frame) {
  session->outbox.Add(Encode(frame, session->version));
  ready_.Add(session);
  router_.CheckSlow(session);
}

void BrokerCore::CountRefusal(BrokerRefusal refusal) {
  ++counters_.refused;
  ++counters_.refused_by[static_cast<size_t>(refusal)];
}

void BrokerCore::Fail(BrokerSession* session, const std::string* receipt,
                      const absl::Status& status, base::Now now) {
  if (session->state == BrokerSession::State::kEnded) return;
  const absl::string_view why = status.message();
  Note(*session, true, absl::StrCat("refused: ", why));
  CountRefusal(RefusalOf(status));
  Frame error{"ERROR", {}, absl::StrCat(why, "\n")};
  // STOMP 1.2, "Protocol Negotiation": says what would have been understood.
  if (session->state == BrokerSession::State::kNew) error.Add("version", "1.0,1.1,1.2");
  error.Add("message", why);
  if (receipt != nullptr) error.Add("receipt-id", *receipt);
  error.Add("content-type", "text/plain");
  Reply(session, error);
  End(session, now);
}

void BrokerCore::End(BrokerSession* session, base::Now now) {
  session->state = BrokerSession::State::kEnded;
  session->ended = now.steady;
  router_.UnsubscribeAll(session, now);
  session->transactions.Clear();
  ready_.Add(session);
  Schedule(session);
}

void BrokerCore::EndAll(base::Now now) {
  // Ending one may make others ready, but never adds or removes one.
  for (const auto& [session, owned] : sessions_) {
    if (session->state != BrokerSession::State::kEnded) End(session, now);
  }
}

void BrokerCore::DropSlow(base::Now now) {
  // Dropping one gives its messages back to queues, which may make the next one slow; each is
  // dropped once, so this ends.
  for (;;) {
    const std::vector<BrokerSession*> slow = router_.TakeSlow();
    if (slow.empty()) return;
    for (BrokerSession* session : slow) {
      if (session->state == BrokerSession::State::kEnded) continue;
      ++counters_.slow_consumers_dropped;
      session->outbox.DropNotBegun();
      Fail(session, nullptr,
           absl::AbortedError(absl::StrCat("slow consumer: more than ", bounds_.consumer_bytes,
                                           " bytes waited to be read (consumer_bytes)")),
           now);
    }
  }
}

void BrokerCore::KeepWithinTotal(base::Now now) {
  while (meter_.bytes > bounds_.total_bytes) {
    BrokerSession* largest = nullptr;
    for (const auto& [session, owned] : sessions_) {
      if (session->state == BrokerSession::State::kEnded) continue;
      if (largest == nullptr || HeldBy(*session) > HeldBy(*largest)) largest = session;
    }
    if (largest == nullptr || HeldBy(*largest) == 0) return;
    if (!largest->outbox.empty()) ++counters_.slow_consumers_dropped;
    largest->outbox.DropNotBegun();
    Fail(largest, nullptr,
         absl::ResourceExhaustedError(
             absl::StrCat("the broker holds more than ", bounds_.total_bytes,
                          " bytes (total_bytes), most of them for this connection")),
         now);
    // Assigning a new one would keep the strings' memory.
    Decoder empty;
    std::swap(largest->decoder, empty);
    CountInput(largest);
    DropSlow(now);
  }
}

void BrokerCore::CountInput(BrokerSession* session) {
  size_t held = session->decoder.pending_bytes();
  held += session->transactions.bytes();
  meter_.bytes = meter_.bytes + held - session->counted_input;
  session->counted_input = held;
}

void BrokerCore::Note(const BrokerSession& session, bool warning, std::string text) {
  if (notes_.size() >= kNotesMax) return;
  notes_.push_back({warning,
                    session.peer.name.empty() ? session.where
                                              : absl::StrCat(session.peer.name, "@", session.where),
                    std::move(text)});
}

BrokerCounters BrokerCore::counters() const {
  BrokerCounters out = counters_;
  out.expired = router_.expired();
  out.discarded = router_.discarded();
  out.bytes_held = meter_.bytes;
  return out;
}

std::array<uint64_t, 4> BrokerCore::PeerCensus() const {
  std::array<uint64_t, 4> out{};
  for (const auto& [session, owned] : sessions_) ++out[static_cast<size_t>(session->peer.kind)];
  return out;
}

absl::Duration BrokerCore::NextCheck() const {
  absl::Duration next = router_.HoldsMessages() ? next_expiry_ : absl::InfiniteDuration();
  if (!checks_.empty()) next = std::min(next, checks_.begin()->first);
  return next;
}

void BrokerCore::OnTime(base::Now now) {
  while (!checks_.empty() && checks_.begin()->first <= now.steady) {
    BrokerSession* session = checks_.begin()->second;
    checks_.erase(checks_.begin());
    session->check_at = absl::InfiniteDuration();
    CheckTimes(session, now);
    Schedule(session);
  }
  if (next_expiry_ <= now.steady) {
    router_.Expire(now);
    next_expiry_ = now.steady + kExpiryInterval;
  }
}

absl::Duration BrokerCore::NextCheckOf(const BrokerSession& session) const {
  if (session.overdue) return absl::InfiniteDuration();
  if (session.state == BrokerSession::State::kEnded) return session.ended + kEndTimeMax;
  // Additions to InfiniteDuration stay infinite.
  absl::Duration next = session.frame_begun + kFrameTimeMax;
  next = std::min(next, session.stalled + kStallTimeMax);
  if (session.state == BrokerSession::State::kNew) {
    next = std::min(next, session.opened + kConnectTimeMax);
  }
  if (session.beat_in > absl::ZeroDuration()) {
    next = std::min(next, session.last_in + 2 * session.beat_in);
  }
  if (session.beat_out > absl::ZeroDuration()) {
    next = std::min(next, session.last_out + session.beat_out / 2);
  }
  return next;
}

void BrokerCore::Schedule(BrokerSession* session) {
  const absl::Duration next = NextCheckOf(*session);
  // A check that comes too early only looks again, so later times don't move it.
  if (next >= session->check_at) return;
  checks_.erase({session->check_at, session});
  session->check_at = next;
  checks_.insert({next, session});
}

void BrokerCore::CheckTimes(BrokerSession* session, base::Now now) {
  const auto over = [now](absl::Duration since, absl::Duration limit) {
    return now.steady >= since + limit;
  };
  if (session->state == BrokerSession::State::kEnded) {
    if (over(session->ended, kEndTimeMax)) {
      session->overdue = true;
      ready_.Add(session);
    }
    return;
  }
  if (session->state == BrokerSession::State::kNew && over(session->opened, kConnectTimeMax)) {
    Fail(session, nullptr, TooLate("no CONNECT frame within ", kConnectTimeMax), now);
  } else if (over(session->frame_begun, kFrameTimeMax)) {
    Fail(session, nullptr, TooLate("frame not complete within ", kFrameTimeMax), now);
  } else if (over(session->stalled, kStallTimeMax)) {
    ++counters_.slow_consumers_dropped;
    session->outbox.DropNotBegun();
    Fail(session, nullptr,
         absl::AbortedError(
             absl::StrCat("slow consumer: nothing read for ", absl::FormatDuration(kStallTimeMax))),
         now);
  } else if (session->beat_in > absl::ZeroDuration() &&
             over(session->last_in, 2 * session->beat_in)) {
    Fail(session, nullptr,
         absl::DeadlineExceededError(absl::StrCat("no heart-beat within ",
                                                  absl::FormatDuration(2 * session->beat_in),
                                                  ", twice what was agreed")),
         now);
  } else if (session->beat_out > absl::ZeroDuration() &&
             over(session->last_out, session->beat_out / 2)) {
    session->last_out = now.steady;
    // What waits already proves as much as a heart-beat.
    if (session->outbox.empty()) session->outbox.Add("\n");
    ready_.Add(session);
  }
}

}  // namespace orch::bus
