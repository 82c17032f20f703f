#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures on a real ActiveMQ how a directed request finds its node: a destination for each node, or one for all with a selector.

Starts the broker by deploy/brokers/activemq/try, subscribes for --nodes nodes over --connections connections (rights and TLS as
shipped), sends each node --rounds messages, and prints a JSON line for each way: seconds to subscribe, memory and CPU of the
broker, messages a second, and the time from SEND to MESSAGE of single ones. usage: test/load/directed.py [--nodes 8000]"""

import argparse
import json
import os
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", ".."))
SHARED = "/topic/orch.main.node.all.nodes"
WAIT_S = 300


class Connection:
    """STOMP, as little as it takes; whole frames in, whole frames out."""

    def __init__(self, address, ca, name, virtual_host="localhost"):
        host, port = address.rsplit(":", 1)
        context = ssl.create_default_context(cafile=os.path.join(ca, "ca.pem"))
        context.load_cert_chain(os.path.join(ca, name + ".pem"), os.path.join(ca, name + ".key"))
        plain = socket.create_connection((host, int(port)))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = context.wrap_socket(plain, server_hostname="localhost")
        self.socket.settimeout(WAIT_S)
        self.buffer = b""
        self.send("CONNECT", {"accept-version": "1.2", "host": virtual_host})
        self.expect("CONNECTED")

    @staticmethod
    def frame(command, headers, body=b""):
        head = command + "\n" + "".join(f"{key}:{value}\n" for key, value in headers.items()) + "\n"
        return head.encode() + body + b"\0"

    def send(self, command, headers, body=b""):
        self.socket.sendall(self.frame(command, headers, body))

    def read(self):
        """The next frame's first line."""
        while True:
            self.buffer = self.buffer.lstrip(b"\n")
            end = self.buffer.find(b"\0")
            if end >= 0:
                frame, self.buffer = self.buffer[:end], self.buffer[end + 1:]
                if frame.startswith(b"ERROR"):
                    raise RuntimeError(frame.decode(errors="replace"))
                return frame.split(b"\n", 1)[0].decode()
            data = self.socket.recv(1 << 16)
            if not data:
                raise EOFError("the broker closed the connection")
            self.buffer += data

    def expect(self, command):
        got = self.read()
        if got != command:
            raise RuntimeError(f"{got} instead of {command}")


def memory_mb(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def destination(way, node):
    """Headers of SEND and of SUBSCRIBE."""
    if way == "selector":
        return {"destination": SHARED, "node": node}, {"destination": SHARED, "selector": f"node = '{node}'"}
    own = {"destination": f"/topic/orch.main.node.{node}"}
    return own, own


def measure(way, options, address, ca, pid):
    nodes = [f"sim{i:05d}.example.net" for i in range(options.nodes)]
    before_mb, before_cpu, begin = memory_mb(pid), cpu_s(pid), time.monotonic()
    connections = [Connection(address, ca, "web1.example.net") for _ in range(options.connections)]
    for i, node in enumerate(nodes):
        headers = destination(way, node)[1]
        connections[i % len(connections)].send("SUBSCRIBE", {**headers, "id": i, "ack": "auto", "receipt": i,
                                                             "activemq.prefetchSize": 100})
    for i in range(len(nodes)):
        connections[i % len(connections)].expect("RECEIPT")
    out = {"way": way, "nodes": len(nodes), "subscribe_s": round(time.monotonic() - begin, 2),
           "subscribe_cpu_s": round(cpu_s(pid) - before_cpu, 2), "memory_mb": memory_mb(pid) - before_mb}

    got, lock, all_there = [0], threading.Lock(), threading.Event()

    def read(connection):
        try:
            while True:
                connection.expect("MESSAGE")
                with lock:
                    got[0] += 1
                    if got[0] >= wanted[0]:
                        all_there.set()
        except (EOFError, OSError):
            pass

    wanted = [1]
    for connection in connections:
        threading.Thread(target=read, args=(connection,), daemon=True).start()
    controller = Connection(address, ca, "controller")
    body = b"x" * options.bytes

    def send(node):
        controller.send("SEND", {**destination(way, node)[0], "persistent": "false"}, body)

    def await_all(count):
        wanted[0] = count
        if got[0] >= count:
            return
        if not all_there.wait(WAIT_S):
            raise RuntimeError(f"{got[0]} of {count} messages within {WAIT_S} s")

    # One after the other: how long one takes.
    singles = []
    for node in nodes[:: max(1, len(nodes) // 200)]:
        got[0], wanted[0] = 0, 1
        all_there.clear()
        begin = time.monotonic()
        send(node)
        await_all(1)
        singles.append((time.monotonic() - begin) * 1000)
    singles.sort()
    out["single_p50_ms"], out["single_p99_ms"] = round(singles[len(singles) // 2], 2), round(singles[int(len(singles) * 0.99)], 2)

    # All at once: a job for the whole fleet.
    got[0], wanted[0] = 0, len(nodes) * options.rounds
    all_there.clear()
    begin, before_cpu = time.monotonic(), cpu_s(pid)
    for _ in range(options.rounds):
        for node in nodes:
            send(node)
    await_all(len(nodes) * options.rounds)
    seconds = time.monotonic() - begin
    out.update(seconds=round(seconds, 2), messages_per_s=round(len(nodes) * options.rounds / seconds),
               cpu_ms_per_message=round((cpu_s(pid) - before_cpu) * 1000 / (len(nodes) * options.rounds), 3))
    for connection in connections:
        connection.socket.close()
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=8000)
    parser.add_argument("--connections", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--bytes", type=int, default=2000, help="of a message")
    parser.add_argument("--ways", default="destination,selector")
    options = parser.parse_args()
    for way in options.ways.split(","):
        with tempfile.TemporaryDirectory() as directory:
            said = subprocess.run([os.path.join(ROOT, "deploy", "brokers", "activemq", "try"), "--dir", directory, "--heap", "1g"],
                                  stdout=subprocess.PIPE, text=True, check=True).stdout
            answers = dict(line.split(" ", 1) for line in said.splitlines())
            pid = int(answers["PID"])
            try:
                print(json.dumps(measure(way, options, answers["ADDRESS"], os.path.join(directory, "ca"), pid)), flush=True)
            finally:
                os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
