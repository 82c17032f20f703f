// SPDX-License-Identifier: Apache-2.0
#include "bus/client_metrics.h"

namespace orch::bus {

void WriteClient(const ClientStatus& client, base::MetricsPage* page) {
  page->Gauge("bus_connected", "Whether there is a connection to a broker.")
      .Value(client.connected);
  page->Counter("bus_connects_total", "Connections made to a broker; all but the first again.")
      .Value(client.connects);
  page->Counter("bus_frames_total", "STOMP frames.")
      .Value(client.frames_in, {{"direction", "in"}})
      .Value(client.frames_out, {{"direction", "out"}});
  page->Counter("bus_bytes_total", "Bytes of STOMP, without TLS.")
      .Value(client.bytes_in, {{"direction", "in"}})
      .Value(client.bytes_out, {{"direction", "out"}});
  page->Counter("bus_ignored_total",
                "Messages and receipts of the broker that were for nothing of ours.")
      .Value(client.ignored);
}

}  // namespace orch::bus
