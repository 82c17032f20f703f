# SPDX-License-Identifier: Apache-2.0
"""Runs against a real puppetserver: what only a server can do wrong. One server for all cases, since it takes its time to start."""

import os
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "testing"))
import fleet as fleets  # noqa: E402

WEB1 = "web1.example.net"
PRODUCTION = "file { '%s': ensure => file, content => \"production\\n\" }\n"
BROKEN = "$all = 'of it'\n$some = range(1)\nnotify { $some: }\n"  # line 2: there is no such function


class PuppetserverTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="orch-puppetserver-")
        os.chmod(cls.directory, 0o755)  # the server runs as another user
        cls.marker = os.path.join(cls.directory, "marker")
        cls.fleet = fleets.Fleet(cls.directory, nodes=(WEB1,))
        cls.addClassCleanup(cls.fleet.remove)
        cls.addClassCleanup(cls.fleet.stop)
        cls.fleet.make_ca()
        cls.fleet.start_controller()
        cls.start_server({"production": PRODUCTION % cls.marker, "broken": BROKEN, "2024_Q1": PRODUCTION % cls.marker})
        cls.fleet.write_node(WEB1)
        config = cls.fleet.path(WEB1, "nodeagent.yaml")
        with open(config, encoding="utf-8") as file:
            text = re.sub(r"  mode: apply\n  manifest: .*\n", f"  mode: agent\n  ssldir: {cls.fleet.path(WEB1, 'ssl')}\n", file.read())
        cls.fleet.write(f"{WEB1}/nodeagent.yaml", text)
        cls.puppet_conf()
        cls.fleet.nodes[WEB1] = fleets.Process(WEB1, [fleets.binary("orch-nodeagent"), "--config", config],
                                               cls.fleet.path(WEB1 + ".log")).start()
        cls.fleet.wait_present(1)

    @classmethod
    def start_server(cls, environments):
        for name, manifest in environments.items():
            cls.fleet.write(f"server/code/environments/{name}/manifests/site.pp", manifest)
        # Its external node classifier says what the test wants it to say.
        cls.fleet.write("server/enc", f"#!/bin/sh\nexec cat {cls.fleet.path('enc.yaml')}\n", 0o755)
        cls.classify()
        cls.port = fleets.free_port()
        command = [os.path.join(fleets.ROOT, "test", "testing", "peers", "start"), "puppetserver", cls.fleet.path("server"),
                   str(cls.port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        match = re.search(r"^PID (\d+)$", done.stdout, re.M)
        if not match:
            raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        pid = int(match.group(1))
        cls.addClassCleanup(fleets.wait_for, f"the end of the server, pid {pid}", lambda: fleets.ended(pid), 60)
        cls.addClassCleanup(os.kill, pid, 15)

    @classmethod
    def classify(cls, environment=None):
        cls.fleet.write("enc.yaml", "---\nclasses: {}\n" + (f"environment: {environment}\n" if environment else ""))

    @classmethod
    def puppet_conf(cls, *lines, port=None):
        cls.fleet.write(f"{WEB1}/conf/puppet.conf", "\n".join((
            "[main]", "user = root", "group = root", f"certname = {WEB1}", "server = localhost", f"serverport = {port or cls.port}",
            "[agent]", "waitforcert = 0", "maxwaitforcert = 0", "http_connect_timeout = 20", *lines, "")))

    def run_puppet(self, *arguments):
        """The node's entry of the report, and the result of the run in it."""
        report = self.fleet.report("puppet", "run", "--all", *arguments, timeout=300)
        self.assertEqual(len(report["nodes"]), 1, report)
        node = report["nodes"][0]
        self.assertEqual(report["exit"] == 0, node["state"] == "NODE_STATE_SUCCEEDED", report)
        return node, node.get("result", {}).get("puppet_run", {})

    def forget(self):
        if os.path.exists(self.marker):
            os.unlink(self.marker)

    def test_another_environment_than_asked_for_is_not_applied(self):
        self.puppet_conf()
        self.forget()
        node, run = self.run_puppet("--environment", "nosuch")
        self.assertEqual((node["state"], node["reason"]), ("NODE_STATE_FAILED", "environment_mismatch"), node)
        self.assertIn("nosuch", node["message"])
        self.assertFalse(os.path.exists(self.marker), "production's catalog was applied")
        # The classifier knows better: both names are told.
        self.classify("production")
        self.addCleanup(self.classify)
        node, run = self.run_puppet("--environment", "2024_Q1")
        self.assertEqual((node["state"], node["reason"]), ("NODE_STATE_FAILED", "environment_mismatch"), node)
        self.assertIn("2024_Q1", node["message"])
        self.assertIn("production", node["message"])
        self.assertFalse(os.path.exists(self.marker), "production's catalog was applied")
        node, run = self.run_puppet("--environment", "2024_Q1", "--allow-environment-override")
        self.assertEqual((node["state"], run["verdict"]), ("NODE_STATE_SUCCEEDED", "PUPPET_RUN_VERDICT_CHANGED"), node)
        self.assertEqual(run["environment"], "production")
        self.assertTrue(os.path.exists(self.marker))

    def test_the_headline_of_a_compile_error_is_its_cause(self):
        self.puppet_conf()
        node, run = self.run_puppet("--environment", "broken")
        self.assertEqual((node["reason"], run["verdict"]), ("compile_failed", "PUPPET_RUN_VERDICT_COMPILE_FAILED"), node)
        self.assertIn("Unknown function: 'range'", node["message"])
        self.assertRegex(node["message"], r"\(file: .*/broken/manifests/site\.pp, line: 2, column: 9\)")
        self.assertGreater(len(run["errors"]), 1, "there is more, but the cause comes first")
        self.assertRegex(run["errors"][0]["file"], r"/broken/manifests/site\.pp$")
        self.assertEqual(run["errors"][0]["line"], 2)

    def test_noop_without_a_report_is_told_by_the_summary(self):
        self.puppet_conf("report = false")
        self.forget()
        node, run = self.run_puppet("--noop", "--environment", "2024_Q1")
        self.assertEqual((node["state"], run["verdict"]), ("NODE_STATE_SUCCEEDED", "PUPPET_RUN_VERDICT_NOOP_PENDING"), node)
        self.assertEqual(run["environment"], "2024_Q1")
        self.assertFalse(os.path.exists(self.marker))

    def test_a_hook_that_fails_after_the_report_fails_the_run(self):
        self.puppet_conf("postrun_command = /bin/false")
        self.forget()
        node, run = self.run_puppet()
        self.assertEqual((node["state"], node["reason"]), ("NODE_STATE_FAILED", "failed"), node)
        self.assertEqual((run["verdict"], run["exit_code"]), ("PUPPET_RUN_VERDICT_FAILED", 1), run)
        self.assertIn("postrun_command", node["message"])
        self.assertTrue(os.path.exists(self.marker), "it did change something")

    def test_a_server_that_does_not_answer_is_named(self):
        self.puppet_conf(port=1)
        node, run = self.run_puppet()
        self.assertEqual((node["reason"], run["verdict"]), ("compile_failed", "PUPPET_RUN_VERDICT_COMPILE_FAILED"), node)
        self.assertRegex(node["message"], r"(?i)connect")


if __name__ == "__main__":
    unittest.main()
