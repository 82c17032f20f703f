// SPDX-License-Identifier: Apache-2.0
#include "api/states.h"

namespace orch::api {

bool IsTerminal(orch::v1::NodeState state) {
  switch (state) {
    case orch::v1::NODE_STATE_SUCCEEDED:
    case orch::v1::NODE_STATE_FAILED:
    case orch::v1::NODE_STATE_REFUSED:
    case orch::v1::NODE_STATE_DENIED:
    case orch::v1::NODE_STATE_TIMED_OUT:
    case orch::v1::NODE_STATE_NO_RESPONSE:
    case orch::v1::NODE_STATE_LOST:
    case orch::v1::NODE_STATE_CANCELLED:
    case orch::v1::NODE_STATE_SKIPPED:
    case orch::v1::NODE_STATE_EXPIRED:
      return true;
    case orch::v1::NODE_STATE_UNSPECIFIED:
    case orch::v1::NODE_STATE_PENDING:
    case orch::v1::NODE_STATE_SENT:
    case orch::v1::NODE_STATE_ACCEPTED:
    case orch::v1::NODE_STATE_WAITING:
    case orch::v1::NODE_STATE_RUNNING:
    case orch::v1::NodeState_INT_MIN_SENTINEL_DO_NOT_USE_:
    case orch::v1::NodeState_INT_MAX_SENTINEL_DO_NOT_USE_:
      return false;
  }
  return false;
}

bool IsEnd(orch::v1::JobState state) {
  switch (state) {
    case orch::v1::JOB_STATE_SUCCEEDED:
    case orch::v1::JOB_STATE_FAILED:
    case orch::v1::JOB_STATE_STOPPED:
    case orch::v1::JOB_STATE_CANCELLED:
      return true;
    case orch::v1::JOB_STATE_UNSPECIFIED:
    case orch::v1::JOB_STATE_PENDING_APPROVAL:
    case orch::v1::JOB_STATE_RUNNING:
    case orch::v1::JOB_STATE_PAUSED:
    case orch::v1::JOB_STATE_STOPPING:
    case orch::v1::JobState_INT_MIN_SENTINEL_DO_NOT_USE_:
    case orch::v1::JobState_INT_MAX_SENTINEL_DO_NOT_USE_:
      return false;
  }
  return false;
}

}  // namespace orch::api
