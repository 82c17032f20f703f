# SPDX-License-Identifier: Apache-2.0
"""Hostile STOMP against the real orch-broker: each input is refused with a reason or its connection
closed, a good client beside them never notices, memory stays bounded."""

import random
import socket
import struct
import sys
import threading
import time
import unittest

from broker_process import CONNECT, PATIENCE_S, Broker, Wire, frame, wait_for

BINARY = sys.argv.pop(1)

MEBIBYTE = 1 << 20
# What one flood sends before it counts as not stopped.
FLOOD_BYTES = 256 * MEBIBYTE
# The broker's own limit (connecting, half-sent frames) is 10 s and 30 s.
SILENCE_S = 45
# limits.total_bytes is 256 MiB by default; the rest is the process itself.
MEMORY_MAX_KB = 300 * 1024
# The worst round trip of the good client, on a machine that is busy with the floods themselves.
ROUND_TRIP_MAX_S = 2.0


class GoodClient(threading.Thread):
    """Sends to a queue and a topic and reads both back, over and over, beside the hostile."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.wire = Wire(port).connect()
        self.wire.subscribe("/queue/good", name="q").subscribe("/topic/good", name="t")
        self.stopping = threading.Event()
        self.trips = 0
        self.worst_s = 0.0
        self.failure = None

    def run(self):
        try:
            while not self.stopping.wait(0.01):
                begin = time.monotonic()
                for destination in ("/queue/good", "/topic/good"):
                    body = b"%d" % self.trips
                    self.wire.send(frame("SEND", [("destination", destination)], body))
                    answer = self.wire.next()
                    if answer is None or answer[0] != "MESSAGE" or answer[2] != body:
                        raise AssertionError("instead of %r came %r" % (body, answer))
                self.trips += 1
                self.worst_s = max(self.worst_s, time.monotonic() - begin)
        except Exception as error:  # pylint: disable=broad-except
            self.failure = error

    def finish(self):
        self.stopping.set()
        self.join()
        self.wire.close()


# What is wrong with one frame: before CONNECT, or after.
MALFORMED_FIRST = {
    "empty lines, then NUL": (b"\n\n\n\0", "not a STOMP command"),
    "NUL": (b"\0", "not a STOMP command"),
    "HTTP": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "not a STOMP command"),
    "TLS": (bytes.fromhex("16030100f1010000ed0303"), "not a STOMP command"),
    "AMQP": (b"AMQP\x00\x00\x09\x01", "not a STOMP command"),
    "lower case": (b"connect\n\n\0", "not a STOMP command"),
    "endless command": (b"A" * 100, "command is over 32 bytes"),
    "SEND before CONNECT": (frame("SEND", [("destination", "/queue/a")]), "SEND before CONNECT"),
    "SUBSCRIBE before CONNECT": (frame("SUBSCRIBE", [("id", "1")]), "SUBSCRIBE before CONNECT"),
    "unknown command first": (frame("HELLO"), "HELLO before CONNECT"),
    "CONNECTED from a client": (frame("CONNECTED"), "CONNECTED before CONNECT"),
    "unknown version": (frame("CONNECT", [("accept-version", "9.9")]), "supported protocol"),
    "heart-beat of letters": (
        frame("CONNECT", [("accept-version", "1.2"), ("heart-beat", "a,b")]), "heart-beat is not"),
    "heart-beat too large": (
        frame("CONNECT", [("accept-version", "1.2"), ("heart-beat", "9" * 30 + ",0")]),
        "heart-beat is not"),
    "CONNECT with a body": (frame("CONNECT", [("accept-version", "1.2")], b"x"), "has no body"),
    "CONNECT with huge content-length": (
        b"CONNECT\ncontent-length:99999999999\n\n", "over the limit"),
}

MALFORMED = {
    "CONNECT twice": (CONNECT, "connected already"),
    "STOMP after CONNECT": (frame("STOMP", [("accept-version", "1.2")]), "connected already"),
    "unknown command": (frame("BEGONE"), "unknown command BEGONE"),
    "server's command": (frame("MESSAGE", [("destination", "/queue/a")]), "unknown command"),
    "header without colon": (b"SEND\nfoo\n\n\0", "header line without ':'"),
    "header without name": (b"SEND\n:foo\n\n\0", "header line without a name"),
    "undefined escape": (b"SEND\ndestination:/queue/a\\t\n\n\0", "undefined escape \\t"),
    "escape at the end": (b"SEND\ndestination:/queue/a\\\n\n\0", "within an escape"),
    "carriage return in a header": (b"SEND\na:b\rc\n\n\0", "carriage return"),
    "NUL in the headers": (b"SEND\ndestination:/queue/a\0", "NUL inside the headers"),
    "content-length of letters": (b"SEND\ncontent-length:ten\n\n", "is not a number"),
    "content-length negative": (b"SEND\ncontent-length:-5\n\n", "is not a number"),
    "content-length beyond 64 bits": (
        b"SEND\ncontent-length:18446744073709551617\n\n", "is not a number"),
    "content-length huge": (b"SEND\ncontent-length:4294967295\n\n", "over the limit"),
    "content-length too small": (
        b"SEND\ndestination:/queue/a\ncontent-length:2\n\nabcdef\0", "not terminated by NUL"),
    "body where none may be": (
        frame("SUBSCRIBE", [("destination", "/queue/a"), ("id", "1")], b"x"), "has no body"),
    "header lines": (b"SEND\n" + b"a:b\n" * 100, "more than 64 header lines"),
    "long header line": (b"SEND\nfoo:" + b"x" * 10000, "header lines are over"),
    "long header name": (b"SEND\n" + b"x" * 10000, "header lines are over"),
    "SEND nowhere": (frame("SEND", [("destination", "here")]), "does not begin with /topic/"),
    "SEND without destination": (frame("SEND"), "without destination"),
    "destination too long": (
        frame("SEND", [("destination", "/queue/" + "a" * 600)]), "destination is over"),
    "destination with a line end": (
        frame("SEND", [("destination", "/queue/a\\nb")]), "printable ASCII"),
    "wildcard": (frame("SUBSCRIBE", [("destination", "/topic/>"), ("id", "1")]), "wildcard"),
    "subscription id too long": (
        frame("SUBSCRIBE", [("destination", "/queue/a"), ("id", "x" * 300)]), "id is over"),
    "ACK of nothing": (frame("ACK", [("id", "1-1")]), "is no message that waits"),
    "ACK of letters": (frame("ACK", [("id", "x" * 5000)]), "is no message that waits"),
    "NACK beyond 64 bits": (frame("NACK", [("id", "1-" + "9" * 40)]), "is no message that waits"),
    "COMMIT of nothing": (frame("COMMIT", [("transaction", "t")]), "has not begun"),
    "UNSUBSCRIBE of nothing": (frame("UNSUBSCRIBE", [("id", "t")]), "no such subscription"),
}


def flood_frames(make, count):
    """A piece of flood: frames with a number in them, so that no two are the same."""
    return b"".join(make(number) for number in range(count))


# Endless input, in pieces; after CONNECT. Each must be stopped by the broker.
FLOODS = {
    "header flood": lambda: b"SEND\n" + b"a:b\n" * 10000,
    "endless header": lambda: b"SEND\nfoo:" + b"x" * MEBIBYTE,
    "endless body": lambda: b"SEND\ndestination:/queue/f1\n\n" + b"x" * (2 * MEBIBYTE),
    "NUL flood": lambda: b"\0" * MEBIBYTE,
    "random bytes": lambda: random.Random(1).randbytes(MEBIBYTE),
    "subscribe flood": lambda: flood_frames(
        lambda n: frame("SUBSCRIBE", [("destination", "/topic/%d" % n), ("id", n)]), 1000),
    "transaction flood": lambda: flood_frames(
        lambda n: frame("BEGIN", [("transaction", n)]), 1000),
    "transaction without end": lambda: frame("BEGIN", [("transaction", "t")]) + flood_frames(
        lambda n: frame("SEND", [("destination", "/queue/f2"), ("transaction", "t")], b"x" * 9999),
        1000),
    "connect flood": lambda: CONNECT * 1000,
}

# As above, and nothing is read meanwhile: legal frames, but the answers or messages pile up.
UNREAD_FLOODS = {
    "receipt flood": lambda: flood_frames(
        lambda n: frame("SEND", [("destination", "/topic/f3"), ("receipt", "r" * 1000)]), 1000),
    "queue without consumers": lambda: frame(
        "SEND", [("destination", "/queue/f4")], b"x" * 500000) * 2,
    "small messages without consumers": lambda: frame(
        "SEND", [("destination", "/queue/f5")], b"x") * 10000,
    "to itself over a topic": lambda: frame(
        "SEND", [("destination", "/topic/f6")], b"x" * 100000) * 10,
}


class HostileTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = Broker(BINARY)
        cls.port = cls.broker.port
        # AddressSanitizer's own bookkeeping is a multiple of what is measured here.
        with open("/proc/%d/maps" % cls.broker.process.pid, encoding="utf-8") as maps:
            cls.sanitized = "libasan" in maps.read()
        cls.good = GoodClient(cls.port)
        cls.good.start()

    @classmethod
    def tearDownClass(cls):
        cls.broker.__exit__()

    def tearDown(self):
        """After each attack the good client goes on, and nothing of it is left."""
        self.assertIsNone(self.good.failure)
        trips = self.good.trips
        wait_for(lambda: self.good.failure or self.good.trips > trips, "another round trip")
        self.assertIsNone(self.good.failure)
        self.assertLess(self.good.worst_s, ROUND_TRIP_MAX_S)
        if not self.sanitized:
            self.assertLess(self.broker.memory_kb("VmHWM"), MEMORY_MAX_KB)
        self.assertIsNone(self.broker.process.poll())

    def expect_error(self, wire, text):
        while True:
            answer = wire.next()
            self.assertIsNotNone(answer, "closed without an ERROR")
            if answer[0] == "ERROR":
                break
        self.assertIn(text, answer[1]["message"])
        self.assertIsNone(wire.next(), "open after ERROR")
        wire.close()

    def test_malformed_first(self):
        for name, (data, text) in MALFORMED_FIRST.items():
            with self.subTest(name):
                wire = Wire(self.port)
                wire.send(data)
                self.expect_error(wire, text)

    def test_malformed(self):
        for name, (data, text) in MALFORMED.items():
            with self.subTest(name):
                wire = Wire(self.port).connect()
                wire.send(data)
                self.expect_error(wire, text)

    def test_malformed_byte_by_byte(self):
        for name, (data, text) in MALFORMED.items():
            if len(data) > 2000:
                continue
            with self.subTest(name):
                wire = Wire(self.port).connect()
                wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                try:
                    for at in range(len(data)):
                        wire.send(data[at:at + 1])
                except ConnectionError:
                    pass  # It had seen enough.
                self.expect_error(wire, text)

    def flood(self, name, piece, connected=True):
        """Sends until the broker has closed; False if it never does."""
        wire = Wire(self.port)
        if connected:
            wire.connect()
        if name == "to itself over a topic":
            wire.subscribe("/topic/f6")
        sent = 0
        wire.socket.settimeout(SILENCE_S)
        try:
            while sent < FLOOD_BYTES:
                wire.send(piece)
                sent += len(piece)
        except (ConnectionError, socket.timeout) as error:
            return not isinstance(error, socket.timeout)
        finally:
            wire.close()
        return False

    def test_floods(self):
        for name, make in list(FLOODS.items()) + list(UNREAD_FLOODS.items()):
            with self.subTest(name):
                self.assertTrue(self.flood(name, make()), "never stopped")

    def test_floods_before_connect(self):
        for name in ("header flood", "endless header", "NUL flood", "random bytes"):
            with self.subTest(name):
                self.assertTrue(self.flood(name, FLOODS[name](), connected=False), "never stopped")

    def test_many_floods_at_once(self):
        results = {}

        def attack(name, piece):
            results[name] = self.flood(name, piece)

        threads = [threading.Thread(target=attack, args=(name, make()))
                   for name, make in FLOODS.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(results, {name: True for name in FLOODS})

    def test_line_ends_are_no_frame(self):
        """Heart-beats may come as fast as they like; they cost nothing and prove nothing."""
        wire = Wire(self.port).connect()
        for _ in range(20):
            wire.send(b"\n" * MEBIBYTE)
        wire.send(frame("SEND", [("destination", "/topic/x"), ("receipt", "r")]))
        self.assertEqual(wire.next()[0], "RECEIPT")
        wire.close()

    def test_random_streams(self):
        rng = random.Random(2)
        words = [b"SEND\n", b"SUBSCRIBE\n", b"ACK\n", b"destination:/queue/r\n", b"id:1\n", b"\n",
                 b"\0", b"content-length:5\n", b"x" * 50, b"\\", b"\r\n", b"receipt:1\n",
                 b"transaction:1\n", b"BEGIN\n", b":", bytes(range(256))]
        for _ in range(200):
            wire = Wire(self.port)
            try:
                if rng.random() < 0.8:
                    wire.send(CONNECT)
                wire.send(b"".join(rng.choice(words) for _ in range(rng.randrange(60))))
            except ConnectionError:
                pass
            wire.close()

    def test_silence(self):
        """Connections that say nothing, half a CONNECT, or half a frame: each has its time."""
        silent = {
            "nothing": (b"", "no CONNECT frame within 10s"),
            "heart-beats alone": (b"\n\n\n", "no CONNECT frame within 10s"),
            "half a CONNECT": (CONNECT[:10], "no CONNECT frame within 10s"),
            "half a header": (CONNECT + b"SEND\ndestina", "frame not complete within 30s"),
            "half a body": (
                CONNECT + b"SEND\ndestination:/queue/a\ncontent-length:900\n\nabc",
                "frame not complete within 30s"),
            "no heart-beats as agreed": (
                frame("CONNECT", [("accept-version", "1.2"), ("heart-beat", "1000,0")]),
                "no heart-beat within 2s, twice what was agreed"),
        }
        wires = []
        for name, (data, text) in silent.items():
            wire = Wire(self.port)
            wire.send(data)
            wires.append((name, wire, text))
        for name, wire, text in wires:
            with self.subTest(name):
                end = time.monotonic() + SILENCE_S
                answer = wire.next(SILENCE_S)
                while answer is not None and answer[0] != "ERROR":
                    answer = wire.next(max(end - time.monotonic(), 1))
                self.assertIsNotNone(answer)
                self.assertEqual(answer[1]["message"], text)
                self.assertIsNone(wire.next())
                wire.close()

    def test_many_half_sent_bodies(self):
        """More of announced bodies than all messages together may take."""
        wires = []
        for _ in range(500):
            wire = Wire(self.port).connect()
            wires.append(wire)
            try:
                wire.send(b"SEND\ndestination:/queue/h\ncontent-length:1000000\n\n")
                wire.send(b"x" * 900000)
            except ConnectionError:
                pass  # The largest have to go.
        self.broker.logged("the broker holds more than")
        trips = self.good.trips
        wait_for(lambda: self.good.trips > trips + 5, "round trips")
        for wire in wires:
            wire.close()

    def test_consumers_that_do_not_read(self):
        wires = [Wire(self.port, receive_buffer=4096).connect() for _ in range(20)]
        for wire in wires:
            wire.subscribe("/topic/unread")
        sender = Wire(self.port).connect()
        message = frame("SEND", [("destination", "/topic/unread")], b"x" * 500000)
        for _ in range(150):
            sender.send(message)
        self.broker.logged("slow consumer")
        sender.send(frame("SEND", [("destination", "/topic/x"), ("receipt", "alive")]))
        self.assertEqual(sender.next()[1]["receipt-id"], "alive")
        for wire in wires + [sender]:
            wire.close()

    def test_a_consumer_that_never_acknowledges(self):
        taker = Wire(self.port).connect().subscribe("/queue/unacked", ack="client")
        self.assertTrue(self.flood("unacked", frame(
            "SEND", [("destination", "/queue/unacked")], b"x" * 100000) * 10))
        taker.close()

    def test_resets(self):
        for _ in range(300):
            wire = Wire(self.port)
            wire.send(CONNECT + frame("SUBSCRIBE", [("destination", "/topic/good"), ("id", "1")]))
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            wire.close()

    def test_nothing_stays(self):
        """Connections, subscriptions and messages of the gone are gone."""
        wires = [Wire(self.port).connect() for _ in range(1000)]
        for wire in wires:
            for name in range(5):
                wire.send(frame("SUBSCRIBE", [("destination", "/topic/n%d" % name), ("id", name)]))
        for wire in wires:
            wire.close()



if __name__ == "__main__":
    unittest.main()
