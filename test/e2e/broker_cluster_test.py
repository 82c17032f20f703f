# SPDX-License-Identifier: Apache-2.0
"""Two brokers that serve one fleet, an ActiveMQ network or a RabbitMQ cluster: nodes on one, the controller on the other, and
either dies under a running job."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "testing"))
import fleet as fleets  # noqa: E402

NODES = 60


class PairFleet(fleets.Fleet):
    """A fleet whose nodes prefer the first of two brokers, and whose controller the second."""

    def __init__(self, directory, broker):
        super().__init__(directory, nodes=(), broker=broker)
        self.ports = [fleets.free_port() for _ in range(2)]
        self.network_ports = [fleets.free_port() for _ in range(2)]
        self.pids = [None, None]

    def address_of(self, number):
        return f"127.0.0.1:{self.ports[number]}"

    def start_one(self, number):
        """Starts it, or starts it again."""
        names = self.write("names", "".join(name + "\n" for name in self.swarm_names))
        command = [os.path.join(fleets.ROOT, "deploy", "brokers", self.broker_kind, "try"), "--dir", self.path(f"broker{number}"),
                   "--port", str(self.ports[number]), "--controller", "controller", "--nodes", names]
        for flag, file in (("--ca", "ca.pem"), ("--crl", "crl.pem"), ("--cert", "broker.pem"), ("--key", "broker.key")):
            command += [flag, self.path("ca", file)]
        if self.broker_kind == "activemq":
            command += ["--network-port", str(self.network_ports[number]), "--peer", str(self.network_ports[1 - number])]
        elif number == 1:
            command += ["--join", self.path("broker0")]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=180)
        match = re.search(r"^PID (\d+)$", done.stdout, re.M)
        if done.returncode != 0 or not match:
            raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}")
        self.pids[number] = int(match.group(1))

    def kill_one(self, number):
        if self.pids[number] is not None:
            os.kill(self.pids[number], signal.SIGKILL)
            fleets.wait_for("the broker's end", lambda: fleets.ended(self.pids[number]))
            self.pids[number] = None

    def bus(self, role):
        order = (1, 0) if role == "controller" else (0, 1)
        brokers = ", ".join(f"'{self.address_of(number)}'" for number in order)
        return f"bus:\n  brokers: [{brokers}]\n  flavour: {self.flavour()}\n"

    def start_pair(self):
        for number in range(2):
            self.start_one(number)
        self.broker_address = self.address_of(0)  # the nodes' first; the swarm is told the other beside it

    def stop(self):
        super().stop()
        for number in range(2):
            self.kill_one(number)


class BrokerClusterTest(unittest.TestCase):
    def setUp(self):
        self.fleet = PairFleet(tempfile.mkdtemp(prefix="orch-broker-cluster-"), fleets.UNDER_TEST)
        self.addCleanup(self.fleet.remove)
        self.addCleanup(self.fleet.stop)
        self.fleet.make_swarm(NODES)
        self.fleet.start_pair()
        self.fleet.start_controller()
        self.swarm = self.fleet.start_swarm(NODES, "--broker", self.fleet.address_of(1), "--run-time-ms", "2000")
        self.addCleanup(self.swarm.kill)
        self.swarm.wait_log("ready: ", 120)
        # Brokers of a network take a moment to hear of each other's subscriptions: nodes that nobody heard say it again when asked.
        self.fleet.wait_present(NODES, 120, facts=False)

    def figures(self):
        said = re.findall(r"^\{\"connected.*\}$", self.swarm.text(), re.M)
        return json.loads(said[-1]) if said else {"starts": 0, "started_twice": 0}

    def run_and_kill(self, number):
        """A run on all nodes, 30 at once, during which a broker dies; everybody ends as if it had not."""
        before = self.figures()["starts"]
        process = subprocess.Popen([fleets.binary("orchctl"), "puppet", "run", "--all", "-y", "--expect-nodes", str(NODES), "--concurrency", "30",
                                    "-o", "json"], env=self.fleet.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        fleets.wait_for("the first runs", lambda: self.figures()["starts"] > before + 10, 60)
        self.fleet.kill_one(number)
        out, err = process.communicate(timeout=180)
        self.assertTrue(out, err + self.fleet.controller.text()[-3000:])
        report = json.loads(out)
        states = [node["state"] for node in report["nodes"]]
        self.assertEqual(states.count("NODE_STATE_SUCCEEDED"), NODES, (states, err[-2000:]))
        fleets.wait_for("the figures", lambda: self.figures()["starts"] >= before + NODES)
        figures = self.figures()
        self.assertEqual((figures["starts"], figures["started_twice"]), (before + NODES, 0))

    def test_a_job_goes_on_whichever_broker_dies(self):
        self.assertRegex(self.fleet.controller.text(), "connected.*" + self.fleet.address_of(1))
        self.run_and_kill(0)  # the nodes'
        self.fleet.start_one(0)
        self.run_and_kill(1)  # the controller's, and now the nodes' too


if __name__ == "__main__":
    unittest.main()
