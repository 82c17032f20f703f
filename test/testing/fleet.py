# SPDX-License-Identifier: Apache-2.0
"""A whole fleet on loopback, of real parts: CA, broker, controller, node agents each with a Puppet of its own, and orchctl.

Everything lives in one directory and on ports that the kernel chose; stop() ends what was started, by pid."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

ROOT = os.path.realpath(os.environ.get("ORCH_SOURCE", os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..")))
WAIT_S = 30

MANIFEST = """\
file { '%(root)s/motd':
  ensure  => file,
  content => "managed on %(name)s\\n",
}
-> file { '%(root)s/app':
  ensure => directory,
}
-> file { '%(root)s/app/settings.conf':
  ensure  => file,
  content => "workers = 4\\n",
}
"""


def binary(name):
    """The path of a product binary: from Bazel's runfiles or from bazel-bin."""
    folder = {"orch-controller": "controller", "orch-nodeagent": "nodeagent", "orchctl": "cli", "orch-broker": "bus",
              "swarm": "test/load"}[name]
    for base in (os.environ.get("ORCH_BIN", ""), os.path.join(os.environ.get("TEST_SRCDIR", ""), "orch"),
                 os.path.join(ROOT, "bazel-bin")):
        path = os.path.join(base, folder, name)
        if base and os.path.exists(path):
            return path
    raise FileNotFoundError(f"{name} is not built; run tools/build")


def wait_for(what, condition, seconds=WAIT_S):
    """Returns the first true value of condition(), or fails naming what was waited for."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.02)


class Process:
    """One process that we started, with its output in a file."""

    def __init__(self, name, command, log, env=None):
        self.name, self.command, self.log, self.env = name, command, log, env
        self.popen = None
        self.offset = 0

    def start(self):
        self.offset = os.path.getsize(self.log) if os.path.exists(self.log) else 0
        with open(self.log, "ab") as out:
            self.popen = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=self.env,
                                          start_new_session=True)
        return self

    @property
    def pid(self):
        return self.popen.pid

    def alive(self):
        return self.popen is not None and self.popen.poll() is None

    def text(self):
        """What it has said since it was last started."""
        with open(self.log, encoding="utf-8", errors="replace") as log:
            log.seek(self.offset)
            return log.read()

    def wait_log(self, pattern, seconds=WAIT_S):
        def found():
            match = re.search(pattern, self.text())
            if not match and not self.alive():
                raise AssertionError(f"{self.name} ended with {self.popen.returncode}:\n{self.text()[-3000:]}")
            return match
        return wait_for(f"{self.name}: {pattern!r} in {self.log}", found, seconds)

    def kill(self):
        if self.alive():
            self.popen.kill()
        self.popen.wait()

    def stop(self, seconds=15):
        if not self.alive():
            return self.popen.returncode if self.popen else 0
        self.popen.terminate()
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise AssertionError(f"{self.name} did not end within {seconds} s of SIGTERM") from None


POLICY = """\
groups:
  operators: [cert=operator]
rules:
  - effect: allow
    callers: [operators]
    actions: ["*"]
  - effect: allow
    callers: [cert=guest]
    actions: [node.ping, node.list, puppet.status]
"""


class Fleet:
    """The parts by name: controller, nodes[name], broker (if it is a process of its own)."""

    def __init__(self, directory, nodes=("web1.example.net", "web2.example.net", "db1.example.net"), broker="embedded",
                 policy=POLICY, users=("operator", "guest"), manifest=MANIFEST):
        self.dir = os.path.realpath(directory)
        self.names = list(nodes)
        self.broker_kind = broker
        self.policy = policy
        self.users = list(users)
        self.manifest = manifest
        self.nodes = {}
        self.controller = None
        self.broker = None
        self.broker_address = None
        self.address = None
        self.http = None
        os.makedirs(self.dir, exist_ok=True)

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    # -- certificates -------------------------------------------------------------------------------------------------
    def make_ca(self):
        command = [os.path.join(ROOT, "tools", "make-ca"), self.path("ca"), "--controller", "controller"]
        for user in self.users:
            command += ["--user", user]
        for node in self.names:
            command += ["--node", node]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=120)

    def make_swarm(self, count):
        """A CA with `count` simulated nodes in place of make_ca."""
        subprocess.run([binary("swarm"), "make-fleet", "--dir", self.path("ca"), "--nodes", str(count)], check=True,
                       stdout=subprocess.DEVNULL, timeout=300)

    def start_swarm(self, count, *arguments):
        swarm = Process("swarm", [binary("swarm"), "run", "--dir", self.path("ca"), "--broker", self.broker_address,
                                  "--nodes", str(count), *arguments], self.path("swarm.log")).start()
        swarm.wait_log("ready: ", 120)
        return swarm

    def trust(self, name):
        return (f"trust:\n  certificate: {self.path('ca', name + '.pem')}\n  private_key: {self.path('ca', name + '.key')}\n"
                f"  ca: {self.path('ca', 'ca.pem')}\n  crl: {self.path('ca', 'crl.pem')}\n")

    # -- brokers ------------------------------------------------------------------------------------------------------
    def start_broker(self):
        if self.broker_kind == "embedded":
            return
        if self.broker_kind == "activemq":
            self.start_activemq()
            return
        raise ValueError(f"broker {self.broker_kind}")

    def start_activemq(self, port=None):
        port = port or free_port()
        done = subprocess.run([os.path.join(ROOT, "test", "testing", "peers", "start"), "activemq", self.path("activemq"), str(port)],
                              stdout=subprocess.PIPE, text=True, check=True, timeout=120)
        self.broker = int(done.stdout.split()[-1])
        self.broker_address = f"127.0.0.1:{port}"
        self.write("passcode", "secret\n", 0o600)

    def bus(self):
        if self.broker_kind == "activemq":
            return (f"bus:\n  brokers: ['{self.broker_address}']\n  flavour: activemq\n  destination_prefix: mcollective\n"
                    f"  login: mcollective\n  passcode_file: {self.path('passcode')}\n  tls: false\n  allow_plaintext: true\n")
        return f"bus:\n  brokers: ['{self.broker_address}']\n  tls_server_name: controller\n"

    # -- controller ---------------------------------------------------------------------------------------------------
    def write_controller(self, extra=""):
        self.write("policy.yaml", self.policy)
        embedded = self.broker_kind == "embedded"
        listen = self.broker_address or "127.0.0.1:0"
        self.write("controller.yaml", self.trust("controller")
                   + (f"broker:\n  listen: '{listen}'\n" if embedded else self.bus())
                   + f"grpc:\n  listen: '{self.address or '127.0.0.1:0'}'\nhttp:\n  listen: '{self.http or '127.0.0.1:0'}'\n"
                   + f"state_dir: {self.path('controller')}\npolicy:\n  file: {self.path('policy.yaml')}\n" + extra)

    def start_controller(self, extra=""):
        """Starts it, or starts it again on the ports that it had."""
        os.makedirs(self.path("controller"), mode=0o700, exist_ok=True)
        self.write_controller(extra)
        self.controller = Process("controller", [binary("orch-controller"), "--config", self.path("controller.yaml")],
                                  self.path("controller.log")).start()
        if self.broker_kind == "embedded":
            self.broker_address = self.controller.wait_log(r"broker listening\S* \S*?(127\.0\.0\.1:\d+)").group(1)
        self.http = self.controller.wait_log(r"http listening\S* \S*?(127\.0\.0\.1:\d+)").group(1)
        self.address = self.controller.wait_log(r"grpc listening\S* \S*?(127\.0\.0\.1:\d+)").group(1)

    # -- nodes --------------------------------------------------------------------------------------------------------
    def write_node(self, name, extra="", sources=None):
        """`sources`: of its facts, a YAML list; default: facts.json."""
        root = self.path(name)
        for folder in ("conf", "code", "var", "run", "log", "public", "state", "agent-run", "etc"):
            os.makedirs(os.path.join(root, folder), exist_ok=True)
        self.write(f"{name}/site.pp", self.manifest % {"root": os.path.join(root, "etc"), "name": name})
        role = re.match(r"[a-z]*", name).group()
        self.write(f"{name}/facts.json", json.dumps({"role": role, "os": {"family": "Debian"}, "datacentre": "lab"}) + "\n")
        self.write(f"{name}/nodeagent.yaml", self.trust(name) + self.bus() + f"""\
controllers: [controller]
state_dir: {root}/state
run_dir: {root}/agent-run
puppet:
  program: /usr/bin/puppet
  mode: apply
  manifest: {root}/site.pp
  confdir: {root}/conf
  codedir: {root}/code
  vardir: {root}/var
  rundir: {root}/run
  logdir: {root}/log
  publicdir: {root}/public
facts:
  sources: {sources or f"[{{file: {root}/facts.json}}]"}
""" + extra)

    def start_node(self, name, extra="", sources=None):
        self.write_node(name, extra, sources)
        self.nodes[name] = Process(name, [binary("orch-nodeagent"), "--config", self.path(name, "nodeagent.yaml")],
                                   self.path(name + ".log")).start()
        return self.nodes[name]

    def root(self, name, *parts):
        """A path below the directory that Puppet manages on a node."""
        return self.path(name, "etc", *parts)

    # -- the whole ----------------------------------------------------------------------------------------------------
    def start(self):
        self.make_ca()
        self.start_broker()
        self.start_controller()
        for name in self.names:
            self.start_node(name)
        self.wait_present(len(self.names))
        return self

    def wait_present(self, count, seconds=WAIT_S, facts=True):
        """Until so many nodes are there and (with facts) their facts are known."""
        def present():
            done = self.orchctl("node", "list", "-o", "json", check=False)
            if done.returncode not in (0, 1):
                raise AssertionError(f"node list: exit {done.returncode}: {done.stderr}")
            nodes = json.loads(done.stdout).get("nodes", []) if done.stdout else []
            return sum(1 for node in nodes if node["state"] == "ROSTER_STATE_PRESENT" and (node.get("facts_time") or not facts)) >= count
        wait_for(f"{count} nodes in the roster", present, seconds)

    def environment(self, user="operator"):
        env = {key: value for key, value in os.environ.items() if not key.startswith("ORCHCTL_")}
        env.update(ORCHCTL_SERVER=self.address or "", ORCHCTL_CA=self.path("ca", "ca.pem"),
                   ORCHCTL_CERT=self.path("ca", user + ".pem"), ORCHCTL_KEY=self.path("ca", user + ".key"),
                   ORCHCTL_CONFIG=self.path("orchctl.yaml"), GRPC_VERBOSITY="NONE")
        return env

    def orchctl(self, *arguments, user="operator", check=True, timeout=180, stdin=None):
        done = subprocess.run([binary("orchctl"), *arguments], env=self.environment(user), capture_output=True, text=True,
                              timeout=timeout, input=stdin if stdin is not None else "")
        if check and done.returncode != 0:
            raise AssertionError(f"orchctl {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def report(self, *arguments, **keywords):
        """Runs a job and returns its JobReport with the exit code in `exit`."""
        done = self.orchctl(*arguments, "-o", "json", check=False, **keywords)
        if not done.stdout:
            raise AssertionError(f"orchctl {' '.join(arguments)}: exit {done.returncode}: {done.stderr}")
        report = json.loads(done.stdout)
        report["exit"] = done.returncode
        return report

    def stop(self):
        errors = []
        for process in [*self.nodes.values(), self.controller]:
            if process is not None and process.popen is not None:
                try:
                    process.stop()
                except AssertionError as error:
                    errors.append(str(error))
        if isinstance(self.broker, int):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.broker, signal.SIGKILL)
        for name in self.names:
            end_leftovers(self.path(name))
        if errors:
            raise AssertionError("; ".join(errors))

    def remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)


def end_leftovers(directory):
    """Kills runs that outlived their node agent: processes whose command line names this fleet's own directory."""
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            with contextlib.suppress(OSError):
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    if directory.encode() + b"/" in file.read():
                        os.kill(int(entry), signal.SIGKILL)


def free_port():
    import socket
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    sys.exit("a module for tests and tools/demo")
