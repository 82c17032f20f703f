#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs one of the Python tests beside it with the system's Python.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=${HOME:-$TEST_TMPDIR} PYTHONDONTWRITEBYTECODE=1
exec /usr/bin/python3 "$(dirname "$0")/$1" -v
