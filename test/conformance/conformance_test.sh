#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# conformance_test.sh RUN KIND FILE: every case of FILE comes out as the original answered it, and the verdicts printed
# for the same cases without their answers are those answers.
set -euo pipefail
run=$1 kind=$2 file=$3
cases=$(wc -l <"$file")
out=$("$run" "$kind" "$file")
[[ $out == "$cases passed, 0 failed" ]] || { printf '%s\n' "$out"; exit 1; }

stripped=$TEST_TMPDIR/stripped.jsonl
sed -E 's/,"expect":("[a-z]+"|true|false)\}$/}/' "$file" >"$stripped"
! grep -q '"expect"' "$stripped"
sed -E 's/^\{"id":"([^"]+)".*"expect":"?([a-z]+)"?\}$/\1\t\2/' "$file" >"$TEST_TMPDIR/expected"
"$run" --verdicts "$kind" "$stripped" 2>/dev/null | diff "$TEST_TMPDIR/expected" - || exit 1
"$run" "$kind" "$stripped" --verdicts 2>/dev/null | cmp "$TEST_TMPDIR/expected" -
