#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Follows a job to its end, however often the connection is lost.
# usage: follow.sh SERVER CA CERT KEY jobs/ULID
. "$(dirname "$0")/lib.sh"
state=$(follow "$1" | tee >(jq -r 'select(.node.updateTime) | "\(.sequence) \(.node.node) \(.node.state)"' >&2) | jq -r '.finished.state // empty')
echo "$1 $state"
[ "$state" = JOB_STATE_SUCCEEDED ] || exit 2
