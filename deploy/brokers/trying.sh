# SPDX-License-Identifier: Apache-2.0
# Sourced by deploy/brokers/*/try: flags, certificates, ports, waiting. Nothing outside the directory is written.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[1]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
export PATH="$PATH:/usr/sbin:/sbin"
ulimit -n "$(ulimit -Hn)"  # a connection each

fail() {
  echo "try: $*" >&2
  exit 1
}

try_usage() {
  cat <<TEXT
Usage: ${here#"$root/"}/try [--dir DIR] [--port PORT] [--login] [--ca FILE --cert FILE --key FILE --crl FILE]
           [--controller NAME]… [--node NAME]… [--nodes FILE] [--domain DOMAIN]

Starts $1 on 127.0.0.1 with the configuration of this directory and waits until it serves. Prints
  PID <pid>            end it with: kill <pid>
  ADDRESS <host:port>  for bus.brokers; the broker's certificate is good for localhost and 127.0.0.1
  DIR <directory>      its configuration, log (out) and certificates; stays behind

  --dir DIR         where it lives; default a new one below \${TMPDIR:-/tmp}
  --port PORT       default any that is free
  --login           clients have logins (\`controller\` and \`node\`) in place of certificates; the passcodes are in
                    DIR/controller.passcode and DIR/node.passcode
  --ca --cert --key --crl
                    PEM files: the CA of controllers and nodes with its revocation list, and the broker's own certificate and
                    key. Default: made by tools/make-ca in DIR/ca, with the names below
  --controller, --node, --nodes
                    who may connect: common names of certificates, --nodes one a line. Default controller,
                    web1.example.net, web2.example.net, db1.example.net
  --domain DOMAIN   of all nodes, where the broker takes an expression for them; default example.net
TEXT
}

# read_flags TITLE ARGUMENTS…: what every try takes; others are left to the caller's `extra_flag NAME VALUE`, which answers
# with the number of arguments it took, 0 for none.
read_flags() {
  local title=$1 taken
  shift
  dir="" port="" login="" ca="" cert="" key="" crl="" domain=example.net
  controllers=() nodes=() nodes_files=()
  while (($#)); do
    case $1 in
      -h | --help)
        try_usage "$title"
        declare -F extra_usage >/dev/null && extra_usage
        exit 0
        ;;
      --login) login=1 ;;
      --dir | --port | --ca | --cert | --key | --crl | --domain | --controller | --node | --nodes)
        (($# >= 2)) || misuse "$1 needs a value"
        case $1 in
          --controller) controllers+=("$2") ;;
          --node) nodes+=("$2") ;;
          --nodes) nodes_files+=("$2") ;;
          *) printf -v "${1#--}" %s "$2" ;;
        esac
        shift
        ;;
      *)
        taken=0
        declare -F extra_flag >/dev/null && extra_flag "$@"
        ((taken)) || misuse "unknown argument $1"
        shift $((taken - 1))
        ;;
    esac
    shift
  done
  [[ -z $port || ($port =~ ^[0-9]+$ && $port -le 65535) ]] || misuse "--port: '$port' is not a port"
  [[ $domain =~ ^[a-z0-9.-]+$ ]] || misuse "--domain: '$domain' is not a domain"
  ((${#controllers[@]})) || controllers=(controller)
  ((${#nodes[@]} + ${#nodes_files[@]})) || nodes=("web1.$domain" "web2.$domain" "db1.$domain")
  [[ ! $port || $port == 0 ]] && port=$(free_port)
  ! answers "$port" || fail "somebody else listens on 127.0.0.1:$port"
  if [[ $dir ]]; then mkdir -p "$dir"; else dir=$(mktemp -d "${TMPDIR:-/tmp}/orch-broker-XXXXXX"); fi
  dir=$(cd "$dir" && pwd)
  : >"$dir/out"  # what an earlier one said does not count
  certificates
}

misuse() {
  echo "try: $* (see --help)" >&2
  exit 64
}

# Below the ephemeral range: no client that waits for a broker to come back gets its port.
free_port() {
  local port
  for port in $(shuf -i 10000-32767 -n 100); do
    [[ $(ss -ltnH "sport = :$port") ]] || { echo "$port" && return; }
  done
  fail "no free port"
}

certificates() {
  if [[ $ca$cert$key$crl ]]; then
    [[ $ca && $cert && $key && $crl ]] || misuse "--ca, --cert, --key and --crl belong together"
    local file
    for file in "$ca" "$cert" "$key" "$crl"; do [[ -r $file ]] || fail "$file can't be read"; done
    ca=$(realpath "$ca") cert=$(realpath "$cert") key=$(realpath "$key") crl=$(realpath "$crl")
    return
  fi
  local command=("$root/tools/make-ca" "$dir/ca" --broker broker) name
  for name in "${controllers[@]}"; do command+=(--controller "$name"); done
  for name in "${nodes[@]}"; do command+=(--node "$name"); done
  "${command[@]}"
  ca=$dir/ca/ca.pem cert=$dir/ca/broker.pem key=$dir/ca/broker.key crl=$dir/ca/crl.pem
}

# A passcode for each login, unless there is one.
passcodes() {
  local name
  for name in controller node; do
    [[ -s $dir/$name.passcode ]] || (umask 077 && openssl rand -hex 16 >"$dir/$name.passcode")
  done
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# await PID SECONDS PATTERN: until its log says that it is ready, and its port answers.
await() {
  local end=$((SECONDS + $2))
  until grep -q "$3" "$dir/out" && answers "$port"; do
    kill -0 "$1" 2>/dev/null || { tail -n 20 "$dir/out" >&2; fail "it ended before it served; see $dir/out"; }
    if ((SECONDS >= end)); then
      kill "$1"
      fail "it does not serve on 127.0.0.1:$port after $2 s; see $dir/out"
    fi
    sleep 0.1
  done
}

report() {
  echo "PID $1"
  echo "ADDRESS 127.0.0.1:$port"
  echo "DIR $dir"
}
