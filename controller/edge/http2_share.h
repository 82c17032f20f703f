// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"

namespace orch::controller {

// What a caller's frames cost beyond their bytes. Each kind has a budget of its own.
enum class Http2Cost : uint8_t {
  kHeaders,    // HEADERS: a new call, mostly
  kResets,     // calls given up: RST_STREAM, or the connection's end; or reset for a client's fault
  kSettings,   // SETTINGS, and acknowledgements that nobody asked for
  kPings,      // PING and its acknowledgement
  kEmptyData,  // DATA that carries nothing and ends nothing
  kSmallData,  // DATA of less than kSmallDataBytes, or padded, that ends nothing
  kPriorities,    // PRIORITY
  kUpdates,       // WINDOW_UPDATE
  kSmallUpdates,  // those of less than kSmallUpdateBytes
  kOthers,        // GOAWAY, and types that nobody here knows
};
inline constexpr size_t kHttp2Costs = 10;

// How many frames of a kind may come at once, and how many each second for ever.
struct Http2Rate {
  double burst = 0;
  double per_second = 0;
};

// Far above what clients do that were tried (docs/adr/0014): Go's sends a PING for each answer,
// Node's an empty DATA and a small one for each call, and a caller that gives up resets all its
// calls.
constexpr Http2Rate RateOf(Http2Cost cost) {
  switch (cost) {
    case Http2Cost::kHeaders:
      return {10'000, 4'000};
    case Http2Cost::kResets:
      return {1'000, 200};
    case Http2Cost::kSettings:
      return {100, 5};
    case Http2Cost::kPings:
      return {4'000, 4'000};
    case Http2Cost::kEmptyData:
      return {100, 10};
    case Http2Cost::kSmallData:
      return {10'000, 4'000};
    case Http2Cost::kPriorities:
      return {200, 10};
    case Http2Cost::kUpdates:
      return {10'000, 8'000};
    case Http2Cost::kSmallUpdates:
      return {4'000, 1'000};
    case Http2Cost::kOthers:
      return {100, 10};
  }
  return {};
}

// What all connections of one caller draw on together, so that a second connection buys nothing.
//
// Pure; not thread-safe: whoever shares it between strands locks it.
class Http2Share {
 public:
  // Calls under way over all connections of one caller.
  static constexpr size_t kOpenStreamsMax = 2048;

  // False: the budget is spent.
  bool Take(Http2Cost cost, absl::Duration now) {
    if (!HasLeft(cost, now)) return false;
    buckets_[static_cast<size_t>(cost)].spent += 1;
    return true;
  }
  // What has happened already is owed, budget or not.
  void Owe(Http2Cost cost, size_t count, absl::Duration now) {
    (void)HasLeft(cost, now);
    buckets_[static_cast<size_t>(cost)].spent += static_cast<double>(count);
  }
  bool HasLeft(Http2Cost cost, absl::Duration now) {
    Bucket& bucket = buckets_[static_cast<size_t>(cost)];
    const Http2Rate rate = RateOf(cost);
    const double back = absl::ToDoubleSeconds(now - bucket.at) * rate.per_second;
    if (back > 0) {
      bucket.spent = bucket.spent > back ? bucket.spent - back : 0;
      bucket.at = now;
    }
    return bucket.spent + 1 <= rate.burst;
  }
  bool OpenStream() {
    if (open_streams_ >= kOpenStreamsMax) return false;
    ++open_streams_;
    return true;
  }
  void CloseStreams(size_t count) { open_streams_ -= count; }
  size_t open_streams() const { return open_streams_; }

 private:
  struct Bucket {
    double spent = 0;
    absl::Duration at;
  };
  std::array<Bucket, kHttp2Costs> buckets_;
  size_t open_streams_ = 0;
};

}  // namespace orch::controller
