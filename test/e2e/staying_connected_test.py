# SPDX-License-Identifier: Apache-2.0
"""Two brokers of which one hangs, dies or is all that there is: controller and node go on by themselves, and say so."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "testing"))
import fleet as fleets  # noqa: E402

NODES = ("a.example.net", "b.example.net")
HEART_BEAT_S = 4
# The machine may be busy with anything.
SLACK_S = 3


class TwoBrokers(fleets.Fleet):
    """A fleet whose brokers are two orch-brokers, which every part knows in the same order."""

    def __init__(self, directory):
        super().__init__(directory, nodes=NODES, broker="orch-broker")
        self.brokers = {}
        self.ports = {name: fleets.free_port() for name in ("one", "two")}

    def start_broker(self):
        for name in self.ports:
            self.start_one(name)

    def start_one(self, name):
        config = self.write(f"{name}.yaml", self.trust("controller") + f"broker:\n  listen: '127.0.0.1:{self.ports[name]}'\n")
        self.brokers[name] = fleets.Process(name, [fleets.binary("orch-broker"), "--config", config],
                                            self.path(name + ".log")).start()
        self.brokers[name].wait_log("listening")

    def start_node(self, name, extra="", sources=None):
        # What a node says while the controller is still on its way to the next broker, nobody hears.
        return super().start_node(name, extra + "presence_interval: 10s\n", sources)

    def address_of(self, name):
        return f"127.0.0.1:{self.ports[name]}"

    def bus(self, role):  # pylint: disable=unused-argument
        listed = ", ".join(f"'{self.address_of(name)}'" for name in self.ports)
        return (f"bus:\n  brokers: [{listed}]\n  order: priority\n  tls_server_name: controller\n"
                f"  heart_beat: {HEART_BEAT_S}s\n  reconnect_spread: 500ms\n  reconnect_max: 1s\n")

    def status(self, name):
        path = self.path(name, "agent-run", "status.json")
        fleets.wait_for(f"{name}'s first status", lambda: os.path.exists(path))
        with open(path, encoding="utf-8") as file:
            return json.load(file)

    def nodeagent(self, name, verb):
        return subprocess.run([fleets.binary("orch-nodeagent"), "--config", self.path(name, "nodeagent.yaml"), verb],
                              capture_output=True, text=True, timeout=60, check=False)

    def ready(self):
        """What /readyz says: 200 and the rest."""
        try:
            with urllib.request.urlopen(f"http://{self.http}/readyz", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def nodes_at(self, broker):
        return all(self.status(name)["bus"]["connected"] and self.status(name)["bus"]["broker"] == self.address_of(broker)
                   for name in NODES)

    def all_answer(self):
        done = self.orchctl("ping", check=False)
        return done.returncode == 0 and all(name in done.stdout for name in NODES)

    def stop(self):
        for broker in self.brokers.values():
            if broker.alive():
                os.kill(broker.pid, signal.SIGCONT)
        super().stop()
        for broker in self.brokers.values():
            broker.kill()


class StayingConnectedTest(unittest.TestCase):
    def setUp(self):
        self.fleet = TwoBrokers(tempfile.mkdtemp(prefix="orch-stay-"))
        self.addCleanup(self.fleet.remove)
        self.addCleanup(self.fleet.stop)
        self.fleet.start()

    def test_a_broker_that_hangs_is_left_within_two_heart_beats(self):
        fleets.wait_for("the first of the list", lambda: self.fleet.nodes_at("one"))
        os.kill(self.fleet.brokers["one"].pid, signal.SIGSTOP)
        begin = time.monotonic()
        fleets.wait_for("nodes at the other broker", lambda: self.fleet.nodes_at("two"), 30)
        fleets.wait_for("the nodes' answers there", self.fleet.all_answer, 30)
        took = time.monotonic() - begin
        print(f"all answer over the other broker {took:.1f} s after the first one hung, heart-beat {HEART_BEAT_S} s")
        self.assertLessEqual(took, 2 * HEART_BEAT_S + SLACK_S)
        for name in NODES:
            bus = self.fleet.status(name)["bus"]
            self.assertEqual((bus["reconnects"], bus["failovers"]), ("1", "1"), bus)
            self.assertIn("nothing heard for", self.fleet.nodes[name].text())

        # The one that hung wakes up: nobody goes back to it. The other one dies: everybody does, at once.
        os.kill(self.fleet.brokers["one"].pid, signal.SIGCONT)
        self.assertTrue(self.fleet.all_answer())
        self.assertTrue(self.fleet.nodes_at("two"))
        self.fleet.brokers["two"].kill()
        begin = time.monotonic()
        fleets.wait_for("the nodes' answers at the first broker", self.fleet.all_answer, 30)
        self.assertLessEqual(time.monotonic() - begin, 0.5 + SLACK_S)
        fleets.wait_for("the nodes' own word of it", lambda: self.fleet.nodes_at("one"))

    def test_without_any_broker_everybody_says_so_and_recovers(self):
        for broker in self.fleet.brokers.values():
            broker.kill()
        fleets.wait_for("not ready", lambda: self.fleet.ready()[0] == 503, 30)
        wanted = r"bus: not connected since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ: connect 127\.0\.0\.1:\d+: Connection refused"
        fleets.wait_for("the reason at /readyz", lambda: re.search(wanted, self.fleet.ready()[1]), 30)
        for command in (("ping",), ("run", "puppet.disable", "--all"), ("find",)):
            begin = time.monotonic()
            done = self.fleet.orchctl(*command, check=False)
            self.assertEqual(done.returncode, 4, (command, done.stdout, done.stderr))
            self.assertRegex(done.stderr, r"not connected to the message bus for \S+: connect 127\.0\.0\.1:\d+: Connection refused")
            self.assertLess(time.monotonic() - begin, SLACK_S, "told at once")
        done = self.fleet.orchctl("doctor", check=False)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertRegex(done.stdout, r"FAIL  bus: .*Connection refused")
        for name in NODES:
            fleets.wait_for("the node's status", lambda: not self.fleet.status(name)["bus"]["connected"], 30)
            fleets.wait_for("the reason in it", lambda: re.search(
                r"broker +not connected, since \S+ ago: connect 127\.0\.0\.1:\d+: Connection refused",
                self.fleet.nodeagent(name, "status").stdout), 30)
            self.assertEqual(self.fleet.nodeagent(name, "status").returncode, 1)
            done = self.fleet.nodeagent(name, "doctor")
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stdout, r"BAD   broker: not connected, since ")

        # One is enough. Whoever asks for a change as soon as the controller is back gets every node, though they come
        # back when they like.
        self.fleet.start_one("two")

        def change():
            report = self.fleet.orchctl("run", "puppet.disable", "--all", "-o", "json", check=False)
            return report if report.returncode != 4 else None
        done = fleets.wait_for("a controller that is back", change, 30)
        self.assertEqual(done.returncode, 0, (done.stdout, done.stderr))
        self.assertEqual({node["node"]: node["state"] for node in json.loads(done.stdout)["nodes"]},
                         {name: "NODE_STATE_SUCCEEDED" for name in NODES})
        fleets.wait_for("ready", lambda: self.fleet.ready()[0] == 200, 30)
        fleets.wait_for("the nodes' own word of it", lambda: self.fleet.nodes_at("two"))
        self.assertEqual(self.fleet.orchctl("doctor", check=False).returncode, 0)
        self.assertEqual(self.fleet.nodeagent(NODES[0], "status").returncode, 0)

    def test_a_renewed_certificate_is_used_without_a_restart(self):
        name = NODES[0]
        before = self.certificate_end(name)
        for suffix in (".pem", ".key"):
            os.unlink(self.fleet.path("ca", name + suffix))
        subprocess.run([os.path.join(fleets.ROOT, "tools", "make-ca"), self.fleet.path("ca"), "--days", "30", "--node", name],
                       check=True, stdout=subprocess.DEVNULL, timeout=60)
        os.kill(self.fleet.nodes[name].pid, signal.SIGHUP)
        self.fleet.nodes[name].wait_log("reloaded certificates")
        # New signatures at once; new connections with the next one.
        fleets.wait_for("the nodes' answers", self.fleet.all_answer, 30)
        self.fleet.brokers["one"].kill()
        fleets.wait_for("the nodes' answers over the other broker", self.fleet.all_answer, 30)
        fleets.wait_for("the new certificate in the roster", lambda: self.certificate_end(name) != before)

    def certificate_end(self, name):
        shown = json.loads(self.fleet.orchctl("node", "show", name, "-o", "json").stdout)
        return shown.get("node", shown)["certificate_end_time"]


if __name__ == "__main__":
    unittest.main()
