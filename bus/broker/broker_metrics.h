// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/telemetry/metrics_page.h"
#include "bus/broker/broker.h"

namespace orch::bus {

// The families `broker_…` of orch-broker, and of a controller with the broker in its process. Pure.
void WriteBroker(const BrokerStatus& broker, base::MetricsPage* page);

}  // namespace orch::bus
