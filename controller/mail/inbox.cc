// SPDX-License-Identifier: Apache-2.0
#include "controller/mail/inbox.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/catalog.h"
#include "api/json.h"
#include "api/wire_text.h"
#include "base/ids.h"
#include "base/version.h"
#include "orch/bus/v1/envelope.pb.h"

namespace orch::controller {
namespace {

// Parses what a verified signer wrote: strictly, but for texts that are not UTF-8, which are made
// so, because how a node ended counts for more than how it says so. `*refused` says what is wrong
// with it.
template <typename Message>
bool ParseSigned(const std::string& payload, const trust::Peer& peer, Message* message,
                 RefusedEnvelope* refused) {
  refused->key = base::Hex(peer.key_id);
  refused->why = RefusedEnvelope::Why::kMalformed;
  if (api::ParseHealing(payload, message) == api::Parsed::kBroken) {
    refused->text = absl::StrCat("signed by ", peer.common_name, ": does not parse");
    return false;
  }
  if (message->protocol() == 0 || message->protocol() > static_cast<uint32_t>(base::kProtocol)) {
    refused->text =
        absl::StrCat("signed by ", peer.common_name, ": protocol ", message->protocol());
    return false;
  }
  if (const absl::Status known = api::RefuseUnknown(*message); !known.ok()) {
    refused->text = absl::StrCat("signed by ", peer.common_name, ": ", known.message());
    return false;
  }
  // It is shown to people: what one node can't be shown with would hide all others.
  if (const absl::Status shown = api::CheckPrintable(*message); !shown.ok()) {
    refused->text = absl::StrCat("signed by ", peer.common_name, ": ", shown.message());
    return false;
  }
  if (message->node() != peer.common_name || !base::IsIdentity(message->node())) {
    refused->why = RefusedEnvelope::Why::kWrongNode;
    refused->text = absl::StrCat("signed by ", peer.common_name, " in another's name");
    return false;
  }
  return true;
}

}  // namespace

Inbox::Inbox(boost::asio::io_context* io, base::Strand bus_strand, base::Strand home,
             std::shared_ptr<trust::Credentials> credentials, const base::Clock* clock,
             std::function<void(OpenedBatch)> on_batch, int threads)
    : io_(io),
      bus_strand_(std::move(bus_strand)),
      home_(std::move(home)),
      credentials_(std::move(credentials)),
      clock_(clock),
      on_batch_(std::move(on_batch)),
      workers_max_(threads > 0 ? threads : std::max<int>(1, std::thread::hardware_concurrency())) {}

void Inbox::OnDelivery(bool presence, std::string body) {
  ORCH_CHECK_ON(bus_strand_);
  const size_t unhandled = unhandled_.load(std::memory_order_relaxed);
  if (unhandled >= 2 * kPendingRepliesMax) {
    dropped_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  unhandled_.fetch_add(1, std::memory_order_relaxed);
  waiting_.push_back({presence, std::move(body)});
  // Too much is on its way: this strand lends a hand, and reads slower for it.
  if (unhandled >= kPendingRepliesMax) OpenParcel(TakeParcel());
  OpenSome();
}

Inbox::Parcel Inbox::TakeParcel() {
  Parcel parcel;
  parcel.ticket = next_ticket_++;
  while (!waiting_.empty() && parcel.arrived.size() < kOpenedAtOnceMax) {
    parcel.arrived.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  return parcel;
}

void Inbox::OpenParcel(const Parcel& parcel) {
  OpenedBatch batch;
  for (const Arrived& one : parcel.arrived) OpenInto(one, &batch);
  BringHome(parcel.ticket, std::move(batch), parcel.arrived.size());
}

void Inbox::OpenSome() {
  while (workers_ < workers_max_ && !waiting_.empty()) {
    ++workers_;
    boost::asio::post(*io_, [self = shared_from_this(), parcel = TakeParcel()] {
      self->OpenParcel(parcel);
      boost::asio::post(self->bus_strand_, [self] {
        --self->workers_;
        self->OpenSome();
      });
    });
  }
}

void Inbox::BringHome(uint64_t ticket, OpenedBatch batch, size_t count) {
  boost::asio::post(home_,
                    [self = shared_from_this(), ticket, batch = std::move(batch), count]() mutable {
                      self->early_.emplace(ticket, std::move(batch));
                      for (auto next = self->early_.begin();
                           next != self->early_.end() && next->first == self->next_home_;
                           next = self->early_.begin()) {
                        OpenedBatch due = std::move(next->second);
                        self->early_.erase(next);
                        ++self->next_home_;
                        self->on_batch_(std::move(due));
                      }
                      self->unhandled_.fetch_sub(count, std::memory_order_relaxed);
                    });
}

void Inbox::OpenInto(const Arrived& arrived, OpenedBatch* batch) const {
  RefusedEnvelope refused;
  refused.presence = arrived.presence;
  std::string payload;
  const auto domain = arrived.presence ? trust::Domain::kPresence : trust::Domain::kReply;
  auto peer =
      credentials_->Open(domain, arrived.body, clock_->Read().wall, &payload, &refused.refusal);
  if (!peer.ok()) {
    refused.text = std::string(peer.status().message());
    orch::bus::v1::Envelope envelope;
    orch::bus::v1::Presence claimed;
    if (refused.refusal == trust::Refusal::kUnknownKey && arrived.presence &&
        envelope.ParseFromString(arrived.body) && claimed.ParseFromString(envelope.payload()) &&
        base::IsIdentity(claimed.node())) {
      refused.claimed_node = claimed.node();
    }
    batch->refused.push_back(std::move(refused));
    return;
  }
  if (arrived.presence) {
    OpenedPresence opened;
    if (!ParseSigned(payload, *peer, &opened.presence, &refused)) {
      batch->refused.push_back(std::move(refused));
      return;
    }
    orch::bus::v1::Envelope envelope;
    if (envelope.ParseFromString(arrived.body)) {
      opened.chain.assign(envelope.certificate_chain().begin(), envelope.certificate_chain().end());
    }
    opened.peer = *std::move(peer);
    batch->presences.push_back(std::move(opened));
    return;
  }
  OpenedReply opened;
  if (!ParseSigned(payload, *peer, &opened.reply, &refused)) {
    batch->refused.push_back(std::move(refused));
    return;
  }
  opened.peer = *std::move(peer);
  batch->replies.push_back(std::move(opened));
}

}  // namespace orch::controller
