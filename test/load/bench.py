# SPDX-License-Identifier: Apache-2.0
"""The performance table: raw fan-out of orch-broker, ActiveMQ and RabbitMQ beside the yardstick, and signed ping through the
product over simulated nodes on each of them. Rows of one table are measured in turn, so that they share the machine's moods."""

import argparse
import contextlib
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "testing"))
import fleet as fleets  # noqa: E402

FANOUT = re.compile(r"all replies med ([\d.]+) \[([\d.]+)\.\.([\d.]+)\].*broker cpu/round (-?\d+) ms.*RSS \d+ -> (\d+) kB")


# Real brokers are measured up to so many subscribers; beyond, the connecting alone takes longer than all the rest.
PEER_SUBSCRIBERS_MAX = 1000
FANOUT_FLAGS = {
    "perfect": ("--proto", "raw"),
    "orch-broker": ("--topic", "/topic/orch.main.request", "--queue", "/queue/orch.main.reply.controller"),
    "activemq": ("--topic", "/topic/mcollective.bench", "--queue", "/queue/mcollective.reply.bench"),
    "rabbitmq": ("--vhost", "/", "--topic", "/exchange/orch.cmd/main.request", "--queue", "/exchange/orch.rep/main.reply.controller"),
}


def fanout(tool, kind, port, pid, subscribers, rounds):
    """One run of the load client: (median, least, most) ms until all answers are there, broker CPU ms, RSS in KB."""
    done = subprocess.run([tool, *FANOUT_FLAGS[kind], "--port", str(port), "--pid", str(pid), "-n", str(subscribers), "-r",
                           str(rounds), "-w", "3"], capture_output=True, text=True, timeout=300, check=False)
    match = FANOUT.search(done.stdout)
    if not match or "lostrounds 0" not in done.stdout:
        raise SystemExit(f"bench: {tool} {kind} {subscribers}: {done.stdout}{done.stderr}")
    return tuple(float(group) for group in match.groups())


@contextlib.contextmanager
def raw_brokers(yardsticks, directory):
    """All brokers without TLS, name → (port, pid): what is measured is what they do with messages."""
    started = []
    try:
        port = fleets.free_port()
        perfect = fleets.Process("perfect", [os.path.join(yardsticks, "perfect"), str(port)],
                                 os.path.join(directory, "perfect.log")).start()
        started.append(perfect.kill)
        ours = fleets.Process("orch-broker", [fleets.binary("orch-broker"), "--listen", "127.0.0.1:0", "--insecure-loopback"],
                              os.path.join(directory, "broker.log")).start()
        started.append(ours.stop)
        brokers = {"perfect": (port, perfect.pid),
                   "orch-broker": (int(ours.wait_log(r"listening\S* \S*?127\.0\.0\.1:(\d+)").group(1)), ours.pid)}
        for name, kind in (("activemq", "activemq-classic"), ("rabbitmq", "rabbitmq-open")):
            fleet = fleets.Fleet(os.path.join(directory, name), nodes=(), broker=kind)
            fleet.start_broker()
            started.append(lambda fleet=fleet: fleet.stop_broker(kill=True))
            brokers[name] = (int(fleet.broker_address.split(":")[1]), fleet.broker)
        yield brokers
    finally:
        for end in started:
            end()


def measure_fanout(yardsticks, sizes, rounds, directory):
    client = os.path.join(yardsticks, "fanout")
    print("Raw fan-out, no TLS: one 512-byte message to N subscribers, N answers to one queue; ms, median [least..most]\n")
    print(f"{'N':>6}  {'broker':<12}  {'all answers':>24}  {'of perfect':>10}  {'broker CPU/round':>17}  {'broker RSS':>11}")
    with raw_brokers(yardsticks, directory) as brokers:
        for size in sizes:
            ideal = None
            for kind, (port, pid) in brokers.items():
                if size > PEER_SUBSCRIBERS_MAX and kind in ("activemq", "rabbitmq"):
                    continue
                row = fanout(client, kind, port, pid, size, rounds)
                ideal = ideal or row
                print(f"{size:>6}  {kind:<12}  {spread(row):>24}  {row[0] / ideal[0]:>10.2f}  {row[3]:>14.0f} ms  "
                      f"{row[4] / 1024:>8.1f} MB", flush=True)


def spread(row):
    return f"{row[0]:.1f} [{row[1]:.1f}..{row[2]:.1f}]"


def measure_ping(sizes, rounds, directory):
    print("\nSigned ping through the product: controller, broker (TLS with certificates), simulated nodes; ms, median [least..most]\n")
    print(f"{'N':>6}  {'broker':<12}  {'all there after':>15}  {'job, all answers':>24}  {'orchctl ping, whole process':>30}  "
          f"{'controller RSS':>15}")
    for size, kinds in sizes:
        for kind in kinds:
            measure_ping_on(kind, size, rounds, directory)


def measure_ping_on(kind, size, rounds, directory):
    fleet = fleets.Fleet(os.path.join(directory, f"ping-{kind}-{size}"), nodes=(), broker=kind)
    swarm = None
    try:
        fleet.make_swarm(size)
        fleet.start_broker()
        fleet.start_controller()
        began = time.monotonic()
        swarm = fleet.start_swarm(size)
        swarm.wait_log("ready: ", 180)
        fleet.wait_present(size, 180)
        there = time.monotonic() - began
        jobs, walls = [], []
        for number in range(rounds + 2):
            began = time.monotonic()
            report = fleet.report("ping", "--timeout", "30s")
            wall = (time.monotonic() - began) * 1000
            if report["exit"] != 0 or len(report["nodes"]) != size:
                raise SystemExit(f"bench: ping of {size} on {kind}: exit {report['exit']}, {len(report['nodes'])} nodes")
            if number >= 2:
                jobs.append(job_ms(report["job"]))
                walls.append(wall)
        print(f"{size:>6}  {kind:<12}  {there:>13.1f} s  {of(jobs):>24}  {of(walls):>30}  "
              f"{rss_kb(fleet.controller.pid) / 1024:>12.1f} MB", flush=True)
    finally:
        if swarm is not None:
            swarm.stop()
        fleet.stop()


def job_ms(job):
    """From taking the job to its end, by the controller's own clock."""
    def seconds(text):
        whole, _, fraction = text.rstrip("Z").partition(".")
        return time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float("0." + (fraction or "0"))
    return (seconds(job["end_time"]) - seconds(job["create_time"])) * 1000


def of(values):
    return f"{statistics.median(values):.1f} [{min(values):.1f}..{max(values):.1f}]"


def rss_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))


def measure_node(directory, what, source):
    """The node agent idle: RSS, CPU over a while, and how long it takes to be ready."""
    fleet = fleets.Fleet(os.path.join(directory, re.sub(r"\W+", "-", what)), nodes=("node1.example.net",))
    fleet.make_ca()
    fleet.start_controller()
    try:
        times = []
        for _ in range(5):
            began = time.monotonic()
            node = fleet.start_node("node1.example.net", sources=source and f"[{source}]")
            node.wait_log(r"ready")
            times.append((time.monotonic() - began) * 1000)
            if len(times) < 5:
                node.stop()
        fleet.wait_present(1)
        time.sleep(12)  # what the start and new facts needed is given back
        before = cpu_ms(node.pid)
        time.sleep(10)
        kept = os.path.getsize(fleet.path("node1.example.net", "state", "facts.json"))
        print(f"\nNode agent, {what} ({kept / 1000:.0f} KB): ready after {of(times)} ms, RSS {rss_kb(node.pid) / 1024:.1f} MB, "
              f"CPU {cpu_ms(node.pid) - before} ms in 10 s idle", flush=True)
    finally:
        fleet.stop()


def cpu_ms(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1000 // os.sysconf("SC_CLK_TCK")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--yardsticks", required=True)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(prefix="orch-bench-") as directory:
        measure_fanout(arguments.yardsticks, (100, 1000) if arguments.quick else (100, 1000, 5000),
                       5 if arguments.quick else 11, directory)
        on_all = ("embedded", "activemq", "rabbitmq")
        measure_ping([(100, on_all)] if arguments.quick else [(100, on_all), (1000, on_all), (10000, ("embedded",))],
                     5 if arguments.quick else 11, directory)
        measure_node(directory, "few facts", None)
        measure_node(directory, "Ohai's facts", "{ohai: auto}")


if __name__ == "__main__":
    main()
