// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/strand.h"
#include "base/timer.h"
#include "controller/context/dispatcher_context.h"
#include "controller/mail/outbox.h"

namespace orch::controller {

// Bytes of a CRL in one message.
inline constexpr size_t kCrlPartBytes = 192 << 10;
// Revocation lists are sent again so often, for nodes that were away.
inline constexpr absl::Duration kCrlInterval = absl::Hours(1);

// A CRL as the messages that carry it. Pure.
std::vector<orch::bus::v1::CrlUpdate> CrlParts(const std::string& der);

// Tells every node of every collective that this controller is there: on each connect and every
// interval; and the CA's revocation lists, on each connect, when they change, and hourly.
//
// Lives on: the dispatcher's strand. Its owner keeps it until Stop.
class Beacon : public std::enable_shared_from_this<Beacon> {
 public:
  explicit Beacon(DispatcherContext* context);
  void Start();
  void Stop();
  void OnConnected();
  void OnCrlChanged();
  uint64_t sequence() const { return sequence_; }

 private:
  void Tick();
  void SendBeacons();
  void SendCrls();
  void SignAndSend(orch::bus::v1::Request request);

  DispatcherContext* const context_;
  base::Timer timer_;
  const absl::Time start_time_;
  uint64_t sequence_ = 0;
  std::vector<std::pair<std::string, std::string>> crl_numbers_;  // as they were sent last
  absl::Duration crls_sent_ = -absl::InfiniteDuration();
  bool stopped_ = false;
};

}  // namespace orch::controller
