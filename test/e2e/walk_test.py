# SPDX-License-Identifier: Apache-2.0
"""The whole way on each broker, with real Puppets: what an operator does on a first day, right and wrong."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "testing"))
import fleet as fleets  # noqa: E402

WEB1, WEB2, DB1 = "web1.example.net", "web2.example.net", "db1.example.net"


class WalkTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="orch-walk-")
        cls.fleet = fleets.Fleet(cls.directory, broker=fleets.UNDER_TEST)
        cls.addClassCleanup(cls.fleet.remove)
        cls.addClassCleanup(cls.fleet.stop)
        cls.fleet.start()

    def states(self, report):
        return {node["node"]: node["state"].replace("NODE_STATE_", "") for node in report["nodes"]}

    def verdicts(self, report):
        return {node["node"]: node["result"]["puppet_run"]["verdict"].replace("PUPPET_RUN_VERDICT_", "")
                for node in report["nodes"] if node.get("result")}

    def exits(self, code, *arguments, **keywords):
        done = self.fleet.orchctl(*arguments, check=False, **keywords)
        self.assertEqual(done.returncode, code, f"{arguments}\n{done.stdout}\n{done.stderr}")
        return done

    def test_ping_and_targets(self):
        report = self.fleet.report("ping")
        self.assertEqual(report["exit"], 0)
        self.assertEqual(self.states(report), {name: "SUCCEEDED" for name in self.fleet.names})
        self.assertEqual(set(self.states(self.fleet.report("ping", "-F", "role=web"))), {WEB1, WEB2})
        self.assertEqual(set(self.states(self.fleet.report("ping", "-S", "role=web and not fact('os.family').value=RedHat"))),
                         {WEB1, WEB2})
        self.assertEqual(set(self.states(self.fleet.report("ping", "-I", "/^db/"))), {DB1})
        self.exits(1, "ping", "-F", "role=nothing")

    def test_find_facts_inventory(self):
        found = self.fleet.orchctl("find", "-F", "role=web").stdout.split()
        self.assertEqual(found, [WEB1, WEB2])
        piped = self.fleet.orchctl("find", "-F", "role=db", "-o", "json").stdout
        report = json.loads(self.fleet.orchctl("ping", "--nodes", "-", "-o", "json", stdin=piped).stdout)
        self.assertEqual(set(self.states(report)), {DB1})
        facts = self.fleet.orchctl("facts", "role").stdout
        self.assertRegex(facts, r"web\s+2\s+67%\s+(#|█)")
        self.assertIn("Debian", self.fleet.orchctl("inventory", WEB1).stdout)
        shown = json.loads(self.fleet.orchctl("node", "show", WEB1, "-o", "json").stdout)
        self.assertEqual(shown["identity"], WEB1)

    def test_puppet_life(self):
        report = self.fleet.report("puppet", "run", "--all", "--force")
        self.assertEqual(report["exit"], 0, report)
        self.assertLessEqual(set(self.verdicts(report).values()), {"CHANGED", "UNCHANGED"})
        for name in self.fleet.names:
            with open(self.fleet.root(name, "app", "settings.conf"), encoding="utf-8") as file:
                self.assertEqual(file.read(), "workers = 4\n")
        report = self.fleet.report("puppet", "run", "--all")
        self.assertEqual(set(self.verdicts(report).values()), {"UNCHANGED"})
        os.unlink(self.fleet.root(WEB1, "motd"))
        report = self.fleet.report("puppet", "run", "--noop", "-I", WEB1)
        self.assertEqual(self.verdicts(report), {WEB1: "NOOP_PENDING"})
        self.assertFalse(os.path.exists(self.fleet.root(WEB1, "motd")))
        report = self.fleet.report("puppet", "run", "-I", WEB1)
        self.assertEqual(self.verdicts(report), {WEB1: "CHANGED"})
        run = report["nodes"][0]["result"]["puppet_run"]
        self.assertTrue(any("motd" in change["resource"] for change in run["changes"]), run)
        self.assertTrue(run["transaction_uuid"])
        self.assertEqual(run["resources"]["failed"], "0")

    def test_disable_enable(self):
        self.assertEqual(self.fleet.report("puppet", "disable", "-m", "back at noon", DB1)["exit"], 0)
        try:
            again = self.fleet.report("puppet", "disable", "-m", "something else", "-I", DB1)
            self.assertFalse(again["nodes"][0]["result"]["puppet_disable"]["changed"])
            report = self.fleet.report("puppet", "run", "-I", DB1)
            self.assertEqual(report["exit"], 2)
            self.assertEqual(report["nodes"][0]["state"], "NODE_STATE_REFUSED")
            self.assertEqual(report["nodes"][0]["reason"], "disabled")
            self.assertIn("back at noon", report["nodes"][0]["message"])
            self.exits(0, "puppet", "run", "-I", DB1, "--tolerate", "disabled")
            status = self.fleet.report("puppet", "status", "-I", DB1)["nodes"][0]["result"]["puppet_status"]
            self.assertFalse(status["enabled"])
            self.assertEqual(status["status"], "disabled")
        finally:
            self.assertEqual(self.fleet.report("puppet", "enable", "-I", DB1)["exit"], 0)
        self.assertFalse(self.fleet.report("puppet", "enable", "-I", DB1)["nodes"][0]["result"]["puppet_enable"]["changed"])

    def test_rights_and_audit(self):
        before = json.loads(self.fleet.orchctl("job", "list", "-o", "json").stdout).get("jobs", [])
        done = self.exits(5, "puppet", "run", "--all", user="guest")
        self.assertIn("cert=guest", done.stderr)
        self.exits(0, "ping", user="guest")
        self.exits(5, "audit", "list", user="guest")
        after = json.loads(self.fleet.orchctl("job", "list", "-o", "json").stdout)["jobs"]
        self.assertEqual([j["name"] for j in after if j["spec"]["action"].get("puppet_run") and j["caller"] == "cert=guest"], [])
        self.assertGreaterEqual(len(after), len(before))
        records = json.loads(self.fleet.orchctl("audit", "list", "-n", "50", "-o", "json").stdout)["records"]
        self.assertTrue(any(r["caller"] == "cert=guest" and r["decision"] == "deny" and r["action"] == "puppet.run"
                            for r in records), records[:5])
        self.exits(0, "audit", "verify", self.fleet.path("controller", "audit.jsonl"))
        copy = self.fleet.path("edited.jsonl")
        with open(self.fleet.path("controller", "audit.jsonl"), encoding="utf-8") as file:
            lines = file.readlines()
        with open(copy, "w", encoding="utf-8") as file:
            file.writelines(lines[:1] + lines[2:])
        self.assertIn(":2:", self.exits(1, "audit", "verify", copy).stdout)

    def test_jobs_are_kept(self):
        report = self.fleet.report("puppet", "status")
        name = report["job"]["name"]
        shown = json.loads(self.fleet.orchctl("job", "show", name, "-o", "json").stdout)
        self.assertEqual(self.states(shown), self.states(report))
        self.assertEqual(sum(c["count"] for c in shown["job"]["counts"]), shown["job"]["targets"])
        events = [json.loads(line) for line in self.fleet.orchctl("job", "watch", name, "-o", "jsonl").stdout.splitlines()]
        self.assertEqual([int(e["sequence"]) for e in events], list(range(1, len(events) + 1)))
        self.assertIn("finished", events[-1])
        self.exits(1, "job", "show", "01ARYZ6S41TSV4RRFFQ69G5FAV")

    def test_confirmation_and_dry_run(self):
        self.exits(64, "puppet", "run", "--all", "--expect-nodes", "2")
        self.exits(64, "puppet", "run", "--all", "--at-most", "1")
        done = self.exits(0, "puppet", "run", "--dry-run", "-F", "role=web")
        self.assertEqual(done.stdout.split(), [WEB1, WEB2])
        self.exits(1, "puppet", "run", "--dry-run", "-F", "role=none")

    def test_idempotency(self):
        first = self.fleet.report("puppet", "status", "--idempotency-key", "k1")
        self.assertEqual(self.fleet.report("puppet", "status", "--idempotency-key", "k1")["job"]["name"], first["job"]["name"])
        self.exits(64, "ping", "--idempotency-key", "k1")

    def test_wrong_words_are_named(self):
        for arguments, words in (
                (("ping", "-S", "role=web or"), "column"),
                (("ping", "-F", "role=~("), "regular expression"),
                (("run", "puppet.dance"), "unknown action"),
                (("run", "puppet.run", "nope=1"), "no argument"),
                (("puppet", "run", "--tags", "--evil"), ""),
                (("puppet", "run", "--bogus"), "--bogus"),
                (("puppet", "run", "--timeout", "5"), "--timeout"),
                (("puppet", "run", "--all", "--limit", "0"), "limit"),
                (("nonsense",), "nonsense"),
                (("ping", "--nodes", "/nonexistent"), "/nonexistent"),
                (("ping", "-o", "xml"), "xml"),
                (("policy", "check", "/nonexistent.yaml"), "/nonexistent.yaml")):
            done = self.exits(64, *arguments)
            self.assertIn(words, done.stderr, arguments)
            self.assertNotIn("terminate called", done.stderr)

    def test_unreachable_and_certificates(self):
        done = self.exits(4, "ping", "--server", f"127.0.0.1:{fleets.free_port()}")
        self.assertIn("127.0.0.1:", done.stderr)
        done = self.exits(5, "ping", "--cert", self.fleet.path("ca", WEB1 + ".pem"), "--key", self.fleet.path("ca", WEB1 + ".key"))
        self.assertIn("orch-user", done.stderr)
        done = self.exits(64, "ping", "--cert", "/nonexistent.pem")
        self.assertIn("/nonexistent.pem", done.stderr)

    def test_binaries_tell_their_version_and_check_their_configuration(self):
        for name in ("orch-controller", "orch-nodeagent", "orchctl", "orch-broker"):
            done = subprocess.run([fleets.binary(name), "--version"], capture_output=True, text=True, check=True)
            self.assertRegex(done.stdout, r"\d+\.\d+\.\d+")
            self.assertIn("--check-config", subprocess.run([fleets.binary(name), "--help"], capture_output=True, text=True,
                                                           check=True).stdout)
        for name, config in (("orch-controller", "controller.yaml"), ("orch-nodeagent", f"{WEB1}/nodeagent.yaml")):
            good = subprocess.run([fleets.binary(name), "--config", self.fleet.path(config), "--check-config"],
                                  capture_output=True, text=True, check=False)
            self.assertEqual(good.returncode, 0, good.stderr)
            with open(self.fleet.path(config), encoding="utf-8") as file:
                text = file.read()
            bad = self.fleet.write("bad.yaml", text + "no_such_field: 1\n")
            done = subprocess.run([fleets.binary(name), "--config", bad, "--check-config"], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 64)
            self.assertIn(f"bad.yaml:{text.count(chr(10)) + 1}: no_such_field", done.stderr)
            missing = self.fleet.write("bad.yaml", text.replace("ca/ca.pem", "ca/none.pem"))
            done = subprocess.run([fleets.binary(name), "--config", missing, "--check-config"], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 64)
            self.assertIn("none.pem", done.stderr)

    def test_health(self):
        import urllib.request
        for path in ("/livez", "/readyz", "/metrics"):
            with urllib.request.urlopen(f"http://{self.fleet.http}{path}", timeout=10) as response:
                self.assertEqual(response.status, 200)

    def test_doctor_and_node_status(self):
        self.exits(0, "doctor")
        done = subprocess.run([fleets.binary("orch-nodeagent"), "--config", self.fleet.path(WEB1, "nodeagent.yaml"), "status"],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(WEB1, done.stdout)


if __name__ == "__main__":
    unittest.main()
