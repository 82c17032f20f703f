#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a fleet's connections cost each broker: docs/brokers.md has the figures.

Starts each broker by its deploy/brokers/*/try (TLS, certificates and rights as shipped), connects --connections nodes which
subscribe to requests and to their own destination, then sends --rounds requests to all and prints a JSON line: seconds to
connect them, memory and threads of the broker, its CPU, and the time until the last node has the request.
usage: test/load/brokers.py [--connections 1000] [--brokers orch-broker,activemq,rabbitmq]"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from directed import ROOT, Connection, cpu_s, memory_mb  # noqa: E402

CONNECTIONS_PER_NAME = 8  # as many as RabbitMQ's definitions permit with one certificate
REQUEST = {"orch-broker": "/topic/orch.main.request", "activemq": "/topic/orch.main.request",
           "rabbitmq": "/exchange/orch.cmd/main.request"}
NODE = {"orch-broker": "/topic/orch.main.node.", "activemq": "/topic/orch.main.node.", "rabbitmq": "/exchange/orch.cmd/main.node."}


def threads(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Threads:"))


def measure(kind, options, names, ca, address, pid):
    host = "/" if kind == "rabbitmq" else "localhost"
    idle_mb, before_cpu, begin = memory_mb(pid), cpu_s(pid), time.monotonic()
    connections = []
    for number in range(options.connections):
        name = names[number % len(names)]
        connection = Connection(address, ca, name, host)
        connection.send("SUBSCRIBE", {"destination": REQUEST[kind], "id": 1, "ack": "auto", "activemq.prefetchSize": 100})
        connection.send("SUBSCRIBE", {"destination": NODE[kind] + name, "id": 2, "ack": "auto", "receipt": "ready",
                                      "activemq.prefetchSize": 100})
        connection.expect("RECEIPT")
        connections.append(connection)
    out = {"broker": kind, "connections": len(connections), "connect_s": round(time.monotonic() - begin, 1),
           "connect_cpu_ms_each": round((cpu_s(pid) - before_cpu) * 1000 / len(connections), 2), "idle_mb": idle_mb,
           "memory_mb": memory_mb(pid), "kb_each": round((memory_mb(pid) - idle_mb) * 1024 / len(connections)),
           "threads": threads(pid)}
    controller = Connection(address, ca, "controller", host)
    body, times, before_cpu = b"x" * options.bytes, [], cpu_s(pid)
    for _ in range(options.rounds):
        begin = time.monotonic()
        controller.send("SEND", {"destination": REQUEST[kind], "persistent": "false"}, body)
        for connection in connections:
            connection.expect("MESSAGE")
        times.append((time.monotonic() - begin) * 1000)
    times.sort()
    out.update(broadcast_ms=round(times[len(times) // 2]), broadcast_least_ms=round(times[0]), broadcast_most_ms=round(times[-1]),
               broadcast_cpu_ms=round((cpu_s(pid) - before_cpu) * 1000 / options.rounds), after_mb=memory_mb(pid))
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--bytes", type=int, default=2000, help="of a request")
    parser.add_argument("--brokers", default="orch-broker,activemq,rabbitmq")
    parser.add_argument("--heap", default="1g", help="of ActiveMQ's Java machine")
    options = parser.parse_args()
    names = [f"sim{i:05d}.example.net" for i in range(-(-options.connections // CONNECTIONS_PER_NAME))]
    with tempfile.TemporaryDirectory() as directory:
        ca = os.path.join(directory, "ca")
        command = [os.path.join(ROOT, "tools", "make-ca"), ca, "--broker", "broker", "--controller", "controller"]
        for name in names:
            command += ["--node", name]
        subprocess.run(command, check=True)
        with open(os.path.join(directory, "names"), "w", encoding="ascii") as file:
            file.write("\n".join(names) + "\n")
        for kind in options.brokers.split(","):
            command = [os.path.join(ROOT, "deploy", "brokers", kind, "try"), "--dir", os.path.join(directory, kind),
                       "--nodes", os.path.join(directory, "names")]
            for flag, file in (("--ca", "ca.pem"), ("--cert", "broker.pem"), ("--key", "broker.key"), ("--crl", "crl.pem")):
                command += [flag, os.path.join(ca, file)]
            if kind == "activemq":
                command += ["--heap", options.heap]
            said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            answers = dict(line.split(" ", 1) for line in said.splitlines())
            pid = int(answers["PID"])
            try:
                print(json.dumps(measure(kind, options, names, ca, answers["ADDRESS"], pid)), flush=True)
            finally:
                os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
