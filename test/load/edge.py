#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an honest WhoAmI on a warm connection costs two controllers in CPU, in paired rounds.

  test/load/edge.py BEFORE AFTER [--rounds 20] [--calls 500] [--parallel 1]

BEFORE and AFTER are orch-controller binaries. Both run all the time; each round asks one and then the other, the next round
the other way round, so that what else the machine does falls on both."""

import argparse
import os
import statistics
import sys
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "testing"), os.path.join(HERE, "..", "hostile")]
import fleet as fleets  # noqa: E402
import peers  # noqa: E402


def cpu_s(pid):
    """User and system time of a process, by its threads' clocks (to a microsecond, unlike /proc/pid/stat)."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total / 1e9


class Side:
    """One controller with callers whose connections are warm."""

    def __init__(self, program, directory, parallel):
        self.fleet = fleet = fleets.Fleet(directory, nodes=("web1.example.net",))
        fleet.make_ca()
        os.makedirs(fleet.path("controller"), mode=0o700)
        fleet.write_controller()
        fleet.controller = fleets.Process("controller", [program, "--config", fleet.path("controller.yaml")],
                                          fleet.path("controller.log")).start()
        fleet.address = fleet.controller.wait_log(r"grpc listening\S* \S*?(127\.0\.0\.1:\d+)").group(1)
        ca = [fleet.path("ca", name) for name in ("operator.pem", "operator.key", "ca.pem")]
        self.callers = [peers.Caller(lambda: peers.Http2(fleet.address, *ca)) for _ in range(parallel)]
        self.round(300)

    def round(self, calls):
        """Microseconds of CPU for a call."""
        before = cpu_s(self.fleet.controller.pid)
        for number in range(calls):
            self.callers[number % len(self.callers)].call()
        return (cpu_s(self.fleet.controller.pid) - before) / calls * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--parallel", type=int, default=1, help="connections, asked in turn")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="orch-edge-") as directory:
        sides = []
        try:
            for name in ("before", "after"):
                sides.append(Side(os.path.realpath(getattr(arguments, name)), os.path.join(directory, name), arguments.parallel))
            ratios = []
            for number in range(arguments.rounds):
                order = sides if number % 2 == 0 else sides[::-1]
                costs = {side: side.round(arguments.calls) for side in order}
                before, after = (costs[side] for side in sides)
                ratios.append(after / before)
                print(f"round {number + 1}: before {before:.1f} us, after {after:.1f} us, ratio {ratios[-1]:.3f}")
            print(f"median ratio {statistics.median(ratios):.3f} (from {min(ratios):.3f} to {max(ratios):.3f})")
        finally:
            for side in sides:
                side.fleet.stop()


if __name__ == "__main__":
    main()
