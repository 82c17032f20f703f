#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# run_test.sh RUN: malformed files and wrong calls end with a clear error and the right exit code.
set -uo pipefail
run=$1
failures=0

# expect EXIT PATTERN ARGUMENT...: the call exits so and says so.
expect() {
  local code=$1 pattern=$2 out actual
  shift 2
  out=$("$run" "$@" 2>&1)
  actual=$?
  if [[ $actual -ne $code || ! $out =~ $pattern ]]; then
    printf 'run %s: exit %s, expected %s and /%s/; it said:\n%s\n' "$*" "$actual" "$code" "$pattern" "$out"
    failures=$((failures + 1))
  fi
}

file=$TEST_TMPDIR/cases.jsonl
write() { printf '%b\n' "$@" >"$file"; }
good='{"id":"g","node":{"facts":{"a":"1"},"classes":[],"actions":[],"identity":"n"},"target":{"facts":["a=1"]},"expect":true}'

expect 64 usage
expect 64 usage targets
expect 64 usage gargets "$file"
expect 64 usage targets a b
expect 64 "can't be read" targets "$TEST_TMPDIR/none"
expect 64 "can't be read" targets "$TEST_TMPDIR"
: >"$file"
expect 64 empty targets "$file"
write "$good"
expect 0 "1 passed, 0 failed" targets "$file"
write "$good" '' "${good/true/false}" "${good/true/\"invalid\"}"
expect 1 "g.*1 passed, 2 failed" targets "$file"
write '{"id":' '[]' 'null' '7' '\0377\0376' '{"id":7}' "$good"
expect 1 "line 1.*1 passed, 6 failed" targets "$file"
write '{"id":"x","node":[],"target":{}}' '{"id":"y","node":{"facts":[]},"target":{},"expect":true}'
expect 1 'x.*y.*0 passed, 2 failed' targets "$file"
write '{"id":"x","node":{},"target":{"facts":"a=1"},"expect":true}' '{"id":"z","node":{},"target":{"facts":[1]}}'
expect 1 'x.*z.*0 passed, 2 failed' targets "$file"
write '{"id":"n","node":{},"target":{}}'
expect 1 'no "expect"' targets "$file"
expect 0 $'n\ttrue' targets "$file" --verdicts
write '{"id":"p","policy":7,"caller":"c","action":"a","node":{}}' '{"id":"q","policy":"","caller":"c","node":{}}'
expect 1 'p.*q.*0 passed, 2 failed' policies "$file"
write '{"id":"bad","policy":"permit\\tall\\n","caller":"c","action":"a","node":{},"expect":"deny"}'
expect 1 'expected deny, is invalid' policies "$file"
{ printf '{"id":"deep","node":{"facts":{"a":'; head -c 1000000 /dev/zero | tr '\0' '['; echo; } >"$file"
expect 1 "0 passed, 1 failed" targets "$file"
deep=$(printf '{"a":%.0s' $(seq 20000))1$(printf '}%.0s' $(seq 20000))
write "{\"id\":\"deep\",\"node\":{\"facts\":$deep},\"target\":{},\"expect\":true}"
expect 1 "nested too deeply.*0 passed, 1 failed" targets "$file"
write "$good" "${good%\}}"
printf '%s' "$good" >>"$file"
expect 1 "line 2.*2 passed, 1 failed" targets "$file"
printf '%s\r\n' "$good" >"$file"
expect 0 "1 passed, 0 failed" targets "$file"
expect 64 usage --verdicts targets
expect 64 usage targets --verdict "$file"
expect 0 $'g\ttrue' targets --verdicts "$file"
head -c 100000 /dev/zero | tr '\0' '[' >"$file"
expect 1 "0 passed, 1 failed" targets "$file"
exit $((failures > 0))
