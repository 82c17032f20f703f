# SPDX-License-Identifier: Apache-2.0
"""A broker that breaks every rule at full speed, against the real node agent and the real controller: bounded memory, a
bounded share of a core, a bounded log, no connection a moment too often; and as soon as the broker is a sane one all is well."""

import math
import os
import random
import re
import socket
import struct
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "testing"))
import fleet as fleets  # noqa: E402

NODE = "a.example.net"
# How long both are tormented at least, and at most until each has met every attack; how long one goes on that is not ended by them.
TORMENT_S = 40
TORMENT_MAX_S = 120
ATTACK_S = 3
RECONNECT_MAX_S = 1
# Above what the process had before. A body may have 1 MiB, twice that while it grows.
NODE_GROWTH_MAX_KB = 16 * 1024
CONTROLLER_GROWTH_MAX_KB = 96 * 1024
# Of one core. The node reads at most 1000 messages a second, the controller 50,000.
NODE_CPU_MAX = 0.5
CONTROLLER_CPU_MAX = 1.5


def frame(command, headers=(), body=b"", end=b"\0"):
    head = command + "\n" + "".join(f"{name}:{value}\n" for name, value in headers) + "\n"
    return head.encode() + body + end


CONNECTED = frame("CONNECTED", [("version", "1.2"), ("heart-beat", "1000,1000")])


class Attack:
    """One connection, from what the client said first on. Each method is an attack."""

    def __init__(self, wire):
        self.wire = wire
        self.said = b""

    # -- means --------------------------------------------------------------------------------------------------------
    def read(self):
        data = self.wire.recv(65536)
        if not data:
            raise ConnectionError
        self.said += data

    def say(self, data):
        self.wire.sendall(data)

    def flood(self, data, seconds=ATTACK_S):
        data = data * max(1, 65536 // len(data))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.say(data)

    def silence(self, seconds):
        """Listens until the client goes, at most so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.wire.settimeout(left)
            self.read()

    def subscribed(self):
        """Behaves until the client believes that all is well."""
        self.say(CONNECTED)
        answered = 0
        self.wire.settimeout(0.3)
        try:
            while True:
                receipts = re.findall(rb"\nreceipt:(\d+)\n", self.said)
                for receipt in receipts[answered:]:
                    self.say(frame("RECEIPT", [("receipt-id", receipt.decode())]))
                answered = len(receipts)
                self.read()
        except socket.timeout:
            self.wire.settimeout(ATTACK_S)

    # -- before CONNECTED ---------------------------------------------------------------------------------------------
    def close_at_once(self):
        pass

    def reset(self):
        self.wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def http(self):
        self.say(b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n<html>")

    def tls(self):
        self.say(bytes.fromhex("16030100f1010000ed0303") * 100)

    def noise(self):
        self.flood(random.Random(1).randbytes(65536))

    def nul_storm(self):
        self.flood(b"\0")

    def empty_lines(self):
        self.flood(b"\n")

    def crlf_lines(self):
        self.flood(b"\r\n")

    def message_first(self):
        self.flood(frame("MESSAGE", [("subscription", "1"), ("message-id", "1")], b"x"))

    def receipt_first(self):
        self.flood(frame("RECEIPT", [("receipt-id", "1")]))

    def version_1_0(self):
        self.say(frame("CONNECTED", [("version", "1.0")]))

    def version_1_3(self):
        self.say(frame("CONNECTED", [("version", "1.3")]))

    def no_version(self):
        self.say(frame("CONNECTED"))

    def heart_beat_of_letters(self):
        self.say(frame("CONNECTED", [("version", "1.2"), ("heart-beat", "a,b")]))

    def heart_beat_too_large(self):
        self.say(frame("CONNECTED", [("version", "1.2"), ("heart-beat", "9" * 30 + ",0")]))

    def error_and_silence(self):
        self.say(frame("ERROR", [("message", "no " + str(random.random()))]))
        self.silence(ATTACK_S)

    def errors(self):
        self.flood(frame("ERROR", [("message", "no")], b"x" * 1000))

    def endless_command(self):
        self.flood(b"A")

    def endless_header(self):
        self.say(b"CONNECTED\nversion:")
        self.flood(b"1")

    def endless_headers(self):
        self.say(b"CONNECTED\n")
        self.flood(b"version:1.2\n")

    def undefined_escape(self):
        self.say(b"ERROR\nmessage:\\t\n\n\0")

    # -- after it ------------------------------------------------------------------------------------------------------
    def connected_twice(self):
        self.say(CONNECTED + CONNECTED)

    def connected_then_empty_lines(self):
        self.subscribed()
        self.flood(b"\n")

    def connected_then_nothing(self):
        self.subscribed()
        self.silence(2 * ATTACK_S)

    def beats_every_millisecond(self):
        self.say(frame("CONNECTED", [("version", "1.2"), ("heart-beat", "1,1")]))
        self.wire.settimeout(ATTACK_S)
        self.read()

    def receipts_for_nothing(self):
        self.subscribed()
        self.flood(frame("RECEIPT", [("receipt-id", "4711")]))

    def receipts_for_what_comes(self):
        self.say(CONNECTED)
        self.flood(b"".join(frame("RECEIPT", [("receipt-id", str(i))]) for i in range(1000)))

    def unknown_command(self):
        self.subscribed()
        self.flood(frame("HELLO"))

    def client_commands(self):
        self.subscribed()
        self.flood(frame("SEND", [("destination", "/queue/x")], b"x"))

    def junk_messages(self):
        self.subscribed()
        self.flood(frame("MESSAGE", [("subscription", "1"), ("message-id", "1"), ("destination", "/topic/x")], b"junk"))

    def large_junk_messages(self):
        self.subscribed()
        body = b"x" * (1 << 20)
        self.flood(frame("MESSAGE", [("subscription", "2"), ("content-length", str(len(body)))], body))

    def messages_for_nobody(self):
        self.subscribed()
        self.flood(frame("MESSAGE", [("subscription", "99"), ("reply-to", "/queue/evil"), ("ack", "1"), ("message-id", "\\n")], b"x"))

    def huge_content_length(self):
        self.subscribed()
        self.say(b"MESSAGE\nsubscription:1\ncontent-length:9223372036854775807\n\n")
        self.flood(b"x")

    def short_content_length(self):
        self.subscribed()
        self.say(frame("MESSAGE", [("subscription", "1"), ("content-length", "3")], b"much more"))

    def negative_content_length(self):
        self.subscribed()
        self.say(frame("MESSAGE", [("subscription", "1"), ("content-length", "-1")], b"x"))

    def endless_body(self):
        self.subscribed()
        self.say(b"MESSAGE\nsubscription:1\n\n")
        self.flood(b"x")

    def unfinished_frame(self):
        self.subscribed()
        self.say(b"MESSAGE\nsubscription:1\ncontent-length:1000000\n\n" + b"x" * 999_999)
        self.silence(ATTACK_S)

    def error_later(self):
        self.subscribed()
        self.say(frame("ERROR", [("message", "User is not authorized\\n" + "\x1b[31m" + str(random.random()))]))
        self.silence(ATTACK_S)


ATTACKS = [name for name in vars(Attack) if not name.startswith("_") and name not in ("read", "say", "flood", "silence", "subscribed")]


class HostileBroker:
    """Attacks whoever connects, each time in another way; once `sane` is set, passes everything on to that port."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.sane = None
        self.wires = set()  # of attacks that go on
        self.attacks = []
        self.failures = []
        self.lock = threading.Lock()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                wire, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(wire,), daemon=True).start()

    def serve(self, wire):
        with wire:
            if self.sane is not None:
                self.pass_on(wire)
                return
            wire.settimeout(ATTACK_S)
            attack = Attack(wire)
            try:
                attack.read()
                # Controllers and nodes each get all of them.
                who = "controller" if b"client-id:controller" in attack.said else "node"
                with self.lock:
                    done = sum(1 for other, _ in self.attacks if other == who)
                    name = ATTACKS[done % len(ATTACKS)]
                    self.attacks.append((who, name))
                    self.wires.add(wire)
                getattr(attack, name)()
            except (OSError, ConnectionError):
                pass
            except Exception as error:  # pylint: disable=broad-except
                self.failures.append(error)
            finally:
                with self.lock:
                    self.wires.discard(wire)

    def met(self, who):
        with self.lock:
            return {name for other, name in self.attacks if other == who}

    def be_sane(self, port):
        with self.lock:
            self.sane = port
            for wire in self.wires:
                wire.shutdown(socket.SHUT_RDWR)

    def pass_on(self, wire):
        with socket.create_connection(("127.0.0.1", self.sane)) as upstream:
            wire.settimeout(None)

            def copy(source, target):
                try:
                    while data := source.recv(65536):
                        target.sendall(data)
                    target.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
            back = threading.Thread(target=copy, args=(upstream, wire), daemon=True)
            back.start()
            copy(wire, upstream)
            back.join()


def memory_kb(pid, key):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(rf"^{key}:\s+(\d+) kB", status.read(), re.MULTILINE).group(1))


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class HostileFleet(fleets.Fleet):
    def __init__(self, directory, port):
        super().__init__(directory, nodes=(NODE,), broker="orch-broker")
        self.port = port

    def start_broker(self):
        pass

    def bus(self, role):  # pylint: disable=unused-argument
        return (f"bus:\n  brokers: ['127.0.0.1:{self.port}']\n  tls: false\n  insecure_loopback: true\n  heart_beat: 2s\n"
                f"  reconnect_min: 100ms\n  reconnect_max: {RECONNECT_MAX_S}s\n")


class HostileBrokerTest(unittest.TestCase):
    def setUp(self):
        self.hostile = HostileBroker()
        self.addCleanup(self.hostile.listener.close)
        self.fleet = HostileFleet(tempfile.mkdtemp(prefix="orch-hostile-"), self.hostile.port)
        self.addCleanup(self.fleet.remove)
        self.addCleanup(self.fleet.stop)
        self.fleet.make_ca()

    def test_nothing_that_it_says_does_harm(self):
        self.assertGreater(len(ATTACKS), 35)
        self.fleet.start_controller()
        self.fleet.start_node(NODE)
        victims = {"controller": (self.fleet.controller, CONTROLLER_GROWTH_MAX_KB, CONTROLLER_CPU_MAX),
                   "node": (self.fleet.nodes[NODE], NODE_GROWTH_MAX_KB, NODE_CPU_MAX)}
        self.fleet.nodes[NODE].wait_log("ready")
        fleets.wait_for("attacks on both", lambda: {who for who, _ in self.hostile.attacks} == set(victims))
        before = {who: (memory_kb(process.pid, "VmRSS"), cpu_s(process.pid)) for who, (process, _, _) in victims.items()}
        begin = time.monotonic()
        fleets.wait_for("every attack on both", lambda: time.monotonic() - begin > TORMENT_S and
                        all(self.hostile.met(who) == set(ATTACKS) for who in victims), TORMENT_MAX_S)
        took = time.monotonic() - begin
        for who, (process, growth_max, cpu_max) in victims.items():
            self.assertTrue(process.alive(), (self.hostile.attacks[-4:], process.text()[-2000:]))
            growth = memory_kb(process.pid, "VmHWM") - before[who][0]
            cpu = (cpu_s(process.pid) - before[who][1]) / took
            attacks = sum(1 for other, _ in self.hostile.attacks if other == who)
            lines = [line for line in process.text().splitlines() if "bus: " in line]
            print(f"{who}: {attacks} attacks in {took:.0f} s, memory grew by {growth} KB at most, {100 * cpu:.0f} % of a core, "
                  f"{len(lines)} lines about the bus")
            self.assertLess(growth, growth_max)
            self.assertLess(cpu, cpu_max)
            # Half of RECONNECT_MAX_S is the mean wait once it has backed off.
            self.assertLess(attacks, 3 * took / RECONNECT_MAX_S)
            # Two lines a minute of each kind: not connected, connected; and the controller's readiness, one of each.
            self.assertLessEqual(len(lines), 6 * math.ceil(took / 60), "\n".join(lines))
            self.assertNotIn("\x1b", process.text())
        self.assertEqual(self.hostile.failures, [])

        broker = fleets.Process("broker", [fleets.binary("orch-broker"), "--listen", "127.0.0.1:0", "--insecure-loopback"],
                                self.fleet.path("broker.log")).start()
        self.addCleanup(broker.kill)
        self.hostile.be_sane(int(broker.wait_log(r"listening\S* \S*?127\.0\.0\.1:(\d+)").group(1)))
        self.fleet.wait_present(1)
        self.assertEqual(self.fleet.report("ping")["exit"], 0)


if __name__ == "__main__":
    unittest.main()
