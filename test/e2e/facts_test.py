# SPDX-License-Identifier: Apache-2.0
"""Facts and classes from everywhere, and how soon a change of them is a match, on real node agents."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "testing"))
import fleet as fleets  # noqa: E402

WEB1, DB1 = "web1.example.net", "db1.example.net"


class FactsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="orch-facts-")
        cls.fleet = fleets.Fleet(cls.directory, nodes=(WEB1, DB1))
        cls.addClassCleanup(cls.fleet.remove)
        cls.addClassCleanup(cls.fleet.stop)
        cls.fleet.make_ca()
        cls.fleet.start_controller()
        for name in cls.fleet.names:
            os.makedirs(cls.fleet.path(name, "facts.d"), mode=0o755)
            cls.fleet.write(f"{name}/unwatched", "first\n")
            cls.fleet.write(f"{name}/cmdb", f"#!/bin/sh\necho \"{{\\\"cmdb\\\": \\\"$(cat {cls.fleet.path(name)}/unwatched)\\\"}}\"\n",
                            0o755)
            cls.fleet.start_node(name, sources=cls.sources(name))
        cls.fleet.wait_present(2)

    @classmethod
    def sources(cls, name):
        root = cls.fleet.path(name)
        return f"[{{file: {root}/facts.json}}, {{directory: {root}/facts.d}}, {{program: [{root}/cmdb], name: cmdb}}]"

    def put(self, name, text, mode=0o644):
        """As a package would write it: beside it, then renamed."""
        self.fleet.write(name + ".new", text, mode)
        os.rename(self.fleet.path(name + ".new"), self.fleet.path(name))

    def find(self, *flags):
        return self.fleet.orchctl("find", *flags, check=False).stdout.split()

    def until_found(self, expected, *flags):
        """Seconds until `find` names just these."""
        began = time.monotonic()
        fleets.wait_for(f"find {' '.join(flags)} to be {expected}", lambda: self.find(*flags) == expected)
        return time.monotonic() - began

    def errors(self, name):
        shown = json.loads(self.fleet.orchctl("node", "show", name, "-o", "json").stdout)
        return {error["source"]: error for error in shown.get("fact_errors", [])}

    def on_node(self, name, *arguments):
        return subprocess.run([fleets.binary("orch-nodeagent"), "--config", self.fleet.path(name, "nodeagent.yaml"), *arguments],
                              capture_output=True, text=True, timeout=60, check=False)

    def test_an_edited_file_is_matched_at_once(self):
        self.put(f"{WEB1}/facts.d/site.txt", "site=fra\n")
        self.until_found([WEB1], "-F", "site=fra")
        self.put(f"{WEB1}/facts.d/site.txt", "site=ber\n")
        took = self.until_found([WEB1], "-F", "site=ber")
        self.assertEqual(self.find("-F", "site=fra"), [])
        self.assertLess(took, 10)
        with open(self.fleet.path(WEB1, "facts.d", "site.txt"), "w", encoding="utf-8") as file:
            file.write("site=par\n")
        self.until_found([WEB1], "-F", "site=par")
        os.unlink(self.fleet.path(WEB1, "facts.d", "site.txt"))
        self.until_found([], "-F", "site=par")

    def test_executables_and_types(self):
        self.put(f"{DB1}/facts.d/disks", "#!/bin/sh\necho 'disks: [sda, sdb]'; echo 'raid: {level: 10, healthy: yes, spare: 010}'\n", 0o755)
        self.until_found([DB1], "-F", "disks=sdb", "-F", "raid.level>=10", "-F", "raid.healthy=yes", "-F", "raid.spare=10")
        self.assertEqual(json.loads(self.on_node(DB1, "facts", "raid", "-o", "json").stdout),
                         {"level": 10, "healthy": "yes", "spare": 10})

    def test_a_failing_source_is_named_and_its_facts_stay(self):
        self.put(f"{DB1}/facts.d/rack.json", "{\"rack\": 7}\n")
        self.until_found([DB1], "-F", "rack=7")
        self.put(f"{DB1}/facts.d/rack.json", "{\"rack\": NaN}\n")
        path = self.fleet.path(DB1, "facts.d", "rack.json")
        fleets.wait_for("the source to be named", lambda: path in self.errors(DB1))
        error = self.errors(DB1)[path]
        self.assertIn("not JSON: parse error at line 1", error["message"])
        self.assertTrue(error["since"])
        self.assertEqual(self.find("-F", "rack=7"), [DB1])
        fleets.wait_for("the status file", lambda: f"{path} fails since" in self.on_node(DB1, "status").stdout)
        self.assertIn(f"warn  facts: {path} fails since", self.on_node(DB1, "doctor").stdout)
        # Over a restart of the agent too, with the time at which it began.
        self.fleet.nodes[DB1].kill()
        self.fleet.start_node(DB1, sources=self.sources(DB1))
        fleets.wait_for("the same failure", lambda: self.errors(DB1).get(path, {}).get("since") == error["since"])
        self.until_found([DB1], "-F", "rack=7")
        self.put(f"{DB1}/facts.d/rack.json", "{\"rack\": 8}\n")
        self.until_found([DB1], "-F", "rack=8")
        fleets.wait_for("nothing to complain of", lambda: not self.errors(DB1))
        log = self.fleet.nodes[DB1].text()
        self.assertEqual(log.count("a fact source fails"), 1, log)

    def test_hostile_sources_hold_up_nobody(self):
        folder = self.fleet.path(WEB1, "facts.d")
        os.mkfifo(os.path.join(folder, "fifo.txt"))
        self.put(f"{WEB1}/facts.d/hangs", "#!/bin/sh\ntrap '' TERM\nsleep 600\n", 0o755)
        self.put(f"{WEB1}/facts.d/large.txt", "large=" + "x" * (1 << 20) + "\n")
        self.put(f"{WEB1}/facts.d/open", "#!/bin/sh\necho open=yes\n", 0o777)
        self.put(f"{WEB1}/facts.d/good.txt", "good=yes\n")
        self.until_found([WEB1], "-F", "good=yes")
        fleets.wait_for("three complaints", lambda: len(self.errors(WEB1)) == 3)
        errors = {os.path.basename(path): error["message"] for path, error in self.errors(WEB1).items()}
        self.assertEqual(errors["fifo.txt"], "not a regular file")
        self.assertIn("larger than 1048576 bytes", errors["large.txt"])
        self.assertIn("others may write it (mode 0777)", errors["open"])
        self.assertEqual(self.fleet.report("ping", "-I", WEB1)["exit"], 0)
        self.assertEqual(self.find("-F", "open=yes"), [])
        for name in ("fifo.txt", "hangs", "large.txt", "open", "good.txt"):
            os.unlink(os.path.join(folder, name))
        fleets.wait_for("no complaint", lambda: not self.errors(WEB1))

    def test_hangup_runs_programs_again(self):
        self.until_found([WEB1, DB1] if WEB1 < DB1 else [DB1, WEB1], "-F", "cmdb=first")
        self.fleet.write(f"{WEB1}/unwatched", "second\n")
        os.kill(self.fleet.nodes[WEB1].pid, signal.SIGHUP)
        self.until_found([WEB1], "-F", "cmdb=second")

    def test_classes_follow_a_run_of_puppet(self):
        self.assertEqual(self.find("-C", "settings", "-I", WEB1), [])
        self.assertEqual(self.fleet.report("puppet", "run", "-I", WEB1)["exit"], 0)
        self.until_found([WEB1], "-C", "settings", "-I", WEB1)

    def test_the_node_shows_where_facts_are_from(self):
        shown = self.on_node(DB1, "facts", "--source")
        self.assertRegex(shown.stdout, r"(?m)^cmdb +cmdb=\"first\"$")
        self.assertRegex(shown.stdout, rf"(?m)^{self.fleet.path(DB1)}/facts.json +datacentre=\"lab\"$")
        fresh = self.on_node(DB1, "facts", "--fresh")
        self.assertEqual(json.loads(fresh.stdout)["os"], {"family": "Debian"})
        self.assertEqual(self.on_node(DB1, "facts", "os.family").stdout, "Debian\n")
        self.assertEqual(self.on_node(DB1, "facts", "os.nothing").returncode, 1)
        self.assertEqual(self.on_node(DB1, "facts", "--nonsense").returncode, 64)


if __name__ == "__main__":
    unittest.main()
