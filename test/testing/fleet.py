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


# What a fleet may run on: the broker in the controller's process; the three as deploy/brokers/ has them; ActiveMQ as the
# classic MCollective guide sets it up (login, no TLS); and ActiveMQ and RabbitMQ that let everybody do everything.
BROKERS = ("embedded", "orch-broker", "activemq", "rabbitmq", "activemq-classic", "activemq-open", "rabbitmq-open")
UNDER_TEST = os.environ.get("ORCH_TEST_BROKER", "embedded")  # the suites that run once for each broker ask for this one
PEERS = {"activemq-classic": "activemq", "activemq-open": "activemq-open", "rabbitmq-open": "rabbitmq"}


class Fleet:
    """The parts by name: controller, nodes[name]; the broker by its pid, if it is a process of its own.

    With `login` the broker knows clients by login and passcode, where it can, in place of certificates."""

    def __init__(self, directory, nodes=("web1.example.net", "web2.example.net", "db1.example.net"), broker="embedded",
                 policy=POLICY, users=("operator", "guest"), manifest=MANIFEST, login=False):
        if broker not in BROKERS:
            raise ValueError(f"broker {broker}: expected one of {', '.join(BROKERS)}")
        self.dir = os.path.realpath(directory)
        self.names = list(nodes)
        self.broker_kind = broker
        self.login = login
        self.policy = policy
        self.users = list(users)
        self.manifest = manifest
        self.nodes = {}
        self.controller = None
        self.swarm_names = []
        self.broker = None  # its pid
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
        command += ["--broker", "broker"]
        for node in self.names:
            command += ["--node", node]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=120)

    def make_swarm(self, count):
        """A CA with `count` simulated nodes in place of make_ca."""
        subprocess.run([binary("swarm"), "make-fleet", "--dir", self.path("ca"), "--nodes", str(count)], check=True,
                       stdout=subprocess.DEVNULL, timeout=300)
        self.swarm_names = [f"sim{number:05d}.example.net" for number in range(count)]

    def start_swarm(self, count, *arguments):
        """Starts it without waiting for its nodes to be connected: wait_log("ready: ") does."""
        bus = ["--broker", self.broker_address, "--flavour", self.flavour(), "--prefix", self.prefix()]
        if not self.tls():
            bus.append("--plain")
        if self.login_of("node"):
            login, passcode = self.login_of("node")
            bus += ["--login", login, "--passcode-file", passcode]
        return Process("swarm", [binary("swarm"), "run", "--dir", self.path("ca"), "--nodes", str(count), *bus, *arguments],
                       self.path("swarm.log")).start()

    def trust(self, name):
        return (f"trust:\n  certificate: {self.path('ca', name + '.pem')}\n  private_key: {self.path('ca', name + '.key')}\n"
                f"  ca: {self.path('ca', 'ca.pem')}\n  crl: {self.path('ca', 'crl.pem')}\n")

    # -- brokers ------------------------------------------------------------------------------------------------------
    def flavour(self):
        return "embedded" if self.broker_kind == "orch-broker" else self.broker_kind.split("-")[0]

    def prefix(self):
        return "mcollective" if self.broker_kind == "activemq-classic" else "orch"

    def tls(self):
        return self.broker_kind not in PEERS

    def login_of(self, role):
        """(login, file of the passcode) of a controller or node; None where certificates say who it is."""
        if self.broker_kind in PEERS:
            return "mcollective", self.path("passcode")
        return (role, self.path("broker", role + ".passcode")) if self.login else None

    def start_broker(self):
        """Starts it, or starts it again on the port that it had."""
        if self.broker_kind == "embedded":
            return
        port = self.broker_address.split(":")[1] if self.broker_address else str(free_port())
        if self.broker_kind in PEERS:
            self.write("passcode", "secret\n", 0o600)
            command = [os.path.join(ROOT, "test", "testing", "peers", "start"), PEERS[self.broker_kind], self.path("broker"), port]
        else:
            names = self.write("names", "".join(name + "\n" for name in self.names + self.swarm_names))
            command = [os.path.join(ROOT, "deploy", "brokers", self.broker_kind, "try"), "--dir", self.path("broker"), "--port", port,
                       "--controller", "controller", "--nodes", names]
            for flag, file in (("--ca", "ca.pem"), ("--crl", "crl.pem"), ("--cert", "broker.pem"), ("--key", "broker.key")):
                command += [flag, self.path("ca", file)]
            if self.login:
                command.append("--login")
        env = {**os.environ, "ORCH_BROKER": binary("orch-broker")}
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=180, env=env)
        match = re.search(r"^PID (\d+)$", done.stdout, re.M)
        if done.returncode != 0 or not match:
            raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}")
        self.broker = int(match.group(1))
        self.broker_address = f"127.0.0.1:{port}"

    def stop_broker(self, kill=False):
        """Ends the broker's process and waits until it is gone."""
        if self.broker is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.broker, signal.SIGKILL if kill else signal.SIGTERM)
        try:
            wait_for(f"the end of the broker, pid {self.broker}", lambda: ended(self.broker))
        except AssertionError:
            os.kill(self.broker, signal.SIGKILL)
            raise
        self.broker = None

    def bus(self, role):
        text = f"bus:\n  brokers: ['{self.broker_address}']\n  flavour: {self.flavour()}\n  destination_prefix: {self.prefix()}\n"
        text += "  reconnect_spread: 500ms\n"
        if self.login_of(role):
            text += "  login: {}\n  passcode_file: {}\n".format(*self.login_of(role))
        return text if self.tls() else text + "  tls: false\n  allow_plaintext: true\n"

    def broker_check(self, *arguments, controller="controller"):
        """Runs `orchctl broker check` with everybody's credentials, the controller's by name; the exit code and the
        BrokerCheck, or what it said."""
        command = ["broker", "check", "-o", "json", "--broker", self.broker_address, "--flavour", self.flavour(), "--prefix",
                   self.prefix(), *arguments]
        if not self.tls():
            command.append("--plaintext")
        for role, name in (("controller", controller), ("node", (self.names + self.swarm_names)[0]), ("stranger", "guest")):
            if self.tls():
                command += [f"--{role}-cert", self.path("ca", name + ".pem"), f"--{role}-key", self.path("ca", name + ".key")]
            elif role != "stranger":
                command += [f"--{role}", name]
            if role != "stranger" and self.login_of(role):
                login, passcode = self.login_of(role)
                command += [f"--{role}-login", login, f"--{role}-passcode-file", passcode]
        if self.tls():
            command += ["--ca", self.path("ca", "ca.pem")]
        path = os.path.dirname(binary("orch-broker")) + ":" + os.environ.get("PATH", "")
        done = subprocess.run([binary("orchctl"), *command], env={**os.environ, "PATH": path}, capture_output=True, text=True,
                              timeout=120, check=False)
        return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr

    # -- controller ---------------------------------------------------------------------------------------------------
    def write_controller(self, extra=""):
        self.write("policy.yaml", self.policy)
        embedded = self.broker_kind == "embedded"
        listen = self.broker_address or "127.0.0.1:0"
        self.write("controller.yaml", self.trust("controller")
                   + (f"broker:\n  listen: '{listen}'\n" if embedded else self.bus("controller"))
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
        self.write(f"{name}/nodeagent.yaml", self.trust(name) + self.bus("node") + f"""\
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
        ready, nodes = 0.0, []

        def present():
            # Of thousands of nodes the asking itself is work: at most a third of the time.
            nonlocal ready, nodes
            if time.monotonic() < ready:
                return False
            began = time.monotonic()
            done = self.orchctl("node", "list", "-o", "json", check=False)
            if done.returncode not in (0, 1):
                raise AssertionError(f"node list: exit {done.returncode}: {done.stderr}")
            nodes = json.loads(done.stdout).get("nodes", []) if done.stdout else []
            ready = 3 * time.monotonic() - 2 * began
            return sum(1 for node in nodes if node["state"] == "ROSTER_STATE_PRESENT" and (node.get("facts_time") or not facts)) >= count
        try:
            wait_for(f"{count} nodes in the roster", present, seconds)
        except AssertionError as error:
            logs = "\n".join(process.text()[-2000:] for process in (self.controller, *list(self.nodes.values())[:3]))
            raise AssertionError(f"{error}; {len(nodes)} are known, for example {nodes[:2]}\n{logs}") from None

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
        try:
            self.stop_broker(kill=True)
        except AssertionError as error:
            errors.append(str(error))
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


def ended(pid):
    """Whether a process that need not be our child is gone, or waits for its parent to notice."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            # Until its last thread is gone, what it listened on stays open.
            return stat.read().rsplit(")", 1)[1].split()[0] == "Z" and len(os.listdir(f"/proc/{pid}/task")) == 1
    except (FileNotFoundError, ProcessLookupError):
        return True


def free_port():
    """A free port that the system gives to no outgoing connection: a client that dials an address where nobody listens for the moment
    could otherwise get that very port, be connected with itself, and hold the port against the broker that comes back."""
    import random
    import socket
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as bounds:
        first = int(bounds.read().split()[0])
    for _ in range(1000):
        port = random.randrange(10000, max(first, 10001))
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


if __name__ == "__main__":
    sys.exit("a module for tests and tools/demo")
