# SPDX-License-Identifier: Apache-2.0
"""Says where a build's time went: reads Bazel's JSON profile and prints the dearest compiles and links, and what each kind
of action took together. usage: build_times.py PROFILE.json.gz [ROWS]"""

import collections
import gzip
import json
import sys


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__.split("usage: ")[1])
    with gzip.open(sys.argv[1], "rt") as file:
        events = json.load(file)["traceEvents"]
    rows = int(sys.argv[2]) if len(sys.argv) == 3 else 20
    actions = [event for event in events if event.get("cat") == "action processing" and event.get("dur")]
    kinds = collections.Counter()
    for event in actions:
        kinds[event["name"].split(" ")[0]] += event["dur"]
    total = sum(kinds.values())
    print(f"{len(actions)} actions, {total / 1e6:.0f} s together")
    for kind, time in kinds.most_common(6):
        print(f"  {time / 1e6:7.1f} s  {kind}")
    print(f"the {rows} dearest:")
    for event in sorted(actions, key=lambda event: -event["dur"])[:rows]:
        print(f"  {event['dur'] / 1e6:7.1f} s  {event['name']}")


main()
