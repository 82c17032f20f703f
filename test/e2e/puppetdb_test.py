# SPDX-License-Identifier: Apache-2.0
"""Nodes named by a real PuppetDB over its own PostgreSQL: it is told facts by its command API, then asked by jobs."""

import contextlib
import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "testing"))
import fleet as fleets  # noqa: E402

COUNT = 6
POLICY = """\
rules:
  - {effect: allow, callers: [cert=operator], actions: ["*"]}
  - {effect: allow, callers: [cert=guest], actions: [node.ping, node.list]}
"""


def name_of(number):
    return f"sim{number:05d}.example.net"


class PuppetDbTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="orch-puppetdb-")
        os.chmod(cls.directory, 0o755)  # PostgreSQL runs as another user than root
        cls.fleet = fleet = fleets.Fleet(cls.directory, nodes=(), policy=POLICY)
        cls.addClassCleanup(fleet.remove)
        cls.addClassCleanup(fleet.stop)
        fleet.make_swarm(COUNT)
        # Any certificate of the CA with 127.0.0.1 in it will do for PuppetDB.
        cls.port = fleets.free_port()
        cls.start_puppetdb()
        cls.start_controller()
        cls.swarm = fleet.start_swarm(COUNT)
        cls.addClassCleanup(cls.swarm.stop)
        fleet.wait_present(COUNT)
        for number in range(4):
            cls.tell_facts(name_of(number), {"tier": "gold" if number < 2 else "silver"})
        cls.tell_facts("unmanaged.example.net", {"tier": "bronze"})
        fleets.wait_for("PuppetDB knows the facts", lambda: len(cls.ask("nodes[certname]{}") or []) == 5, 60)

    @classmethod
    def start_puppetdb(cls):
        done = subprocess.run([os.path.join(fleets.ROOT, "test", "testing", "peers", "start"), "puppetdb",
                               cls.fleet.path("puppetdb"), str(cls.port), cls.fleet.path("ca"), "guest"],
                              stdout=subprocess.PIPE, text=True, check=False, timeout=300)
        if done.returncode != 0:
            with open(cls.fleet.path("puppetdb.out"), encoding="utf-8", errors="replace") as out:
                raise AssertionError(f"PuppetDB did not start:\n{out.read()[-3000:]}")
        group = int(done.stdout.split()[-1])
        cls.addClassCleanup(end_group, group)

    @classmethod
    def start_controller(cls, port=None):
        cls.fleet.start_controller(f"puppetdb:\n  url: https://127.0.0.1:{port or cls.port}\n")

    @classmethod
    def call(cls, path, body):
        context = ssl.create_default_context(cafile=cls.fleet.path("ca", "ca.pem"))
        context.load_cert_chain(cls.fleet.path("ca", "controller.pem"), cls.fleet.path("ca", "controller.key"))
        connection = http.client.HTTPSConnection("127.0.0.1", cls.port, context=context, timeout=30)
        with contextlib.closing(connection):
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode()
        if answer.status == 503:  # it listens before it serves
            return None
        if answer.status != 200:
            raise AssertionError(f"{path}: {answer.status} {text}")
        return json.loads(text)

    @classmethod
    def tell_facts(cls, certname, facts):
        fleets.wait_for("PuppetDB takes facts", lambda: cls.call(
            f"/pdb/cmd/v1?command=replace_facts&version=5&certname={certname}",
            {"certname": certname, "environment": "production", "producer_timestamp": "2026-01-01T00:00:00Z",
             "producer": "test", "values": facts}), 120)

    @classmethod
    def ask(cls, query):
        return cls.call("/pdb/query/v4", {"query": query})

    def exits(self, code, *arguments, **keywords):
        done = self.fleet.orchctl(*arguments, check=False, **keywords)
        self.assertEqual(done.returncode, code, f"{arguments}\n{done.stdout}\n{done.stderr}")
        return done

    @staticmethod
    def tier(value):
        return f'nodes[certname]{{ facts{{ name = "tier" and value = "{value}" }} }}'

    def test_a_query_names_nodes(self):
        self.assertEqual(self.fleet.orchctl("find", "--pql", self.tier("gold")).stdout.split(), [name_of(0), name_of(1)])
        report = self.fleet.report("ping", "--pql", self.tier("silver"))
        self.assertEqual([node["node"] for node in report["nodes"]], [name_of(2), name_of(3)])
        self.assertEqual(report["exit"], 0)
        # The target and other names still hold; a query only narrows.
        self.assertEqual(self.fleet.orchctl("find", "--pql", self.tier("gold"), "-F", "number=1").stdout.split(), [name_of(1)])
        self.assertEqual(self.fleet.orchctl("find", "--pql", self.tier("gold"), "--nodes", "-",
                                            stdin=f"{name_of(0)}\n{name_of(5)}\n").stdout.split(), [name_of(0)])
        report = self.fleet.report("puppet", "run", "--pql", self.tier("gold"))
        self.assertEqual([node["node"] for node in report["nodes"]], [name_of(0), name_of(1)])
        audit = json.loads(self.fleet.orchctl("audit", "list", "-o", "json").stdout)["records"]
        targets = [record["target"] for record in audit if record["kind"] == "decision" and record["action"] == "puppet.run"]
        self.assertIn("(PuppetDB gave 2)", targets[0])
        self.assertIn("tier", targets[0])

    def test_nobody_is_not_everybody(self):
        for command in (("find",), ("ping",), ("puppet", "run")):
            with self.subTest(command=command):
                self.exits(1, *command, "--pql", self.tier("platinum"))
        self.exits(1, "ping", "--pql", self.tier("gold"), "--nodes", "-", stdin=name_of(5))

    def test_what_puppetdb_knows_and_orch_does_not_is_silent(self):
        done = self.exits(3, "find", "--pql", self.tier("bronze"), "--discovery-timeout", "500ms")
        self.assertIn("unmanaged.example.net", done.stderr)

    def test_a_wrong_query_is_puppetdbs_word(self):
        self.assertIn("--pql: PuppetDB", self.exits(64, "find", "--pql", "nodes[").stderr)
        self.assertIn("PQL parse error at line 1, column 7", self.exits(64, "ping", "--pql", "nodes[").stderr)
        self.assertIn("without a certname", self.exits(64, "ping", "--pql", "facts[name]{}").stderr)

    def test_asking_needs_a_right(self):
        self.exits(0, "ping", user="guest")
        self.assertIn("puppetdb.query", self.exits(5, "ping", "--pql", self.tier("gold"), user="guest").stderr)

    def test_puppetdb_is_away(self):
        self.restart_controller(fleets.free_port())
        self.assertIn("(PUPPETDB_UNAVAILABLE", self.exits(4, "ping", "--pql", self.tier("gold")).stderr)
        self.restart_controller(self.port)
        self.exits(0, "ping", "--pql", self.tier("gold"))

    def restart_controller(self, port):
        self.fleet.controller.stop()
        self.start_controller(port)
        self.fleet.wait_present(COUNT)
        fleets.wait_for("nodes are connected again", lambda: self.fleet.report("ping")["exit"] == 0)


def end_group(group):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    unittest.main(verbosity=2)
