// SPDX-License-Identifier: Apache-2.0
#include "bus/client/client_metrics.h"

#include "bus/client/session.h"

namespace orch::bus {

void WriteClient(const ClientStatus& client, base::MetricsPage* page) {
  page->Gauge("bus_connected", "Whether there is a connection to a broker.")
      .Value(client.connected);
  page->Counter("bus_connects_total", "Connections to a broker that came so far as to be usable.")
      .Value(client.connects);
  page->Counter("bus_reconnects_total", "Of them, those after a loss.").Value(client.reconnects);
  page->Counter("bus_failovers_total", "Of them, those at another broker than the one lost.")
      .Value(client.failovers);
  page->Counter("bus_connect_failures_total", "Attempts that did not come so far.")
      .Value(client.failures);
  page->Counter("bus_faults_total", "Ends of connections, by what the broker did.");
  for (size_t fault = 0; fault < client.faults.size(); ++fault) {
    page->Value(client.faults[fault], {{"fault", FaultName(static_cast<Fault>(fault))}});
  }
  page->Counter("bus_frames_total", "STOMP frames.")
      .Value(client.frames_in, {{"direction", "in"}})
      .Value(client.frames_out, {{"direction", "out"}});
  page->Counter("bus_bytes_total", "Bytes of STOMP, without TLS.")
      .Value(client.bytes_in, {{"direction", "in"}})
      .Value(client.bytes_out, {{"direction", "out"}});
  page->Counter("bus_ignored_total", "What the broker sent that nobody had asked for.")
      .Value(client.ignored, {{"what", "message"}})
      .Value(client.stray_receipts, {{"what", "receipt"}});
}

}  // namespace orch::bus
