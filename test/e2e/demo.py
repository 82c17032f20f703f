# SPDX-License-Identifier: Apache-2.0
"""What tools/demo shows; each step checks what it shows, so that the demo is a test as well."""

import argparse
import atexit
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "testing"))
import fleet as fleets  # noqa: E402

MANIFEST = fleets.MANIFEST + """\
-> exec { 'a slow step':
  command => '/bin/sleep 4',
  onlyif  => '/usr/bin/test -e %(root)s/slow',
}
"""
WEB1, DB1 = "web1.example.net", "db1.example.net"


class Demo:
    def __init__(self, fleet):
        self.fleet = fleet
        self.start = time.monotonic()

    def say(self, text):
        print(f"\n# {text}  [{time.monotonic() - self.start:.0f} s]", flush=True)

    def show(self, *arguments, user="operator", expect=0, while_it_runs=None):
        """Prints the command, runs it with its output going where ours goes, and checks its exit code."""
        note = "" if user == "operator" else f"   # as {user}"
        print(f"$ orchctl {shlex.join(arguments)}{note}", flush=True)
        process = subprocess.Popen([fleets.binary("orchctl"), *arguments], env=self.fleet.environment(user),
                                   stdin=subprocess.DEVNULL)
        if while_it_runs is not None:
            while_it_runs()
        code = process.wait(120)
        if code != 0 or expect != 0:
            print(f"(exit {code})", flush=True)
        if code != expect:
            sys.exit(f"demo: that should have ended with exit {expect}")

    def content_is(self, name, text):
        with open(self.fleet.root(name, "app", "settings.conf"), encoding="utf-8") as file:
            if file.read() != text:
                sys.exit(f"demo: settings.conf of {name} is not what it should be")

    def run(self):
        fleet = self.fleet
        self.say("Who is there?")
        self.show("ping")
        self.say("Run Puppet on all of them")
        self.show("puppet", "run", "--all")
        for name in fleet.names:
            self.content_is(name, "workers = 4\n")
        self.say("The same again: nothing is left to do")
        self.show("puppet", "run", "--all", "--no-progress")
        self.say("Somebody edits a file by hand; noop only says what would change")
        with open(fleet.root(WEB1, "app", "settings.conf"), "w", encoding="utf-8") as file:
            file.write("workers = 99\n")
        self.show("puppet", "run", "--noop", "--no-progress", "-F", "role=web")
        self.content_is(WEB1, "workers = 99\n")
        self.say("Maintenance on the database: no Puppet there, and everybody is told why")
        self.show("puppet", "disable", DB1, "-m", "restoring a backup")
        self.show("puppet", "run", "-I", DB1, expect=2)
        self.show("puppet", "enable", "-I", DB1)
        self.say("A guest may look, but not touch: nothing is published")
        self.show("puppet", "run", "--all", user="guest", expect=5)
        self.say("The node agent is killed and started again in the middle of a run; the run does not care")
        with open(fleet.root(WEB1, "slow"), "w", encoding="utf-8"):
            pass
        self.show("puppet", "run", "-I", WEB1, while_it_runs=self.restart_node)
        self.content_is(WEB1, "workers = 4\n")
        self.say("The jobs and the audit, looked at again")
        self.show("job", "list")
        newest = fleet.orchctl("job", "list", "-n", "1", "-o", "name").stdout.strip()
        self.show("job", "show", newest)
        self.show("audit", "list", "-n", "6")
        self.show("audit", "verify", fleet.path("controller", "audit.jsonl"))

    def restart_node(self):
        node = self.fleet.nodes[WEB1]
        log = self.fleet.path(WEB1)
        fleets.wait_for("Puppet at work on " + WEB1, lambda: puppet_applies(log))
        print(f"  (SIGKILL to the node agent of {WEB1}, pid {node.pid})", file=sys.stderr, flush=True)
        node.kill()
        node.start()


def puppet_applies(directory):
    """Whether the slow step of a run below `directory` is under way: its sleep is a child of that Puppet."""
    found = subprocess.run(["pgrep", "-f", "puppet apply.*" + directory], capture_output=True, text=True, check=False)
    for pid in found.stdout.split():
        if subprocess.run(["pgrep", "-P", pid, "sleep"], capture_output=True, check=False).returncode == 0:
            return True
    return False


def keep(fleet):
    print("\nEverything goes on running. To use it:\n")
    for key, value in sorted(fleet.environment().items()):
        if key.startswith("ORCHCTL_"):
            print(f"export {key}={shlex.quote(value)}")
    print(f"export PATH={shlex.quote(os.path.dirname(fleets.binary('orchctl')))}:$PATH")
    pids = [str(p.pid) for p in [*fleet.nodes.values(), fleet.controller]]
    if isinstance(fleet.broker, int):
        pids.append(str(fleet.broker))
    print(f"\nTo stop it:\n\nkill {' '.join(pids)} && rm -rf {shlex.quote(fleet.dir)}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--broker", default="embedded")
    parser.add_argument("--keep", action="store_true")
    arguments = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))
    directory = tempfile.mkdtemp(prefix="orch-demo-")
    fleet = fleets.Fleet(directory, broker=arguments.broker, manifest=MANIFEST)
    kept = False

    def end():
        if not kept:
            fleet.stop()
            fleet.remove()
    atexit.register(end)
    try:
        print(f"# A controller and three node agents start in {directory}", flush=True)
        fleet.start()
        demo = Demo(fleet)
        demo.run()
        print(f"\n# That was all, in {time.monotonic() - demo.start:.0f} s.", flush=True)
        if arguments.keep:
            kept = True
            keep(fleet)
    except KeyboardInterrupt:
        sys.exit(130)
    except AssertionError as error:
        sys.exit(f"demo: {error}")


if __name__ == "__main__":
    main()
