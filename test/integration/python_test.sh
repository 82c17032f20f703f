#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs SCRIPT with the interpreter that Debian's Python packages are made for; this Bazel's py_test
# would take another. Usage: python_test.sh SCRIPT ARGUMENT…
exec /usr/bin/python3 -B "$@"
