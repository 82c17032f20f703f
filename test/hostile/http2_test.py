# SPDX-License-Identifier: Apache-2.0
"""A caller with a certificate and no right at all does its worst to the gRPC port of a real controller: it may cost 64 MB, and
others a second."""

import os
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "testing"))
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import fleet as fleets  # noqa: E402
import peers  # noqa: E402
from peers import CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING  # noqa: E402
from peers import PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, number, setting  # noqa: E402

POLICY = """\
rules:
  - {effect: allow, callers: [cert=operator], actions: ["*"]}
"""
ATTACK_S = 4
GROWN_MAX_MB = 64
CALL_MAX_S = 1.0


class Http2Test(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="orch-http2-")
        cls.fleet = fleet = fleets.Fleet(cls.directory, nodes=("web1.example.net",), users=("operator", "intruder"), policy=POLICY)
        cls.addClassCleanup(fleet.remove)
        cls.addClassCleanup(fleet.stop)
        fleet.make_ca()
        fleet.start_controller()

    def connect(self, user, **keywords):
        path = self.fleet.path
        return peers.Http2(self.fleet.address, path("ca", user + ".pem"), path("ca", user + ".key"), path("ca", "ca.pem"), **keywords)

    def warm_up(self):
        """Memory that the first calls and connections need is not an attack's."""
        callers = [peers.Caller(lambda: self.connect("operator")) for _ in range(8)]
        for caller in callers:
            for _ in range(20):
                caller.call()
            caller.close()

    def attack(self, begin, wave, seconds=ATTACK_S):
        """Connects, and connects again when it is thrown out; returns how often it was."""
        self.warm_up()
        ended = 0
        with peers.Watch(self.fleet.controller.pid, lambda: self.connect("operator")) as watch:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                peer = None
                try:
                    peer = begin()
                    while time.monotonic() < end:
                        peer.write(wave(peer))
                except OSError:
                    ended += 1
                finally:
                    if peer:
                        peer.close()
        print(f"{self.id().split('.')[-1]}: {ended} times out, {watch.grown:.1f} MB, call {watch.longest:.3f} s, "
              f"new connection {watch.longest_new:.3f} s, {watch.calls} calls", file=sys.stderr)
        self.assertIsNone(watch.error)
        self.assertLess(watch.grown, GROWN_MAX_MB)
        self.assertLess(watch.longest, CALL_MAX_S)
        self.assertLess(watch.longest_new, CALL_MAX_S)
        self.assertGreater(watch.calls, 10)
        self.assertTrue(self.fleet.controller.alive())
        return ended

    def begin(self, settings=b"", acknowledge=True, read=True):
        peer = self.connect("intruder").open(settings, acknowledge)
        return peer.read_away() if read else peer

    def test_calls_without_end_and_settings_never_acknowledged(self):
        def wave(peer):
            return b"".join(frame(HEADERS, END_HEADERS, peer.stream(), peers.request()) for _ in range(200))
        self.assertGreater(self.attack(lambda: self.begin(acknowledge=False), wave), 0)

    def test_continuation_without_end(self):
        def begin():
            peer = self.begin()
            peer.write(frame(HEADERS, 0, peer.stream(), peers.request()))
            return peer
        header = b"\x00" + peers.text("x" * 60) + peers.text("y" * 60)
        self.assertGreater(self.attack(begin, lambda _: frame(CONTINUATION, 0, 1, header * 100) * 10), 0)

    def test_rapid_reset(self):
        def wave(peer):
            out = b""
            for _ in range(100):
                stream = peer.stream()
                out += frame(HEADERS, END_HEADERS | END_STREAM, stream, peers.request()) + frame(RST_STREAM, 0, stream, number(8))
            return out
        self.assertGreater(self.attack(self.begin, wave), 0)

    def test_ping_flood_unread(self):
        self.assertGreater(self.attack(lambda: self.begin(read=False), lambda _: frame(PING, payload=b"12345678") * 500), 0)

    def test_ping_flood(self):
        self.assertGreater(self.attack(self.begin, lambda _: frame(PING, payload=b"12345678") * 500), 0)

    def test_settings_flood(self):
        flood = b"".join(frame(SETTINGS, payload=setting(4, 65535 - i % 2)) for i in range(500))
        self.assertGreater(self.attack(lambda: self.begin(read=False), lambda _: flood), 0)

    def test_empty_data_flood(self):
        def begin():
            peer = self.begin()
            peer.write(frame(HEADERS, END_HEADERS, peer.stream(), peers.request()))
            return peer
        self.assertGreater(self.attack(begin, lambda _: frame(DATA, 0, 1) * 1000), 0)

    def test_priority_flood(self):
        self.assertGreater(self.attack(self.begin, lambda _: frame(PRIORITY, 0, 1, number(0) + b"\x10") * 1000), 0)

    def test_windows_of_one_byte(self):
        def wave(peer):
            streams = [peer.stream() for _ in range(50)]
            out = b"".join(frame(HEADERS, END_HEADERS, stream, peers.request()) + frame(DATA, END_STREAM, stream, b"\0\0\0\0\0")
                           for stream in streams)
            for _ in range(40):
                out += b"".join(frame(WINDOW_UPDATE, 0, stream, number(1)) for stream in streams)
            return out
        self.assertGreater(self.attack(lambda: self.begin(settings=setting(4, 1)), wave), 0)

    def test_a_preface_in_drops(self):
        self.warm_up()
        began = time.monotonic()
        with peers.Watch(self.fleet.controller.pid, lambda: self.connect("operator")) as watch:
            slow = [self.connect("intruder") for _ in range(20)]
            ended = set()
            position = 0
            while len(ended) < len(slow) and time.monotonic() < began + 20:
                for index, peer in enumerate(slow):
                    if index in ended:
                        continue
                    try:
                        peer.write(peers.PREFACE[position:position + 1])
                    except OSError:
                        ended.add(index)
                position = min(position + 1, len(peers.PREFACE) - 1)
                time.sleep(0.5)
        for peer in slow:
            peer.close()
        self.assertIsNone(watch.error)
        self.assertLess(watch.longest, CALL_MAX_S)
        self.assertEqual(len(ended), len(slow), "the preface has no deadline")
        self.assertLess(time.monotonic() - began, 12)

    def test_settings_that_are_never_acknowledged_end_the_connection(self):
        peer = self.connect("intruder").open(acknowledge=False)
        began = time.monotonic()
        peer.socket.settimeout(20)
        goaway = [payload for kind, _, _, payload in peer.frames() if kind == peers.GOAWAY]
        self.assertLess(time.monotonic() - began, 15)
        self.assertEqual(goaway[-1][4:8], number(4), "SETTINGS_TIMEOUT")
        peer.close()

    def test_who_offers_no_http2_is_not_let_in(self):
        for protocols in ((), ("http/1.1",)):
            try:
                peer = self.connect("operator", protocols=protocols).open()
            except OSError:
                continue
            self.assertTrue(self.is_closed(peer), protocols)
            peer.close()

    def test_connections_of_one_certificate_are_bounded(self):
        held = []
        try:
            for _ in range(300):
                held.append(self.connect("intruder").open())
            caller = peers.Caller(lambda: self.connect("operator"))
            self.assertLess(caller.call(), CALL_MAX_S)
            caller.close()
            refused = sum(1 for peer in held if self.is_closed(peer))
            self.assertGreaterEqual(refused, 300 - 256)
        finally:
            for peer in held:
                peer.close()

    @staticmethod
    def is_closed(peer):
        peer.socket.settimeout(1)
        try:
            while peer.socket.recv(1 << 16):
                pass
            return True
        except TimeoutError:
            return False
        except OSError:
            return True

    def test_strangers_of_one_address_keep_nobody_out(self):
        """900 connections that say one byte of a ClientHello every 0.8 s, from another address than the honest caller's."""
        import socket
        host, port = self.fleet.address.rsplit(":", 1)
        strangers = []
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)
        try:
            with peers.Watch(self.fleet.controller.pid, lambda: self.connect("operator")) as watch:
                end = time.monotonic() + 6
                position = 0
                while time.monotonic() < end:
                    while len(strangers) < 900:
                        strangers.append(socket.create_connection((host, int(port)), 10, source_address=("127.0.0.2", 0)))
                    alive = []
                    for stranger in strangers:
                        try:
                            stranger.send(hello[position:position + 1])
                            alive.append(stranger)
                        except OSError:
                            stranger.close()
                    strangers = alive
                    position += 1
                    time.sleep(0.8)
        finally:
            for stranger in strangers:
                stranger.close()
        print(f"strangers: call {watch.longest:.3f} s, new connection {watch.longest_new:.3f} s", file=sys.stderr)
        self.assertIsNone(watch.error)
        self.assertLess(watch.longest, CALL_MAX_S)
        self.assertLess(watch.longest_new, CALL_MAX_S)


if __name__ == "__main__":
    unittest.main()
