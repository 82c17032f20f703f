// SPDX-License-Identifier: Apache-2.0
#include "bus/broker/broker_metrics.h"

namespace orch::bus {

void WriteBroker(const BrokerStatus& broker, base::MetricsPage* page) {
  page->Gauge("broker_connections", "Connections now, by what their certificate is.");
  for (const auto& [peer, count] : broker.connections_by) page->Value(count, {{"peer", peer}});
  page->Gauge("broker_connections_max", "Connections that may be there at once.")
      .Value(broker.connections_max);
  page->Counter("broker_connections_total", "Connections that came to a session.")
      .Value(broker.connections_total);
  page->Counter("broker_handshakes_refused_total", "TLS handshakes that failed or were refused.")
      .Value(broker.handshakes_refused);
  page->Gauge("broker_handshakes_pending",
              "Connections whose TLS handshake has not ended, or not begun.")
      .Value(broker.handshakes_pending);
  page->Counter("broker_refused_total", "Connections that the broker ended, by reason.");
  for (const auto& [reason, count] : broker.refused_by) page->Value(count, {{"reason", reason}});
  page->Counter("broker_slow_consumers_total",
                "Connections dropped because they read too slowly; what waited for them is lost.")
      .Value(broker.slow_consumers_dropped);
  page->Counter("broker_frames_total", "STOMP frames.")
      .Value(broker.frames_in, {{"direction", "in"}})
      .Value(broker.frames_out, {{"direction", "out"}});
  page->Counter("broker_bytes_total", "Bytes of STOMP, without TLS.")
      .Value(broker.bytes_in, {{"direction", "in"}})
      .Value(broker.bytes_out, {{"direction", "out"}});
  page->Counter("broker_messages_dropped_total", "Messages that no one got, by reason.")
      .Value(broker.expired, {{"reason", "expired"}})
      .Value(broker.discarded, {{"reason", "refused"}});
  page->Gauge("broker_held_bytes", "Bytes of messages and frames in memory.")
      .Value(broker.bytes_held);
  page->Gauge("broker_held_bytes_max", "The limit of it (total_bytes).")
      .Value(broker.bytes_held_max);
  page->Gauge("broker_destinations", "Destinations in use, by what the bus uses them for.");
  for (const auto& of : broker.destinations_by) {
    page->Value(of.destinations, {{"kind", of.kind}});
  }
  page->Gauge("broker_subscriptions", "Subscriptions, by the kind of destination.");
  for (const auto& of : broker.destinations_by) {
    page->Value(of.subscriptions, {{"kind", of.kind}});
  }
  page->Gauge("broker_queue_messages", "Messages that wait in queues, by the kind of destination.");
  for (const auto& of : broker.destinations_by) page->Value(of.messages, {{"kind", of.kind}});
  page->Gauge("broker_queue_bytes",
              "Bytes that wait in queues or for an acknowledgement, by the kind of destination.");
  for (const auto& of : broker.destinations_by) page->Value(of.bytes, {{"kind", of.kind}});
}

}  // namespace orch::bus
