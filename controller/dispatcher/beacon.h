// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "base/clock.h"
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

// A node that asks for the lists gets them at most this often.
inline constexpr absl::Duration kCrlPause = absl::Minutes(1);
// Nodes that are sent the lists one by one at each beacon; more of them, and everybody gets them.
inline constexpr size_t kBehindMax = 50;

// Which nodes get the revocation lists because they said that they are behind. Pure. What a node
// can cause is one copy a minute, to itself.
class CrlAsks {
 public:
  void OnBehind(const std::string& node, const std::string& collective, base::Now now);
  // The nodes to send them to now, by collective. More than kBehindMax: everybody is meant.
  std::map<std::string, std::vector<std::string>> Take(base::Now now);

 private:
  std::map<std::string, std::string> waiting_;                 // node → collective
  absl::flat_hash_map<std::string, absl::Duration> answered_;  // node → when, steady
};

// Tells every node of every collective that this controller is there: on each connect and every
// interval; and the CA's revocation lists, on each connect, when they change, and hourly; and to
// nodes that say that they are behind.
//
// Lives on: the dispatcher's strand. Its owner keeps it until Stop.
class Beacon : public std::enable_shared_from_this<Beacon> {
 public:
  explicit Beacon(DispatcherContext* context);
  void Start();
  void Stop();
  void OnConnected();
  void OnCrlChanged();
  // A verified presence says that the node lacks a list of ours.
  void OnBehind(const std::string& node,
                const google::protobuf::RepeatedPtrField<std::string>& collectives, base::Now now);
  uint64_t sequence() const { return sequence_; }

 private:
  void Tick();
  void SendBeacons();
  void SendCrls();
  void AnswerBehind(base::Now now);
  void SignAndSend(orch::bus::v1::Request request);

  DispatcherContext* const context_;
  base::Timer timer_;
  const absl::Time start_time_;
  uint64_t sequence_ = 0;
  std::vector<std::pair<std::string, std::string>> crl_numbers_;  // as they were sent last
  absl::Duration crls_sent_ = -absl::InfiniteDuration();
  CrlAsks asks_;
  bool stopped_ = false;
};

}  // namespace orch::controller
