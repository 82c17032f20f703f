# SPDX-License-Identifier: Apache-2.0
"""orch-broker as a program: flags, configuration, exit codes, signals, certificates, descriptors."""

import contextlib
import json
import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

from broker_process import CONNECT, PATIENCE_S, Broker, Wire, frame, wait_for

BINARY, MAKE_CA = sys.argv.pop(1), sys.argv.pop(1)


def run(*arguments):
    return subprocess.run([BINARY] + list(arguments), capture_output=True, text=True,
                          timeout=PATIENCE_S, check=False)


class TestDirectory(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def make_ca(self, *arguments):
        subprocess.run([MAKE_CA, self.directory] + list(arguments), check=True,
                       capture_output=True, timeout=60)

    def tls_config(self, extra=""):
        return self.write("broker.yaml", """
broker:
  listen: 127.0.0.1:0
%s
trust:
  certificate: %s/broker1.pem
  private_key: %s/broker1.key
  ca: %s/ca.pem
  crl: %s/crl.pem
""" % ((extra,) + (self.directory,) * 4))


class FlagsTest(TestDirectory):
    def expect(self, arguments, code, *texts):
        result = run(*arguments)
        self.assertEqual(result.returncode, code, result.stderr)
        for text in texts:
            self.assertIn(text, result.stderr)
        self.assertEqual(len(result.stderr.strip().split("\n")), 1, result.stderr)

    def test_help_and_version(self):
        self.assertIn("--insecure-loopback", run("--help").stdout)
        self.assertRegex(run("--version").stdout, r"^orch-broker \d+\.\d+\.\d+\n$")

    def test_usage(self):
        self.expect([], 64, "--config FILE")
        self.expect(["--nonsense"], 64, "--nonsense")
        self.expect(["--log-format", "xml"], 64, "--log-format", "xml")
        self.expect(["--listen", "127.0.0.1:0"], 64, "--insecure-loopback")
        self.expect(["--listen", "0.0.0.0:0", "--insecure-loopback"], 64,
                    "--listen", "0.0.0.0:0 is not a loopback address")
        self.expect(["--listen", "127.0.0.1", "--insecure-loopback"], 64, "127.0.0.1")
        self.expect(["--listen", "127.0.0.1:99999", "--insecure-loopback"], 64, "99999")

    def test_bad_configuration(self):
        def expect_config(text, *expected):
            path = self.write("bad.yaml", text)
            self.expect(["--config", path], 64, path, *expected)

        self.expect(["--config", "/nonexistent.yaml"], 64, "/nonexistent.yaml")
        expect_config("broker:\n  lissen: a\n", ":2:", "lissen")
        expect_config("broker: {}\n", "broker.listen")
        expect_config("broker: {listen: '127.0.0.1:0'}\n", "trust")
        expect_config("broker: {listen: '127.0.0.1:0', insecure_loopback: true,"
                      " limits: {queue_bytes: 5}}\n", "limits.queue_bytes: 5")
        expect_config("broker: {listen: '127.0.0.1:0', insecure_loopback: true}\n"
                      "log_format: xml\n", "log_format: `xml`")

    def test_missing_certificate_is_named(self):
        path = self.write("broker.yaml", "broker: {listen: '127.0.0.1:0'}\ntrust: {certificate: "
                          "/missing/a.pem, private_key: /missing/a.key, ca: /missing/ca.pem, "
                          "crl: /missing/crl.pem}\n")
        self.expect(["--config", path, "--check-config"], 64, "/missing/")

    def test_check_config(self):
        path = self.write("good.yaml",
                          "broker: {listen: '127.0.0.1:0', insecure_loopback: true}\n")
        result = run("--config", path, "--check-config")
        self.assertEqual((result.returncode, result.stdout), (0, "configuration is valid\n"))

    def test_address_in_use(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = "127.0.0.1:%d" % taken.getsockname()[1]
            self.expect(["--listen", address, "--insecure-loopback"], 1,
                        "listen on %s: Address already in use" % address)


class SignalTest(TestDirectory):
    def test_stops_and_lets_clients_go(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with Broker(BINARY) as broker:
                wire = Wire(broker.port).connect()
                broker.process.send_signal(number)
                self.assertIsNone(wire.next())
                wire.close()
                self.assertEqual(broker.process.wait(PATIENCE_S), 0)

    def test_stops_though_a_client_does_not_go(self):
        with Broker(BINARY) as broker:
            wire = Wire(broker.port).connect()
            broker.process.send_signal(signal.SIGTERM)
            self.assertEqual(broker.process.wait(PATIENCE_S), 0)
            wire.close()

    def test_json_log(self):
        with Broker(BINARY, "--listen", "127.0.0.1:0", "--insecure-loopback", "--log-format",
                    "json", "--verbose") as broker:
            wire = Wire(broker.port).connect()
            broker.logged("connected with STOMP 1.2")
            for line in broker.lines:
                self.assertIn("level", json.loads(line))
            wire.close()


class TlsTest(TestDirectory):
    def setUp(self):
        super().setUp()
        self.make_ca("--broker", "broker1", "--node", "web01", "--controller", "ctl", "--user",
                     "alice")

    def connect(self, port, name):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.directory + "/ca.pem")
        if name:
            context.load_cert_chain("%s/%s.pem" % (self.directory, name),
                                    "%s/%s.key" % (self.directory, name))
        wire = Wire(port)
        wire.socket = context.wrap_socket(wire.socket, server_hostname="127.0.0.1")
        return wire

    def answer(self, port, name, *frames):
        """What comes last: an ERROR's message, a RECEIPT's id, or the handshake's end."""
        try:
            wire = self.connect(port, name)
        except (ssl.SSLError, ConnectionError):
            return "handshake"
        # At once: a node may have only so many connections.
        with contextlib.closing(wire):
            return self.last_of(wire, frames)

    @staticmethod
    def last_of(wire, frames):
        try:
            wire.send(CONNECT + b"".join(frames))
            last = wire.next()
            while frames and last and last[0] not in ("RECEIPT", "ERROR"):
                last = wire.next()
        except (ssl.SSLError, ConnectionError):
            last = None
        if last is None:
            return "handshake"
        return last[1].get("message") or last[1].get("receipt-id") or last[0]

    def test_rights_by_role(self):
        with Broker(BINARY, "--config", self.tls_config()) as broker:
            def send(destination):
                return frame("SEND", [("destination", destination), ("receipt", "ok")], b"x")

            def read(destination):
                return frame("SUBSCRIBE",
                             [("destination", destination), ("id", "1"), ("receipt", "ok")])

            allowed = [
                ("web01", read("/topic/orch.main.request")),
                ("web01", read("/topic/orch.main.node.web01")),
                ("web01", send("/queue/orch.main.reply.ctl")),
                ("web01", send("/topic/orch.main.presence")),
                ("ctl", send("/topic/orch.main.request")),
                ("ctl", send("/topic/orch.main.node.web01")),
                ("ctl", read("/queue/orch.main.reply.ctl")),
                ("ctl", read("/topic/orch.main.presence")),
            ]
            forbidden = [
                ("web01", send("/topic/orch.main.request")),
                ("web01", send("/topic/orch.main.node.web01")),
                ("web01", read("/topic/orch.main.node.web02")),
                ("web01", read("/queue/orch.main.reply.ctl")),
                ("web01", read("/topic/orch.main.presence")),
                ("web01", send("/queue/else")),
                ("ctl", read("/topic/orch.main.request")),
                ("ctl", read("/queue/orch.main.reply.ctl2")),
                ("ctl", send("/topic/orch.main.presence")),
                ("ctl", send("/queue/orch.main.reply.ctl")),
                ("ctl", read("/queue/else")),
            ]
            for name, data in allowed:
                self.assertEqual(self.answer(broker.port, name, data), "ok", data)
            for name, data in forbidden:
                verb, rest = data.decode().split("\ndestination:")
                self.assertRegex(self.answer(broker.port, name, data),
                                 "^%s %s: .* %s may not" % (verb, rest.split("\n")[0], name))
            for name in ("alice", None):
                self.assertEqual(self.answer(broker.port, name, b""), "handshake")
            broker.logged("TLS handshake")

    def test_plain_bytes_and_silence(self):
        with Broker(BINARY, "--config", self.tls_config()) as broker:
            wire = Wire(broker.port)
            wire.send(CONNECT)
            while wire.next() is not None:
                pass
            wire.close()
            wire = Wire(broker.port)
            begin = time.monotonic()
            wire.socket.settimeout(20)
            self.assertEqual(wire.socket.recv(1), b"")
            self.assertLess(time.monotonic() - begin, 15)
            wire.close()

    def test_reload(self):
        with Broker(BINARY, "--config", self.tls_config()) as broker:
            wire = self.connect(broker.port, "web01")
            wire.send(CONNECT)
            self.assertEqual(wire.next()[0], "CONNECTED")
            self.make_ca("--revoke", "web01")
            broker.process.send_signal(signal.SIGHUP)
            broker.logged("certificates reloaded")
            command, headers = wire.next()[:2]
            self.assertEqual(command, "ERROR")
            self.assertIn("revoked by", headers["message"])
            wire.close()
            broker.logged("revoked by")
            self.assertEqual(self.answer(broker.port, "web01"), "handshake")
            self.assertEqual(self.answer(broker.port, "ctl"), "CONNECTED")
            with open(self.directory + "/crl.pem", "w", encoding="utf-8") as file:
                file.write("rubbish")
            broker.process.send_signal(signal.SIGHUP)
            broker.logged("the old ones stay in force")
            self.assertEqual(self.answer(broker.port, "ctl"), "CONNECTED")

    def test_no_descriptors_left(self):
        def few_files():
            resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))

        with Broker(BINARY, "--config", self.tls_config(), limits=few_files) as broker:
            silent = [Wire(broker.port) for _ in range(100)]
            broker.logged("Too many open files")
            begin = broker.cpu_s()
            time.sleep(1)  # It is the second itself that is measured.
            self.assertLess(broker.cpu_s() - begin, 0.3)
            for wire in silent:
                wire.close()
            wait_for(lambda: self.answer(broker.port, "web01") == "CONNECTED", "a connection")


if __name__ == "__main__":
    unittest.main()
