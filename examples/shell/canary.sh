#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs Puppet on 10 % of the nodes, waits, and only if all succeeded on the others.
# usage: canary.sh SERVER CA CERT KEY FACT=VALUE...
. "$(dirname "$0")/lib.sh"
spec=$(jq -cn '{target: {facts: $ARGS.positional}, action: {puppetRun: {}}, reason: "canary"}' --args "$@")

# run_and_gate SPEC: prints the nodes that were asked; fails unless each of them succeeded.
run_and_gate() {
  local name events
  name=$(call JobService/CreateJob "$(jq -c '{spec: ., idempotencyKey: $key}' --arg key "$(cat /proc/sys/kernel/random/uuid)" <<<"$1")" | jq -r .job.name)
  events=$(follow "$name")
  echo "$name $(jq -r '.finished.state // empty' <<<"$events")" >&2
  jq -r '.started.nodes[]?' <<<"$events"
  [ "$(jq -r '.finished.state // empty' <<<"$events")" = JOB_STATE_SUCCEEDED ]
}

everybody=$(call JobService/CreateJob "$(jq -c '{spec: ., validateOnly: true}' <<<"$spec")" | jq -r '.nodes[]?')
first=$(run_and_gate "$(jq -c '.rollout.limit.percent = 10' <<<"$spec")") || { echo "the canary did not succeed: the others are left alone" >&2; exit 2; }
others=$(comm -23 <(sort <<<"$everybody") <(sort <<<"$first"))
[ -n "$others" ] || exit 0
run_and_gate "$(jq -c '.nodes = ($nodes | split("\n")) | .expectNodes = (.nodes | length)' --arg nodes "$others" <<<"$spec")" >/dev/null || exit 2
