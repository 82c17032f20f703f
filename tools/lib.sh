# SPDX-License-Identifier: Apache-2.0
# Sourced by tools/*: packages, stages, paths. Nothing here starts a service; apt aside, nothing outside the clone, the
# user's cache and a temporary directory is touched.

set -euo pipefail
ORCH_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
ORCH_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/orch
NPM_MODULES=$ORCH_CACHE/npm/node_modules
export PATH="$PATH:/usr/sbin:/sbin"

PACKAGES_BUILD="bazel-bootstrap bazel-rules-java g++ git libabsl-dev libboost1.81-dev libc-ares-dev libcli11-dev libfmt-dev
  libgmock-dev libgrpc++-dev libgtest-dev libprotobuf-dev libre2-dev libspdlog-dev libsqlite3-dev libssl-dev libyaml-cpp-dev
  nlohmann-json3-dev protobuf-compiler protobuf-compiler-grpc grpc-proto"
PACKAGES_DEMO="openssl procps puppet-agent python3"
PACKAGES_PACKAGE="binutils dpkg-dev git python3 rpm $PACKAGES_BUILD"
PACKAGES_BROKERS="activemq iproute2 rabbitmq-server"
PACKAGES_TEST="$PACKAGES_BROKERS clang-format ohai postgresql procps prometheus puppetdb puppetserver python3 python3-grpcio
  python3-protobuf python3-grpc-tools python3-stomp"

STAGE_NAME=""
STAGE_START=$SECONDS
# stage NAME: ends the stage before with its elapsed time and begins the next.
stage() {
  end_stage
  STAGE_NAME=$1
  STAGE_START=$SECONDS
  echo "== $1" >&2
}
end_stage() {
  [ -z "$STAGE_NAME" ] || echo "== $STAGE_NAME: $((SECONDS - STAGE_START)) s" >&2
  STAGE_NAME=""
}

fail() {
  echo "${0##*/}: $*" >&2
  exit 1
}

missing_packages() {
  local package out=()
  for package in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || out+=("$package")
  done
  echo "${out[*]-}"
}

# need_packages PACKAGE...: installs what is missing, as root or through sudo, with services forbidden to start.
need_packages() {
  local missing sudo=()
  missing=$(missing_packages "$@")
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || fail "these Debian packages are missing and need root or sudo: $missing"
    sudo=(sudo)
  fi
  echo "   installing $missing" >&2
  # Packages of brokers and Puppet would start services; a policy-rc.d of our own forbids it while apt runs.
  local policy=/usr/sbin/policy-rc.d made=""
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
    "${sudo[@]}" chmod 755 "$policy"
    made=1
  fi
  local log
  log=$(mktemp)
  local status=0
  # shellcheck disable=SC2086
  { "${sudo[@]}" apt-get update -q && "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y \
    --no-install-recommends $missing; } >"$log" 2>&1 </dev/null || status=$?
  [ -z "$made" ] || "${sudo[@]}" rm -f "$policy"
  if [ "$status" != 0 ]; then
    tail -n 20 "$log" >&2
    fail "apt-get could not install $missing (whole output: $log)"
  fi
  rm -f "$log"
}

# need_npm PACKAGE...: npm packages into the user's cache.
need_npm() {
  local package missing=()
  command -v npm >/dev/null || need_packages npm
  for package in "$@"; do
    [ -d "$NPM_MODULES/$package" ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  mkdir -p "$ORCH_CACHE/npm"
  npm install --no-audit --no-fund --prefix "$ORCH_CACHE/npm" "${missing[@]}" >"$ORCH_CACHE/npm/log" 2>&1 ||
    { tail -n 20 "$ORCH_CACHE/npm/log" >&2; fail "npm could not install ${missing[*]}"; }
}

BINARIES="//controller:orch-controller //nodeagent:orch-nodeagent //cli:orchctl //bus:orch-broker //test/load:swarm
  //test/conformance:run //test/sim:run"

# build TARGET...: optimised, quiet unless something fails.
build() {
  (cd "$ORCH_ROOT" && bazel build --noshow_progress --ui_event_filters=-info,-debug "$@")
}
