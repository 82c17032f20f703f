# SPDX-License-Identifier: Apache-2.0
"""A broker that stops, and a controller that is killed, under a running job of 500 simulated nodes, on each broker."""

import collections
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "testing"))
import fleet as fleets  # noqa: E402

NODES = 500
ENDED = {"NODE_STATE_" + state for state in ("SUCCEEDED", "FAILED", "REFUSED", "DENIED", "TIMED_OUT", "NO_RESPONSE", "LOST", "CANCELLED")}


class BrokerFaultsTest(unittest.TestCase):
    def setUp(self):
        self.fleet = fleets.Fleet(tempfile.mkdtemp(prefix="orch-broker-faults-"), nodes=(), broker=fleets.UNDER_TEST)
        self.addCleanup(self.fleet.remove)
        self.addCleanup(self.fleet.stop)
        self.fleet.make_swarm(NODES)
        self.fleet.start_broker()
        self.fleet.start_controller()
        self.swarm = self.fleet.start_swarm(NODES, "--run-time-ms", "4000")
        self.addCleanup(self.swarm.kill)
        self.swarm.wait_log("ready: ", 120)
        self.fleet.wait_present(NODES, 120, facts=False)

    def begin(self):
        """A run on all nodes, 200 at once, and the moment when some have ended and most have not."""
        process = subprocess.Popen([fleets.binary("orchctl"), "puppet", "run", "--all", "-y", "--expect-nodes", str(NODES), "--concurrency", "200",
                                    "-o", "json"], env=self.fleet.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        fleets.wait_for("some nodes to have ended", lambda: self.ended_nodes() > 20, 60)
        return process

    def ended_nodes(self):
        done = self.fleet.orchctl("job", "list", "-n", "1", "-o", "json", check=False)
        jobs = json.loads(done.stdout).get("jobs", []) if done.stdout else []
        return sum(int(count["count"]) for job in jobs for count in job.get("counts", []) if count["state"] in ENDED)

    def figures(self):
        return json.loads(re.findall(r"^\{\"connected.*\}$", self.swarm.text(), re.M)[-1])

    def end(self, process, seconds=150):
        out, err = process.communicate(timeout=seconds)
        self.assertTrue(out, err + self.fleet.controller.text()[-3000:])
        report = json.loads(out)
        states = [node["state"] for node in report["nodes"]]
        self.assertEqual(len({node["node"] for node in report["nodes"]}), NODES)
        self.assertLessEqual(set(states), ENDED)
        self.assertEqual(sum(int(count["count"]) for count in report["job"]["counts"]), NODES)
        self.swarm.stop()
        figures = self.figures()
        self.assertEqual(figures["started_twice"], 0, figures)
        return states, figures, err

    def test_the_broker_stops_and_comes_back(self):
        process = self.begin()
        self.fleet.stop_broker()
        self.fleet.start_broker()
        states, figures, err = self.end(process)
        # Nobody is lost: who had accepted ends with its own result, and who never got the request is asked again.
        self.assertEqual(collections.Counter(states), {"NODE_STATE_SUCCEEDED": NODES}, (figures, err[-2000:], self.fleet.controller.text()[-3000:]))
        self.assertEqual(figures["starts"], NODES)

    def test_the_broker_is_killed(self):
        process = self.begin()
        self.fleet.stop_broker(kill=True)
        self.fleet.start_broker()
        states, figures, err = self.end(process)
        self.assertEqual(collections.Counter(states), {"NODE_STATE_SUCCEEDED": NODES}, (figures, err[-2000:], self.fleet.controller.text()[-3000:]))
        self.assertEqual(figures["starts"], NODES)

    def test_the_controller_is_killed_and_no_answer_is_lost(self):
        process = self.begin()
        self.fleet.controller.kill()
        # Everything that runs ends while nobody listens.
        fleets.wait_for("the runs' end", lambda: self.figures()["running"] == 0)
        self.fleet.start_controller()
        states, figures, err = self.end(process)
        self.assertEqual(collections.Counter(states), {"NODE_STATE_SUCCEEDED": NODES}, (figures, err[-2000:], self.fleet.controller.text()[-3000:]))
        self.assertEqual(figures["starts"], NODES)


if __name__ == "__main__":
    unittest.main()
