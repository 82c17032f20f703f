# SPDX-License-Identifier: Apache-2.0
"""What an operator reads and types after a run of real Puppet: changes and differences, jobs at hand, who was left out."""

import json
import os
import re
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "testing"))
import fleet as fleets  # noqa: E402

WEB1, WEB2, DB1 = "web1.example.net", "web2.example.net", "db1.example.net"
POLICY = """\
rules:
  - effect: allow
    callers: [cert=operator]
    actions: ["*"]
  - effect: allow
    callers: [cert=guest]
    actions: ["node.*", "puppet.run", job.get]
"""


class ResultsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.fleet = fleets.Fleet(tempfile.mkdtemp(prefix="orch-results-"), nodes=(WEB1, WEB2, DB1), policy=POLICY)
        cls.addClassCleanup(cls.fleet.remove)
        cls.addClassCleanup(cls.fleet.stop)
        cls.fleet.start()
        cls.fleet.orchctl("puppet", "run", "--all")

    def exits(self, code, *arguments, **keywords):
        done = self.fleet.orchctl(*arguments, check=False, **keywords)
        self.assertEqual(done.returncode, code, f"{arguments}\n{done.stdout}\n{done.stderr}")
        return done

    def edit(self, name, text="workers = 99\n"):
        with open(self.fleet.root(name, "app", "settings.conf"), "w", encoding="utf-8") as file:
            file.write(text)

    def changes(self, report):
        return {node["node"]: node["result"]["puppet_run"] for node in report["nodes"]}

    def test_differences_are_lines_for_who_may_read_them(self):
        self.edit(WEB1)
        done = self.exits(0, "puppet", "run", WEB1, "--noop", "--show-diff")
        self.assertRegex(done.stdout, r"\n        -workers = 99\n        \+workers = 4\n")
        job = re.search(r"jobs/(\w+)", done.stderr).group(1)
        self.assertIn("+workers = 4", self.fleet.orchctl("job", "show", job).stdout)
        shown = self.fleet.orchctl("job", "show", job, user="guest").stdout
        self.assertNotIn("workers = 4", shown)
        self.assertIn("job.diff", shown)
        watched = self.exits(0, "job", "watch", job, "-o", "jsonl", user="guest").stdout
        self.assertNotIn("workers = 4", watched)
        self.assertIn("not_permitted", watched)
        self.assertIn("job.diff", self.exits(5, "puppet", "run", WEB1, "--show-diff", user="guest").stderr)
        # Without the flag there is none, whatever puppet.conf says.
        self.assertNotIn("workers = 99", self.exits(0, "puppet", "run", WEB1).stdout)

    def test_equal_changes_are_one_change_set(self):
        for name in (WEB1, WEB2):
            self.edit(name)
        preview = self.changes(self.fleet.report("puppet", "run", WEB1, WEB2, "--noop"))
        real = self.changes(self.fleet.report("puppet", "run", WEB1, WEB2))
        for runs in (preview, real):
            self.assertEqual({run["change_set"]["size"] for run in runs.values()}, {1})
        # Each node has its own path to the file, so the sets differ; the same node's preview and run do, by their kind.
        self.assertNotEqual(preview[WEB1]["change_set"]["digest"], real[WEB1]["change_set"]["digest"])
        self.edit(WEB1)
        again = self.changes(self.fleet.report("puppet", "run", WEB1))
        self.assertEqual(again[WEB1]["change_set"]["digest"], real[WEB1]["change_set"]["digest"])

    def test_the_last_run_is_known_without_asking(self):
        self.exits(0, "puppet", "run", DB1)
        fleets.wait_for("the roster's word of it", lambda: re.search(
            rf"{DB1} .*(CHANGED|UNCHANGED) \S+( \S+)? ago", self.fleet.orchctl("node", "list").stdout), 20)
        status = self.exits(0, "puppet", "status", DB1)
        self.assertRegex(status.stdout, r"idle.*; last run (UN)?CHANGED .* ago: .*production, jobs/\w+ of cert=operator")
        self.assertIn("last runs: 1 ", status.stderr)

    def test_a_fleet_is_only_changed_by_name(self):
        self.assertIn("--all", self.exits(64, "puppet", "run").stderr)
        self.assertIn("--all", self.exits(64, "run", "puppet.enable").stderr)
        self.assertIn("--all", self.exits(64, "puppet", "run", WEB1, "--all").stderr)
        self.exits(0, "puppet", "run", "--dry-run")

    def test_jobs_at_hand(self):
        job = self.exits(0, "puppet", "run", WEB2, "--noop", "--detach", "--label", "ticket=OPS-1", "--on-behalf-of", "alice").stdout.strip()
        self.assertRegex(job, r"^jobs/[0-9A-Z]{26}$")
        self.assertIn("SUCCEEDED", self.exits(0, "job", "wait", "-", stdin=job + "\n").stdout)
        listed = self.fleet.orchctl("job", "list", "--label", "ticket=OPS-1", "--noop", "--since", "1h", "--target", "web2", "-o", "name")
        self.assertEqual(listed.stdout.strip(), job)
        for nothing in (("--action", "puppet.enable"), ("--state", "running"), ("--until", "2020-01-01"), ("--label", "ticket=OPS-2")):
            self.exits(1, "job", "list", "--target", "web2", *nothing)
        self.assertIn("expected one of", self.exits(64, "job", "list", "--state", "nonsense").stderr)
        self.fleet.orchctl("ping")
        self.assertEqual(self.fleet.orchctl("job", "list", "-n", "1", "-o", "name").stdout.strip(), job)
        self.assertNotEqual(self.fleet.orchctl("job", "list", "--all", "-n", "1", "-o", "name").stdout.strip(), job)
        self.assertIn("node.ping", self.fleet.orchctl("job", "list", "--action", "node.*").stdout)
        self.assertIn("on behalf of alice", self.fleet.orchctl("job", "show", "last").stdout)
        self.assertIn("job.on_behalf_of", self.exits(5, "puppet", "run", WEB2, "--on-behalf-of", "x", user="guest").stderr)
        audit = json.loads(self.fleet.orchctl("audit", "list", "--action", "puppet.run", "--target", "web2", "--kind", "decision", "-o",
                                              "json").stdout)["records"]
        self.assertIn("alice", {record["on_behalf_of"] for record in audit})
        self.assertEqual(self.exits(0, "job", "show", job, "--node", WEB2, "-o", "name").stdout.strip(), WEB2)
        self.assertEqual(self.exits(0, "job", "show", job, "--failed", "-o", "name").stdout, "")
        self.exits(1, "job", "show", job, "--node", WEB1)
        self.exits(0, "job", "diff", job, job)
        self.edit(WEB2)
        self.exits(0, "puppet", "run", WEB2)
        self.assertIn("UNCHANGED", self.exits(1, "job", "diff", job, "last").stdout)
        self.assertIn("content changed", self.exits(0, "job", "logs", WEB2).stdout)

    def test_who_is_left_out_and_what_is_near(self):
        self.assertIn("did you mean os.family?", self.exits(1, "ping", "-F", "osfamily=Debian").stderr)
        self.assertIn(f"web1: did you mean {WEB1}?", self.exits(3, "ping", "web1", "--timeout", "300ms").stderr)
        node = self.fleet.nodes[DB1]
        node.stop()
        try:
            self.assertIn(f"{DB1} gone", self.exits(0, "ping").stderr)
            self.assertIn("its agent was stopped", self.exits(3, "ping", "--require-all", "--timeout", "500ms").stdout)
            doctor = self.exits(0, "doctor").stdout
            self.assertIn(f"gone, the agent was stopped: {DB1}", doctor)
        finally:
            node.start()
            self.fleet.wait_present(3)

    def test_a_node_that_refuses_the_controller_is_named(self):
        node = self.fleet.nodes[DB1]
        node.stop()
        config = self.fleet.path(DB1, "nodeagent.yaml")
        with open(config, encoding="utf-8") as file:
            good = file.read()
        try:
            with open(config, "w", encoding="utf-8") as file:
                file.write(re.sub(r"controllers:.*", "controllers: [other]", good))
            node.start()
            fleets.wait_for("doctor's word of it", lambda: f"refuses this controller: {DB1}" in self.fleet.orchctl(
                "doctor", check=False).stdout, 60)
        finally:
            node.stop()
            with open(config, "w", encoding="utf-8") as file:
                file.write(good)
            node.start()
            self.fleet.wait_present(3)

    def test_a_policy_is_tried_before_it_is_in_force(self):
        new = self.fleet.write("new.yaml", "rules:\n  - effect: allow\n    callers: [cert=guest]\n    actions: [puppet.disable]\nend: true\n")
        self.exits(1, "policy", "explain", "--caller", "cert=guest", "--action", "puppet.disable")
        self.exits(0, "policy", "explain", "--caller", "cert=guest", "--action", "puppet.disable", "--policy", new)
        wrong = self.fleet.write("wrong.yaml", "rules:\n  - effect: maybe\n")
        self.assertIn("wrong.yaml:2", self.exits(64, "policy", "explain", "--policy", wrong).stderr)
        self.exits(5, "policy", "explain", "--policy", new, user="guest")

    def test_proxies_are_obeyed(self):
        dead = {"https_proxy": "http://127.0.0.1:1", "http_proxy": "http://127.0.0.1:1"}
        environment = os.environ.copy()
        try:
            os.environ.update(dead)
            self.exits(4, "ping")
            os.environ["no_proxy"] = "127.0.0.1"
            self.exits(0, "ping")
        finally:
            os.environ.clear()
            os.environ.update(environment)


if __name__ == "__main__":
    unittest.main()
