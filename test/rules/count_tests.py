# SPDX-License-Identifier: Apache-2.0
"""Prints `PASSED FAILED` from Bazel's build events: each test case of a test.xml, or the target where it has none. Of a
target that was tried again the last attempt counts; the earlier ones are named on standard error."""

import json
import sys
import urllib.parse
import xml.etree.ElementTree as ElementTree


def cases(path):
    """Counts (passed, failed) test cases of a GoogleTest result, or None where the file has no cases of its own."""
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError):
        return None
    found = root.findall(".//testcase")
    bad = sum(1 for case in found if case.find("failure") is not None or case.find("error") is not None)
    ran = [case for case in found if case.get("status") != "notrun" and case.find("skipped") is None]
    return (len(ran) - bad, bad) if found else None


def main():
    failed = 0
    counts = {}  # by target, run and shard
    with open(sys.argv[1], encoding="utf-8") as events:
        for line in events:
            event = json.loads(line)
            result = event.get("testResult")
            if result is None:
                if event.get("testSummary", {}).get("overallStatus") in ("NO_STATUS",):
                    failed += 1
                continue
            good = result.get("status") == "PASSED"
            xml = next((o["uri"] for o in result.get("testActionOutput", []) if o["name"] == "test.xml"), "")
            counted = cases(urllib.parse.unquote(urllib.parse.urlparse(xml).path)) if xml else None
            if counted is None:
                counted = (1, 0) if good else (0, 1)
            elif not good and counted[1] == 0:
                counted = (counted[0], 1)  # it crashed, or was ended by its time limit
            which = event["id"]["testResult"]
            key = which.get("label"), which.get("run"), which.get("shard")
            if key in counts:
                print(f"TRIED AGAIN: {key[0]}: attempt {which.get('attempt')} {result.get('status')}", file=sys.stderr)
            counts[key] = counted
    print(sum(count[0] for count in counts.values()), failed + sum(count[1] for count in counts.values()))


if __name__ == "__main__":
    main()
