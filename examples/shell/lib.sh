# SPDX-License-Identifier: Apache-2.0
# Sourced by the examples beside it. Needs buf and jq.
set -euo pipefail
[ $# -ge 4 ] || { echo "usage: $(basename "$0") SERVER CA CERT KEY …" >&2; exit 64; }
SERVER=$1 CA=$2 CERT=$3 KEY=$4
shift 4

# call SERVICE/METHOD JSON: the answers, one object after the other.
call() {
  buf curl --protocol grpc --reflect-protocol grpc-v1alpha --cacert "$CA" --cert "$CERT" --key "$KEY" --data "$2" "https://$SERVER/orch.v1.$1"
}

# follow NAME: prints each event once, to the last, which is the end of the job.
follow() {
  local after=0 line tries=0
  while [ "$tries" -lt 60 ]; do
    while IFS= read -r line; do
      tries=0
      after=$(jq -r '.sequence' <<<"$line")
      echo "$line"
      [ "$(jq 'has("finished")' <<<"$line")" = true ] && return 0
    done < <(call JobService/WatchJob "{\"name\": \"$1\", \"afterSequence\": \"$after\"}" 2>/dev/null | jq -c --unbuffered '.events[]?')
    echo "lost, going on after event $after" >&2
    tries=$((tries + 1))
    sleep 1
  done
  return 4
}
