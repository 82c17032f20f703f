# SPDX-License-Identifier: Apache-2.0
"""Looking at a real fleet: find, facts, inventory, reports, the roster, and being asked before many nodes are changed."""

import csv
import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "testing"))
import fleet as fleets  # noqa: E402

WEB1, WEB2, DB1 = "web1.example.net", "web2.example.net", "db1.example.net"
os.environ["LC_ALL"] = "C"  # bars of #, unless a test says otherwise
HOSTILE = "first\n\x1b[2J\x1b]0;owned\x07web9.example.net \u202egpj"


class OnTerminal:
    """orchctl on a pseudo-terminal: what it shows there, what is typed into it."""

    def __init__(self, fleet, *arguments, columns=80, **env):
        environment = {**fleet.environment(), "TERM": "xterm", "LANG": "C.UTF-8", "LC_ALL": "", **env}
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            import fcntl
            import struct
            import termios
            fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            os.execve(fleets.binary("orchctl"), ["orchctl", *arguments], environment)
        self.shown = ""

    def read(self):
        if not select.select([self.fd], [], [], 0.05)[0]:
            return None
        try:
            return os.read(self.fd, 65536).decode("utf-8", "replace")
        except OSError:  # the other side has ended
            return ""

    def wait_for(self, text):
        def seen():
            self.shown += self.read() or ""
            return text in self.shown
        fleets.wait_for(f"{text!r} on the terminal, which shows {self.shown!r}", seen)
        return self

    def type(self, text):
        os.write(self.fd, text.encode())
        return self

    def end(self):
        """Its exit code, or the negative number of the signal that ended it; all that it showed is in `shown`."""
        end = time.monotonic() + fleets.WAIT_S
        while (part := self.read()) != "":
            self.shown += part or ""
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
                raise AssertionError(f"orchctl did not end; it shows {self.shown!r}")
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        self.shown = self.shown.replace("\r\n", "\n")
        return os.waitstatus_to_exitcode(status)


class LookTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="orch-look-")
        cls.fleet = fleets.Fleet(cls.directory)
        cls.addClassCleanup(cls.fleet.remove)
        cls.addClassCleanup(cls.fleet.stop)
        cls.fleet.make_ca()
        cls.fleet.start_controller("jobs:\n  confirm_above: 2\n")
        more = {WEB1: {"cpus": 4, "note": "=1+1"}, WEB2: {"cpus": 16, "note": HOSTILE}, DB1: {"cpus": "4"}}
        for name, facts in more.items():
            facts.update({"disks": [{"size": 1}, {"size": 2}], "a.b": {"c": name}})
            cls.fleet.write(f"{name}/more.json", json.dumps(facts))
        for name in cls.fleet.names:
            cls.fleet.start_node(name, sources="[{file: %s}, {file: %s}]" % (cls.fleet.path(name, "facts.json"),
                                                                             cls.fleet.path(name, "more.json")))
        cls.fleet.wait_present(len(cls.fleet.names))

    def run_it(self, code, *arguments, **keywords):
        done = self.fleet.orchctl(*arguments, check=False, **keywords)
        self.assertEqual(done.returncode, code, f"{arguments}\n{done.stdout}\n{done.stderr}")
        self.assertNotIn("\x1b", done.stdout + done.stderr, arguments)  # a pipe has no colours, and nodes no say in it
        return done

    def json_of(self, *arguments):
        return json.loads(self.run_it(0, *arguments, "-o", "json").stdout)

    # -- find ---------------------------------------------------------------------------------------------------------
    def test_find_in_every_output(self):
        done = self.run_it(0, "find", "-F", "role=web")
        self.assertEqual(done.stdout, f"{WEB1}\n{WEB2}\n")
        self.assertIn("2 nodes", done.stderr)
        self.assertEqual(self.run_it(0, "find", "-F", "role=web", "-o", "name", "--sort-by", "-node").stdout, f"{WEB2}\n{WEB1}\n")
        wide = self.run_it(0, "find", "-o", "wide").stdout.splitlines()
        self.assertEqual(wide[0].split(), ["NODE", "VERSION", "ANSWERED"])
        self.assertEqual(len(wide), 4)
        self.assertEqual(len(self.run_it(0, "find", "-o", "wide", "--no-headers").stdout.splitlines()), 3)
        self.assertEqual([n["identity"] for n in self.json_of("find")["nodes"]], sorted(self.fleet.names))
        lines = [json.loads(line) for line in self.run_it(0, "find", "-o", "jsonl").stdout.splitlines()]
        self.assertEqual({line["identity"] for line in lines}, set(self.fleet.names))
        self.assertIn("identity", self.run_it(0, "find", "-o", "yaml").stdout)
        self.run_it(1, "find", "-F", "role=nothing")
        self.assertEqual(self.run_it(0, "find", "--dry-run", "-F", "role=db").stdout, f"{DB1}\n")
        for output in ("json", "jsonl", "name"):
            piped = self.run_it(0, "find", "-F", "role=web", "-o", output).stdout
            report = self.fleet.report("ping", "--nodes", "-", stdin=piped)
            self.assertEqual({n["node"] for n in report["nodes"]}, {WEB1, WEB2}, output)

    # -- facts --------------------------------------------------------------------------------------------------------
    def test_distribution_of_facts(self):
        done = self.run_it(0, "facts", "role")
        self.assertEqual(done.stdout.splitlines()[0], "role  2 values on 3 nodes")
        self.assertRegex(done.stdout, r"web\s+2\s+67%\s+#+\ndb\s+1\s+33%\s+#+\n")
        unicode_bars = subprocess.run([fleets.binary("orchctl"), "facts", "role"], capture_output=True, text=True, check=True,
                                      env={**self.fleet.environment(), "LC_ALL": "C.UTF-8"}).stdout
        self.assertIn("█", unicode_bars)
        wide = self.run_it(0, "facts", "role", "-o", "wide", "--no-headers").stdout
        self.assertRegex(wide, rf"(?s)^web .*\n    {WEB1}\n    {WEB2}\ndb .*\n    {DB1}\n$")
        values = [line.split()[0] for line in self.run_it(0, "facts", "cpus", "--no-headers", "--sort-by", "value").stdout.splitlines()]
        self.assertEqual(values, ["4", "16", '"4"'])
        both = self.run_it(0, "facts", "role", "os.family").stdout
        self.assertIn("os.family  1 value on 3 nodes\nDebian  3  100%", both)
        self.assertEqual(self.run_it(0, "facts", "a.b.c", "--no-headers").stdout.count("example.net"), 3)
        done = self.run_it(0, "facts", "os")
        self.assertIn('{"family":"Debian"}', done.stdout)
        self.assertIn("os is a map; ask for a part of it: os.family", done.stderr)
        done = self.run_it(0, "facts", "os.famly")
        self.assertRegex(done.stdout, r"\(none\)\s+3\s+100%")
        self.assertIn("no node has the fact os.famly", done.stderr)
        hostile = self.run_it(0, "facts", "note").stdout
        self.assertIn("first \\x1b[2J\\x1b]0;owned\\x07web9.example.net \\u202egpj", hostile)
        report = self.json_of("facts", "cpus")
        self.assertEqual({n["node"]: n["result"]["node_facts"]["facts"]["cpus"] for n in report["nodes"]}, {WEB1: 4, WEB2: 16, DB1: "4"})
        lines = [json.loads(line) for line in self.run_it(0, "facts", "cpus", "-o", "jsonl").stdout.splitlines()]
        self.assertEqual({line["node"] for line in lines}, set(self.fleet.names))
        self.run_it(1, "facts", "cpus", "-F", "role=nothing")
        self.run_it(64, "facts", "cpus", "--sort-by", "size")

    # -- inventory and reports ----------------------------------------------------------------------------------------
    def test_inventory_of_a_node(self):
        text = self.run_it(0, "inventory", WEB1).stdout
        for line in (f"{WEB1}  PRESENT\n", "  version  ", "  collectives (1)   main\n", "  puppet  ", "  actions (", "node.inventory",
                     "  classes (", "  certificate ends", "  clock skew", "    os.family = Debian\n", "    disks.1.size = 2\n",
                     f"    a.b.c = {WEB1}\n"):
            self.assertIn(line, text)
        self.assertEqual(len(self.json_of("inventory", WEB1, DB1)["nodes"]), 2)
        self.run_it(1, "inventory", "-F", "role=nothing")
        self.assertIn("name a node", self.run_it(64, "inventory").stderr)
        self.run_it(3, "inventory", "unknown.example.net")

    def test_reports(self):
        columns = "identity,facts.os.family,cores=facts.cpus,facts.note,facts.a.b.c,classes,actions.puppet.run,puppet.enabled,version"
        text = self.run_it(0, "inventory", "--format", "csv", "--columns", columns).stdout
        rows = list(csv.DictReader(io.StringIO(text)))
        self.assertEqual([row["identity"] for row in rows], sorted(self.fleet.names))
        web1 = next(row for row in rows if row["identity"] == WEB1)
        self.assertEqual((web1["facts.os.family"], web1["cores"], web1["facts.note"], web1["facts.a.b.c"]),
                         ("Debian", "4", "'=1+1", WEB1))
        self.assertEqual((web1["actions.puppet.run"], web1["puppet.enabled"]), ("true", "true"))
        self.assertEqual(next(row for row in rows if row["identity"] == DB1)["facts.note"], "")
        self.assertEqual(len(text.splitlines()), 4)  # a hostile line break makes no row
        table = self.run_it(0, "inventory", "--columns", "identity,facts.cpus", "--sort-by", "-facts.cpus", "-F", "role=web").stdout
        self.assertEqual([line.split() for line in table.splitlines()],
                         [["identity", "facts.cpus"], [WEB2, "16"], [WEB1, "4"]])
        template = "{{ identity }} {{ facts.disks.0.size }} {{ facts.note | default \"-\" }}"
        self.assertIn(f"{DB1} 1 -\n", self.run_it(0, "inventory", "--format", template).stdout)
        path = self.fleet.write("report.tmpl", template + "\n")
        self.assertEqual(self.run_it(0, "inventory", "--format", "@" + path, "-I", DB1).stdout, f"{DB1} 1 -\n")
        # Where facts are enough nothing else is asked for.
        report = self.json_of("inventory", "--columns", "identity,facts.cpus")
        self.assertEqual(set(report["nodes"][0]["result"]), {"node_facts"})
        for arguments, words in ((("--columns", "identity,os.family"), "--columns: column 10"),
                                 (("--format", "{{ identity"), "--format: column 1"),
                                 (("--format", "@/nonexistent"), "/nonexistent"),
                                 (("--columns", "identity", "--sort-by", "version"), "none of identity")):
            self.assertIn(words, self.run_it(64, "inventory", *arguments).stderr)
        self.run_it(1, "inventory", "--columns", "identity", "-F", "role=nothing")

    # -- the roster ---------------------------------------------------------------------------------------------------
    def test_node_list_and_show(self):
        done = self.run_it(0, "node", "list", "--sort-by", "-node")
        self.assertEqual([line.split()[0] for line in done.stdout.splitlines()], ["NODE", WEB2, WEB1, DB1])
        self.assertIn("3 nodes: 3 present", done.stderr)
        wide = self.run_it(0, "node", "list", "-o", "wide", "-F", "role=db").stdout.splitlines()
        for header in ("SKEW", "CERTIFICATE ENDS", "COLLECTIVES", "DEAF", "FACT ERRORS"):
            self.assertIn(header, wide[0])
        self.assertRegex(wide[1], r"[+-]\d+ ms")
        self.run_it(1, "node", "list", "--stale")
        self.assertEqual(self.run_it(0, "node", "list", "-o", "name", "-q").stdout.split(), sorted(self.fleet.names))
        shown = self.run_it(0, "node", "show", WEB1).stdout
        self.assertIn("    os.family = Debian\n", shown)
        self.assertRegex(shown, r"certificate ends  \d{4}-")
        self.run_it(1, "node", "show", "unknown.example.net")
        self.assertIn("has no rows", self.run_it(64, "node", "show", WEB1, "--sort-by", "node").stderr)

    def test_watching_the_roster(self):
        watch = fleets.Process("watch", [fleets.binary("orchctl"), "node", "list", "--watch", "-o", "jsonl"],
                               self.fleet.path("watch.log"), self.fleet.environment()).start()
        try:
            def all_seen():
                lines = watch.text().splitlines(keepends=True)
                return {json.loads(line)["identity"] for line in lines if line.endswith("\n")} == set(self.fleet.names)
            fleets.wait_for("every node in the watch", all_seen)
            self.assertTrue(watch.alive())
        finally:
            watch.popen.send_signal(signal.SIGINT)
            watch.popen.wait(fleets.WAIT_S)
        self.run_it(64, "node", "list", "--watch", "-o", "json")

    # -- terminals ----------------------------------------------------------------------------------------------------
    def test_terminals(self):
        wide_enough = OnTerminal(self.fleet, "facts", "note", "role", columns=80)
        self.assertEqual(wide_enough.end(), 0)
        self.assertIn("█", wide_enough.shown)
        self.assertNotIn("\x1b]", wide_enough.shown)
        self.assertNotIn("\x1b[2J", wide_enough.shown)
        self.assertTrue(all(len(line) <= 80 + len("\x1b[1m\x1b[0m\x1b[2m\x1b[0m") for line in wide_enough.shown.splitlines()),
                        wide_enough.shown)
        for env in ({"TERM": "dumb"}, {"NO_COLOR": "1"}):
            plain = OnTerminal(self.fleet, "inventory", WEB2, **env)
            self.assertEqual(plain.end(), 0)
            self.assertNotIn("\x1b", plain.shown)
        dumb = OnTerminal(self.fleet, "facts", "role", TERM="dumb")
        self.assertEqual(dumb.end(), 0)
        self.assertNotIn("█", dumb.shown)

    def asked(self, typed, *arguments):
        terminal = OnTerminal(self.fleet, "puppet", "enable", "--all", *arguments)
        terminal.wait_for("puppet.enable would go to 3 nodes.").wait_for("anything else stops: ")
        code = terminal.type(typed).end()
        return code, terminal.shown

    def test_many_nodes_want_their_number_typed(self):
        for typed in ("2\n", "y\n", "\n", "\x04"):
            code, shown = self.asked(typed)
            self.assertEqual(code, 64, shown)
            self.assertIn("not confirmed; nothing was sent", shown)
        code, shown = self.asked("\x03")
        self.assertEqual(code, -signal.SIGINT, shown)
        self.assertNotIn("3 nodes: ", shown)
        code, shown = self.asked("3\n")
        self.assertEqual(code, 0, shown)
        self.assertIn("3 nodes: 3 SUCCEEDED", shown)
        for flag in ("--no-input", "--yes"):
            silent = OnTerminal(self.fleet, "puppet", "enable", "--all", flag)
            self.assertEqual(silent.end(), 64)
            self.assertIn("--expect-nodes 3", silent.shown)
            self.assertNotIn("anything else", silent.shown)
        self.assertIn("--expect-nodes 3", self.run_it(64, "puppet", "enable", "--all").stderr)
        self.run_it(0, "puppet", "enable", "--all", "--yes", "--expect-nodes", "3")
        self.run_it(0, "puppet", "enable", "-F", "role=web")  # not more than confirm_above

    # -- what speaks of orchctl itself --------------------------------------------------------------------------------
    def test_json_of_doctor_version_and_contexts(self):
        checks = self.json_of("doctor")["checks"]
        self.assertIn("ok", {check["verdict"] for check in checks})
        self.assertTrue(any("nodes: " in check["message"] for check in checks), checks)
        self.assertRegex(self.json_of("version")["version"], r"\d+\.\d+\.\d+")
        self.run_it(0, "context", "set", "lab", "--server", "lab.example.net:7443")
        self.assertEqual(self.json_of("context", "list")["contexts"]["lab"]["server"], "lab.example.net:7443")
        self.assertEqual(self.run_it(0, "context", "list", "-o", "name").stdout, "lab\n")
        self.run_it(0, "context", "remove", "lab")

    def test_completion_in_a_real_shell_and_the_manual(self):
        script = ("PATH=$1:$PATH; source <(orchctl completion bash); COMP_WORDS=(orchctl facts --sort-by ''); COMP_CWORD=3; _orchctl;"
                  " printf '%s ' \"${COMPREPLY[@]}\"")
        done = subprocess.run(["bash", "-c", script, "bash", os.path.dirname(fleets.binary("orchctl"))], capture_output=True, text=True,
                              check=True, env=self.fleet.environment())
        self.assertEqual(done.stdout.split(), ["count", "value"], done.stderr)
        manual = self.run_it(0, "man").stdout
        self.assertIn(".SS orchctl inventory\n", manual)
        self.assertIn("\\-\\-columns", manual)

    # -- silence, last: it stops a node -------------------------------------------------------------------------------
    def test_z_silent_nodes_are_named(self):
        self.fleet.nodes[DB1].kill()
        for arguments in (("find",), ("facts", "role"), ("inventory", "--columns", "identity,facts.role")):
            done = self.run_it(3, *arguments)
            self.assertRegex(done.stderr, rf"{DB1}.*last seen \d{{4}}-", arguments)
            self.assertIn(WEB1 if arguments[0] != "facts" else "web", done.stdout)
            self.assertNotIn(DB1, done.stdout)
            self.run_it(0, *arguments, "--tolerate", "no-response:1")
        found = json.loads(self.run_it(3, "find", "-o", "json").stdout)
        self.assertEqual([n["identity"] for n in found["silent"]], [DB1])
        self.assertRegex(self.run_it(3, "facts", "role").stdout, r"web\s+2\s+100%")


if __name__ == "__main__":
    unittest.main()
