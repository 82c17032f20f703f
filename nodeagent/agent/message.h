// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "nodeagent/agent/replies.h"
#include "orch/bus/v1/request.pb.h"
#include "trust/identity.h"

namespace orch::nodeagent {

// One request on its way up the ladder. What is not known yet is empty.
struct Message {
  std::string collective;  // of the destination it came on
  trust::Peer signer;
  std::string digest;  // SHA-256 of the payload
  orch::bus::v1::Request request;
  base::Now now;                       // when it came
  std::shared_ptr<Exchange> exchange;  // null before the signature held
};
using MessagePtr = std::shared_ptr<Message>;

}  // namespace orch::nodeagent
