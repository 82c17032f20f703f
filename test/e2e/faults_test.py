# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at every part in the middle of runs: no second start, one outcome a node, the job ends."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "testing"))
import fleet as fleets  # noqa: E402

# Each run leaves a line in `starts`; while `hold` exists it waits, so that a test can kill things in its middle.
MANIFEST = """\
exec { 'count this run':
  command => '/bin/sh -c "echo run >>%(root)s/starts"',
}
-> exec { 'wait while held':
  command => '/bin/sh -c "while [ -e %(root)s/hold ]; do sleep 0.1; done"',
  timeout => 120,
}
"""
NODES = ("a.example.net", "b.example.net")


class FaultsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.fleet = fleets.Fleet(tempfile.mkdtemp(prefix="orch-faults-"), nodes=NODES, manifest=MANIFEST, broker=fleets.UNDER_TEST)
        cls.addClassCleanup(cls.fleet.remove)
        cls.addClassCleanup(cls.fleet.stop)
        cls.fleet.start()

    def setUp(self):
        """The fleet as it was at first: nothing runs, everybody is there, no start is counted."""
        self.hold(False)
        if not self.fleet.controller.alive():
            self.fleet.start_controller()
        for name in NODES:
            fleets.wait_for("the end of what runs", lambda name=name: not runs_below(self.fleet.path(name)), 60)
            if self.starts(name):
                os.unlink(self.fleet.root(name, "starts"))
            if not self.fleet.nodes[name].alive():
                self.fleet.nodes[name].start()
        self.fleet.wait_present(len(NODES))
        fleets.wait_for("an answer of every node", lambda: self.fleet.report("ping")["exit"] == 0)

    def hold(self, on):
        for name in NODES:
            path = self.fleet.root(name, "hold")
            if on:
                with open(path, "w", encoding="ascii"):
                    pass
            elif os.path.exists(path):
                os.unlink(path)

    def starts(self, name):
        try:
            with open(self.fleet.root(name, "starts"), encoding="ascii") as file:
                return len(file.readlines())
        except FileNotFoundError:
            return 0

    def begin(self, *arguments):
        """Starts a held run and returns (the orchctl process, job name) once Puppet works on every node."""
        before = {name: self.starts(name) for name in NODES}
        self.hold(True)
        process = subprocess.Popen([fleets.binary("orchctl"), "puppet", "run", "--all", "-o", "json", *arguments],
                                   env=self.fleet.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        fleets.wait_for("Puppet at work on every node",
                        lambda: all(self.starts(name) > before[name] for name in NODES), 60)
        job = self.fleet.orchctl("job", "list", "-n", "1", "-o", "name").stdout.strip()
        return process, job

    def end(self, process, seconds=90):
        self.hold(False)
        out, err = process.communicate(timeout=seconds)
        self.assertTrue(out, err)
        report = json.loads(out)
        self.check_sums(report)
        return report, process.returncode, err

    def check_sums(self, report):
        self.assertEqual(sum(c["count"] for c in report["job"]["counts"]), report["job"]["targets"])
        self.assertEqual(len(report["nodes"]), report["job"]["targets"])
        for node in report["nodes"]:
            self.assertNotIn(node["state"], ("NODE_STATE_PENDING", "NODE_STATE_SENT", "NODE_STATE_ACCEPTED", "NODE_STATE_RUNNING"))

    def assert_all_changed_once(self, report, code):
        self.assertEqual(code, 0, report)
        for node in report["nodes"]:
            self.assertEqual(node["result"]["puppet_run"]["verdict"], "PUPPET_RUN_VERDICT_CHANGED", node)
            self.assertEqual(self.starts(node["node"]), 1, node)

    def test_node_agent_is_killed_in_the_middle(self):
        process, _ = self.begin()
        for name in NODES:
            self.fleet.nodes[name].kill()
        self.fleet.nodes[NODES[0]].start()
        self.hold(False)
        # The second run ends while its node agent is away.
        fleets.wait_for("the run's end", lambda: not runs_below(self.fleet.path(NODES[1])), 60)
        self.fleet.nodes[NODES[1]].start()
        report, code, _ = self.end(process)
        self.assert_all_changed_once(report, code)

    def test_controller_is_killed_in_the_middle(self):
        process, job = self.begin()
        self.fleet.controller.kill()
        self.fleet.start_controller()
        report, code, err = self.end(process)
        self.assertEqual(report["job"]["name"], job, err)
        self.assert_all_changed_once(report, code)
        events = [json.loads(line) for line in self.fleet.orchctl("job", "watch", job, "-o", "jsonl").stdout.splitlines()]
        self.assertEqual([int(e["sequence"]) for e in events], list(range(1, len(events) + 1)))

    def test_runs_end_while_the_controller_is_away(self):
        process, job = self.begin()
        self.fleet.controller.kill()
        self.hold(False)
        for name in NODES:
            fleets.wait_for("the run's end", lambda: not runs_below(self.fleet.path(name)), 60)
        self.fleet.start_controller()
        report, code, _ = self.end(process)
        self.assert_all_changed_once(report, code)

    def test_everything_is_killed_at_once(self):
        process, job = self.begin()
        for name in NODES:
            self.fleet.nodes[name].kill()
        self.fleet.controller.kill()
        self.fleet.start_controller()
        for name in NODES:
            self.fleet.nodes[name].start()
        report, code, _ = self.end(process)
        self.assertEqual(report["job"]["name"], job)
        self.assert_all_changed_once(report, code)

    def test_puppet_is_killed_in_the_middle(self):
        process, _ = self.begin()
        for name in NODES:
            for pid in runs_below(self.fleet.path(name)):
                os.kill(pid, signal.SIGKILL)
        report, code, _ = self.end(process)
        self.assertEqual(code, 2)
        for node in report["nodes"]:
            self.assertEqual(node["state"], "NODE_STATE_FAILED", node)
            self.assertEqual(self.starts(node["node"]), 1)
        report = self.fleet.report("puppet", "run", "--all")
        self.assertEqual(report["exit"], 0, report)

    def test_a_second_run_beside_the_first_is_refused(self):
        process, _ = self.begin()
        report = self.fleet.report("puppet", "run", "--all")
        self.assertEqual(report["exit"], 2)
        self.assertEqual({n["reason"] for n in report["nodes"]}, {"already_running"})
        report, code, _ = self.end(process)
        self.assert_all_changed_once(report, code)

    def test_cancel_ends_what_has_not_started(self):
        process, job = self.begin("--concurrency", "2")
        self.fleet.orchctl("job", "cancel", job)
        report, code, _ = self.end(process)
        self.assertEqual(code, 6)
        self.assertEqual(report["job"]["state"], "JOB_STATE_CANCELLED")

    def test_interrupt_detaches_and_says_how_to_go_on(self):
        process, job = self.begin()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 130)
        self.assertIn(f"orchctl job watch {job}", err)
        self.hold(False)
        report = self.fleet.report("job", "watch", job)
        self.assert_all_changed_once(report, report["exit"])

    def test_a_node_that_is_away_is_named(self):
        self.fleet.nodes[NODES[0]].kill()
        began = time.monotonic()
        report = self.fleet.report("ping")
        self.assertLess(time.monotonic() - began, 8)
        self.assertEqual(report["exit"], 3)
        states = {n["node"]: n["state"] for n in report["nodes"]}
        self.assertEqual(states, {NODES[0]: "NODE_STATE_NO_RESPONSE", NODES[1]: "NODE_STATE_SUCCEEDED"})


def runs_below(directory):
    """Pids of Puppets that work below a node's directory."""
    found = subprocess.run(["pgrep", "-f", f"puppet.*{re.escape(directory)}/"], capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split() if program_of(pid).startswith("ruby")]


def program_of(pid):
    """The name of a process's program; empty if it has just ended."""
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return ""


if __name__ == "__main__":
    unittest.main()
