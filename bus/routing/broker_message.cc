// SPDX-License-Identifier: Apache-2.0
#include "bus/routing/broker_message.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace orch::bus {
namespace {

// Compaction of an outbox moves the rest to the front once so many pieces before it are done.
constexpr size_t kDonePiecesMax = 1024;
// An empty outbox keeps room for so many pieces.
constexpr size_t kKeptPiecesMax = 4;

// Headers that mean something between one client and the broker only.
bool IsHopHeader(absl::string_view name) {
  static constexpr absl::string_view kNames[] = {
      "destination", "content-length", "message-id",  "subscription", "ack",
      "receipt",     "receipt-id",     "transaction", "redelivered",  "id",
      "selector",    "login",          "passcode",    "host",         "accept-version",
      "version",     "session",        "server",      "heart-beat",   "message"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

bool NeedsEscape(absl::string_view text) {
  return text.find_first_of("\\\n\r:") != absl::string_view::npos;
}

std::string EncodeHead(const std::vector<Header>& headers, StompVersion version, size_t body) {
  std::string out;
  size_t size = body + 1;
  for (const Header& header : headers) size += header.name.size() + header.value.size() + 8;
  out.reserve(size);
  for (const Header& header : headers) {
    // 1.0 can't express such a name.
    if (version == StompVersion::k10 && NeedsEscape(header.name)) continue;
    AppendHeader(header.name, header.value, version, &out);
  }
  out.push_back('\n');
  return out;
}

}  // namespace

Message::Message(Frame send, absl::Time expires, Meter* meter) : meter_(meter), expires_(expires) {
  std::vector<Header> headers;
  headers.reserve(send.headers.size() + 1);
  headers.push_back({"destination", *send.Find("destination")});
  headers.push_back({"content-length", absl::StrCat(send.body.size())});
  for (Header& header : send.headers) {
    if (IsHopHeader(header.name)) continue;
    const auto same = [&header](const Header& other) { return other.name == header.name; };
    if (std::any_of(headers.begin(), headers.end(), same)) continue;
    headers.push_back(std::move(header));
  }
  const bool special = std::any_of(headers.begin(), headers.end(), [](const Header& header) {
    return NeedsEscape(header.name) || NeedsEscape(header.value);
  });
  tail_ = EncodeHead(headers, StompVersion::k12, send.body.size());
  body_at_ = tail_.size();
  tail_.append(send.body);
  tail_.push_back('\0');
  size_t kept = 0;
  if (special) {
    for (const Header& header : headers) kept += header.name.size() + header.value.size();
    special_headers_ = std::move(headers);
  }
  bytes_ = sizeof(Message) + tail_.size() + kept;
  Count(bytes_);
}

void Message::Count(size_t bytes) {
  counted_ += bytes;
  meter_->bytes += bytes;
}

const std::string& Message::tail(StompVersion version) {
  if (special_headers_.empty() || version == StompVersion::k12) return tail_;
  std::string& tail = older_tails_[version == StompVersion::k10 ? 0 : 1];
  if (tail.empty()) {
    tail = EncodeHead(special_headers_, version, tail_.size() - body_at_);
    tail.append(tail_, body_at_);
    Count(tail.size());
  }
  return tail;
}

Outbox::~Outbox() {
  for (size_t i = front_; i < pieces_.size(); ++i) meter_->bytes -= Cost(pieces_[i]);
}

void Outbox::Add(std::string own, std::shared_ptr<const std::string> shared) {
  pieces_.push_back({std::move(own), std::move(shared)});
  const Piece& piece = pieces_.back();
  bytes_ += piece.own.size() + (piece.shared == nullptr ? 0 : piece.shared->size());
  meter_->bytes += Cost(piece);
}

size_t Outbox::Gather(absl::string_view* out, size_t max) const {
  size_t count = 0;
  size_t skip = written_;
  for (size_t i = front_; i < pieces_.size() && count < max; ++i) {
    absl::string_view own = pieces_[i].own;
    const size_t of_own = std::min(skip, own.size());
    own.remove_prefix(of_own);
    skip -= of_own;
    if (!own.empty()) out[count++] = own;
    if (pieces_[i].shared != nullptr && count < max) {
      absl::string_view shared = *pieces_[i].shared;
      shared.remove_prefix(skip);
      if (!shared.empty()) out[count++] = shared;
    }
    skip = 0;
  }
  return count;
}

void Outbox::Release(Piece* piece) {
  meter_->bytes -= Cost(*piece);
  // Assigning an empty one would keep the string's memory.
  const Piece gone = std::move(*piece);
}

size_t Outbox::Consume(size_t size) {
  bytes_ -= size;
  written_ += size;
  size_t frames = 0;
  while (front_ < pieces_.size()) {
    Piece& piece = pieces_[front_];
    const size_t whole = piece.own.size() + (piece.shared == nullptr ? 0 : piece.shared->size());
    if (written_ < whole) break;
    written_ -= whole;
    Release(&piece);
    ++front_;
    ++frames;
  }
  if (front_ == pieces_.size()) {
    front_ = 0;
    if (pieces_.capacity() > kKeptPiecesMax) {
      pieces_ = std::vector<Piece>();
    } else {
      pieces_.clear();
    }
  } else if (front_ > kDonePiecesMax && front_ > pieces_.size() / 2) {
    pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<std::ptrdiff_t>(front_));
    front_ = 0;
  }
  return frames;
}

void Outbox::DropNotBegun() {
  const size_t keep = front_ + (written_ > 0 ? 1 : 0);
  while (pieces_.size() > keep) {
    const Piece& piece = pieces_.back();
    bytes_ -= piece.own.size() + (piece.shared == nullptr ? 0 : piece.shared->size());
    meter_->bytes -= Cost(piece);
    pieces_.pop_back();
  }
}

}  // namespace orch::bus
