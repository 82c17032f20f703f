// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/telemetry/metrics_page.h"
#include "bus/client/client.h"

namespace orch::bus {

// The families `bus_…` of whoever has a client: controller and node agent. Pure.
void WriteClient(const ClientStatus& client, base::MetricsPage* page);

}  // namespace orch::bus
