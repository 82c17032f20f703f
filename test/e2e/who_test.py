# SPDX-License-Identifier: Apache-2.0
"""Who is meant, by other means than the target language: collectives and their rights, files, earlier results, what a job
left undone, groups, limits; and who is silent, on real node agents."""

import json
import os
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "testing"))
import fleet as fleets  # noqa: E402

WEB1, WEB2, DB1, DMZ1 = "web1.example.net", "web2.example.net", "db1.example.net", "dmz1.example.net"
COLLECTIVES = {WEB1: ["main"], WEB2: ["main", "dmz"], DB1: ["main"], DMZ1: ["dmz"]}
POLICY = """\
rules:
  - {effect: allow, callers: [cert=operator], actions: ["*"]}
  - {effect: allow, callers: [cert=guest], actions: ["node.*"], collectives: [dmz]}
"""


class WhoTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="orch-who-")
        cls.fleet = fleet = fleets.Fleet(cls.directory, nodes=COLLECTIVES, policy=POLICY)
        cls.addClassCleanup(fleet.remove)
        cls.addClassCleanup(fleet.stop)
        fleet.make_ca()
        fleet.start_controller("collectives: [main, dmz]\n")
        cls.shared = fleet.write("shared/file", "x\n")
        for name, collectives in COLLECTIVES.items():
            fleet.start_node(name, f"  fstat_paths: ['{os.path.dirname(cls.shared)}']\ncollectives: {json.dumps(collectives)}\n")
        fleets.wait_for("the roster of both collectives", cls.all_known)

    @classmethod
    def all_known(cls):
        known = {}
        for collective in ("main", "dmz"):
            listed = cls.fleet.orchctl("node", "list", "-T", collective, "-o", "json", check=False)
            for node in json.loads(listed.stdout or "{}").get("nodes", []):
                if node.get("facts_time"):
                    known.setdefault(node["identity"], []).append(collective)
        return {name: sorted(there) for name, there in known.items()} == {
            name: sorted(there) for name, there in COLLECTIVES.items()}

    def exits(self, code, *arguments, **keywords):
        done = self.fleet.orchctl(*arguments, check=False, **keywords)
        self.assertEqual(done.returncode, code, f"{arguments}\n{done.stdout}\n{done.stderr}")
        return done

    def found(self, *arguments, **keywords):
        return self.fleet.orchctl("find", *arguments, **keywords).stdout.split()

    def states(self, report):
        return {node["node"]: node["state"].replace("NODE_STATE_", "") for node in report["nodes"]}

    def test_collectives_are_apart(self):
        self.assertEqual(self.found(), [DB1, WEB1, WEB2])
        self.assertEqual(self.found("-T", "dmz"), [DMZ1, WEB2])
        self.assertEqual(self.states(self.fleet.report("ping", "-T", "dmz")), {DMZ1: "SUCCEEDED", WEB2: "SUCCEEDED"})
        self.exits(1, "ping", "-T", "dmz", "-F", "role=db")
        # A node of another collective is not heard, whoever names it.
        report = self.fleet.report("ping", "-T", "dmz", "--nodes", "-", stdin=f"{WEB1}\n{WEB2}\n")
        self.assertEqual(self.states(report), {WEB2: "SUCCEEDED"})

    def test_an_unknown_collective_is_an_error_that_names_the_others(self):
        done = self.exits(64, "ping", "-T", "nowhere")
        self.assertIn("-T: `nowhere` is not served here; this controller serves main, dmz", done.stderr)
        self.assertIn("serves main, dmz", self.exits(64, "find", "-T", "nowhere").stderr)
        self.assertIn("not a collective's name", self.exits(64, "find", "-T", "No Where").stderr)

    def test_rights_name_collectives(self):
        self.exits(0, "ping", "-T", "dmz", user="guest")
        self.exits(5, "ping", user="guest")
        self.assertEqual(self.found("-T", "dmz", user="guest"), [DMZ1, WEB2])
        self.exits(5, "find", user="guest")
        self.exits(5, "node", "list", user="guest")

    def test_a_mutating_job_stays_in_its_collective(self):
        report = self.fleet.report("puppet", "disable", "-m", "for a test", "-T", "dmz", "--all")
        self.assertEqual(self.states(report), {DMZ1: "SUCCEEDED", WEB2: "SUCCEEDED"})
        # Changes that follow each other within a second reach the roster together.
        for collective, enabled in (("main", [DB1, WEB1]), ("dmz", [])):
            fleets.wait_for(f"the roster of {collective} to know", lambda collective=collective, enabled=enabled:
                            self.found("-T", collective, "-S", "puppet().enabled=true", check=False) == enabled, 5)
        self.assertEqual(self.fleet.report("puppet", "enable", "-T", "dmz", "--all")["exit"], 0)

    def test_earlier_results_name_nodes(self):
        for command, output in (("find", "json"), ("find", "jsonl"), ("find", "yaml"), ("find", "name"), ("ping", "json"),
                                ("ping", "jsonl"), ("ping", "yaml"), ("node list", "json"), ("node list", "jsonl"),
                                ("node list", "yaml"), ("node list", "name")):
            with self.subTest(command=command, output=output):
                earlier = self.fleet.orchctl(*command.split(), "-F", "role=web", "-o", output).stdout
                self.assertEqual(self.found("--nodes", "-", stdin=earlier), [WEB1, WEB2])
        job = self.fleet.report("ping", "-F", "role=db")["job"]["name"]
        shown = self.fleet.orchctl("job", "show", job, "-o", "yaml").stdout
        self.assertEqual(self.found("--nodes", "-", stdin=shown), [DB1])
        dry = self.fleet.orchctl("puppet", "run", "-F", "role=db", "--dry-run", "-o", "json").stdout
        self.assertEqual(self.found("--nodes", "-", stdin=dry), [DB1])
        # The other flags still hold.
        self.assertEqual(self.found("--nodes", "-", "-F", "role=web", stdin=f"{WEB1}\n{DB1}\n"), [WEB1])

    def test_wrong_files_are_named(self):
        self.assertIn("--nodes /nonexistent: open: No such file", self.exits(64, "find", "--nodes", "/nonexistent").stderr)
        self.assertIn("line 2: `not a name`", self.exits(64, "find", "--nodes", "-", stdin="ok\nnot a name\n").stderr)
        self.assertIn("names no node", self.exits(64, "ping", "--nodes", "-", stdin="# nobody\n").stderr)
        self.assertIn("names no node", self.exits(64, "puppet", "run", "--nodes", "-", stdin='{"nodes":[]}').stderr)

    def test_an_unknown_name_is_silent_and_named(self):
        began = time.monotonic()
        done = self.exits(3, "find", "--nodes", "-", "--discovery-timeout", "500ms", stdin=f"{WEB1}\ntypo.example.net\n")
        self.assertLess(time.monotonic() - began, 2)
        self.assertEqual(done.stdout.split(), [WEB1])
        self.assertIn("typo.example.net", done.stderr)
        report = self.fleet.report("ping", "--nodes", "-", "--timeout", "500ms", stdin=f"{WEB1}\ntypo.example.net\n")
        self.assertEqual(self.states(report), {WEB1: "SUCCEEDED", "typo.example.net": "NO_RESPONSE"})
        self.assertIn("no node of this name is known", report["nodes"][0]["message"])
        self.assertIn("above 0", self.exits(64, "find", "--discovery-timeout", "soon").stderr)

    def test_last_failed(self):
        self.fleet.report("puppet", "disable", "-m", "broken", "-I", WEB1)
        report = self.fleet.report("puppet", "run", "--noop", "-F", "role=web")
        self.assertEqual(self.states(report), {WEB1: "REFUSED", WEB2: "SUCCEEDED"})
        self.fleet.report("puppet", "enable", "-I", WEB1)
        job = report["job"]["name"]
        self.assertEqual(self.found("--last-failed", job), [WEB1])
        again = self.fleet.report("puppet", "run", "--noop", "--last-failed", job.removeprefix("jobs/"))
        self.assertEqual(self.states(again), {WEB1: "SUCCEEDED"})
        self.assertIn("every node of", self.exits(1, "ping", "--last-failed", again["job"]["name"]).stderr)
        self.exits(1, "ping", "--last-failed", "01ARZ3NDEKTSV4RRFFQ69G5FAV")
        self.exits(1, "ping", "--last-failed", job, "--nodes", "-", stdin=DB1)

    def test_groups(self):
        inventory = self.fleet.write("fleet.yaml", f"groups:\n  web: {{nodes: [{WEB1}, {WEB2}]}}\n"
                                     f"  all:\n    nodes: [{DB1}]\n    groups: [web]\n")
        self.assertEqual(self.found("--inventory", inventory, "--group", "web"), [WEB1, WEB2])
        self.assertEqual(self.found("--inventory", inventory, "--group", "all", "-F", "role=db"), [DB1])
        self.assertIn("there are all, web", self.exits(64, "ping", "--inventory", inventory, "--group", "wbe").stderr)
        self.assertIn("which file?", self.exits(64, "ping", "--group", "web").stderr)
        self.assertIn("which of its groups?", self.exits(64, "ping", "--inventory", inventory).stderr)
        self.fleet.write("orchctl.yaml", f"inventory: {inventory}\n")
        self.addCleanup(os.unlink, self.fleet.path("orchctl.yaml"))
        self.assertEqual(self.found("--group", "web"), [WEB1, WEB2])

    def test_limits(self):
        self.assertEqual(self.found("--limit", "2"), [DB1, WEB1])
        self.assertEqual(self.found("--limit", "34%"), [DB1])
        chosen = self.found("--limit", "1", "--limit-seed", "a")
        self.assertEqual(len(chosen), 1)
        self.assertEqual(self.found("--limit", "1", "--limit-seed", "a"), chosen)
        self.assertEqual(list(self.states(self.fleet.report("ping", "--limit", "1"))), [DB1])
        self.assertEqual(list(self.states(self.fleet.report("ping", "--limit", "50%", "-F", "role=web"))), [WEB1])
        # What only nodes can answer is asked before it is chosen.
        only_nodes_know = f"fstat('{self.shared}').present=1 and role=web"
        self.assertEqual(list(self.states(self.fleet.report("ping", "--limit", "1", "-S", only_nodes_know))), [WEB1])
        self.exits(1, "ping", "--limit", "1", "-F", "role=nothing")
        self.assertIn("--limit", self.exits(64, "find", "--limit", "0").stderr)
        self.assertIn("--limit", self.exits(64, "ping", "--limit", "101%").stderr)

    def test_there_is_no_puppetdb(self):
        self.assertIn("names no PuppetDB", self.exits(64, "find", "--pql", "nodes[certname]{}").stderr)
        self.assertIn("puppetdb.query", self.exits(5, "find", "-T", "dmz", "--pql", "nodes[certname]{}", user="guest").stderr)

    def test_the_silent_are_named_when_the_time_is_up(self):
        node = self.fleet.nodes[DB1]
        node.kill()
        self.addCleanup(lambda: fleets.wait_for("db1 is back", lambda: DB1 in self.fleet.orchctl("find", check=False).stdout))
        self.addCleanup(node.start)
        began = time.monotonic()
        report = self.fleet.report("ping")
        took = time.monotonic() - began
        self.assertEqual(self.states(report), {DB1: "NO_RESPONSE", WEB1: "SUCCEEDED", WEB2: "SUCCEEDED"})
        self.assertEqual(report["exit"], 3)
        self.assertTrue(report["nodes"][0]["last_seen"])
        self.assertGreater(took, 1.9)
        self.assertLess(took, 5)
        done = self.exits(3, "find")
        self.assertEqual(done.stdout.split(), [WEB1, WEB2])
        self.assertIn(DB1, done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
