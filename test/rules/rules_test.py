# SPDX-License-Identifier: Apache-2.0
"""Proves the rules of the house: who may include whom (every transitive #include is scanned, because system headers need
no dep and Bazel queries alone prove nothing), sizes, names, and that nothing points outside Debian's packages."""

import collections
import os
import re
import subprocess
import sys
import unittest

ROOT = os.environ.get("ORCH_SOURCE") or os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
if os.path.islink(__file__):
    ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

SOURCE_MAX, HEADER_MAX, FUNCTION_MAX = 500, 250, 70
# Lines of a room without its tests; source files in one folder; lines of a class's functions over all its .cc files.
ROOM_MAX, FOLDER_MAX, CLASS_MAX = 3200, 45, 450
# The command line is one room: every cut that was tried makes a cycle.
FLAT = {"cli"}
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.M)
FORBIDDEN_NAMES = re.compile(r"(^|_)(manager|helper|helpers|util|utils|common|impl|detail)(_|\.|$)")
REGISTRY = re.compile(r"(registry\.npmjs|deb\.debian|pypi\.org|github\.com/.*/archive|crates\.io|proxy\.golang)")

# (files that match, what no transitive include of theirs may match, except includes through these)
ASIO = re.compile(r"^boost/(asio|beast)|^base/(asio|strand)\.h$")
GRPC = re.compile(r"^grpcpp/|^grpc/|\.grpc\.pb\.h$")
OPENSSL = re.compile(r"^openssl/")
NEVERS = [
    (r"^target/", re.compile(ASIO.pattern + "|" + GRPC.pattern + "|" + OPENSSL.pattern), "target is pure"),
    (r"^policy/", re.compile(ASIO.pattern + "|" + GRPC.pattern + "|" + OPENSSL.pattern), "policy is pure"),
    (r"^bus/(stomp|routing)/|^bus/client/(session|backoff|pace)\.(cc|h)$", re.compile(ASIO.pattern + "|" + GRPC.pattern),
     "STOMP, sessions and the broker's routing are pure"),
    (r"^controller/(job|roster)/|^controller/(admission/discovery|gate/validate|service/pages)\.(cc|h)$",
     re.compile(ASIO.pattern + "|" + GRPC.pattern), "jobs, rollout, roster and what freezes a list are pure"),
    (r"^controller/edge/(http2_guard|http2_share|handshake_shares)\.(cc|h)$",
     re.compile(ASIO.pattern + "|" + GRPC.pattern + "|" + OPENSSL.pattern), "what the edge decides is pure"),
    (r"^controller/(?!service/|metrics_text|main|parts|process)", GRPC,
     "gRPC is in the controller's service and wiring alone"),
    (r"^nodeagent/text/|^nodeagent/agent/(ladder|replay_window|beacons|crl_parts)\.(cc|h)$|"
     r"^nodeagent/puppet/(puppet_report|report_reader|puppet_summary)\.(cc|h)$", ASIO, "what the node agent decides is pure"),
    (r"^nodeagent/", GRPC, "the node agent never has gRPC"),
    (r"^bus/", GRPC, "the bus never has gRPC"),
    (r"^base/telemetry/", re.compile(ASIO.pattern + "|" + GRPC.pattern),
     "what is told and how it is written is pure"),
    (r"^bus/", re.compile(r"^(controller|nodeagent|cli|policy|target)/(?!config\.pb\.h$)"),
     "the bus knows nobody above it, but for the files that `orch-broker check` takes its brokers from"),
    (r"^trust/", re.compile(ASIO.pattern + "|" + GRPC.pattern), "trust has neither Asio nor gRPC"),
    (r"^cli/", ASIO, "the command line never has Asio"),
    (r"^cli/", re.compile(r"^bus/"), "the command line never has the bus"),
    (r"^base/(?!asio\.|strand\.|config_test\.)", re.compile(r"^(api|target|policy|trust|bus|controller|nodeagent|cli)/"),
     "base includes nothing of ours"),
    (r"^api/", re.compile(r"^(target|policy|trust|bus|controller|nodeagent|cli)/"), "api includes base only"),
]

# Preprocessed lines that a header brings with it, in thousands, beyond what the standard library's usual headers are; and how
# many thousand lines a source may parse of them on average, and each of the twenty that parse most (docs/adr/0012).
WEIGHTS = {
    "CLI/CLI.hpp": 70, "base/asio.h": 120, "base/strand.h": 60, "boost/beast/": 150, "gmock/": 80, "google/protobuf/util/json_util.h": 70,
    "grpcpp/": 70, "gtest/": 60, "nlohmann/json.hpp": 90, "orch/v1/action.pb.h": 100, "spdlog/": 70, "yaml-cpp/": 50,
}
WEIGHT_MEAN, WEIGHT_MAX = 200, 500


def tracked():
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"], check=True,
                            capture_output=True, text=True).stdout.split("\n")
    return [path for path in listed if path and os.path.isfile(os.path.join(ROOT, path))]


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as file:
        return file.read()


FILES = tracked()
# Sources of tests: their own files, and what stands in for real parts.
TEST = re.compile(r"(_test|_benchmark)\.cc$|_fixture\.(cc|h)$|/fake_|broker_bench\.h$")
SOURCES = [path for path in FILES if path.endswith((".cc", ".h"))]
INCLUDES = {path: [a or b for a, b in INCLUDE.findall(read(path))] for path in SOURCES}


def functions(text):
    """Yields (line, length) of each brace block at namespace or class depth that looks like a function body."""
    depth_of, stack, line = [], [], 0
    for raw in text.split("\n"):
        line += 1
        code = re.sub(r'"(\\.|[^"\\])*"|\'(\\.|[^\'\\])\'|//.*', "", raw)
        for match in re.finditer(r"[{}]", code):
            if match.group() == "{":
                head = code[:match.start()].rstrip()
                scope = bool(re.search(r"\b(namespace|class|struct|enum|union)\b[^()]*$", head)) or head.endswith("=")
                stack.append((line, scope))
            elif stack:
                begin, scope = stack.pop()
                if not scope and all(is_scope for _, is_scope in stack):
                    depth_of.append((begin, line - begin))
    return depth_of


class Rules(unittest.TestCase):
    def test_nevers_hold_through_every_include(self):
        for pattern, never, why in NEVERS:
            matching = [path for path in SOURCES if re.search(pattern, path) and not path.endswith("_test.cc")
                        and not path.endswith("_benchmark.cc")]
            for path in matching:
                for name, chain in self.reachable(path):
                    self.assertIsNone(never.search(name), f"{why}: {' -> '.join(chain)}")

    def reachable(self, start):
        queue, seen = collections.deque([(start, [start])]), {start}
        while queue:
            path, chain = queue.popleft()
            for name in INCLUDES.get(path, []):
                yield name, chain + [name]
                if name in INCLUDES and name not in seen:
                    seen.add(name)
                    queue.append((name, chain + [name]))

    def test_files_keep_their_size(self):
        for path in SOURCES:
            limit = HEADER_MAX if path.endswith(".h") else SOURCE_MAX
            self.assertLessEqual(read(path).count("\n"), limit, path)

    def test_rooms_keep_their_size(self):
        lines, files = collections.Counter(), collections.Counter()
        for path in SOURCES:
            room = os.path.dirname(path)
            files[room] += 1
            if not TEST.search(path):
                lines[room] += read(path).count("\n")
        for room in set(lines) - FLAT:
            self.assertLessEqual(lines[room], ROOM_MAX, room)
            self.assertLessEqual(files[room], FOLDER_MAX, room)

    def test_rooms_have_floors(self):
        """No room reaches itself through the rooms that it includes."""
        reach = collections.defaultdict(set)
        for path in SOURCES:
            if not TEST.search(path) and not path.startswith("test/"):
                for name in INCLUDES[path]:
                    room = os.path.dirname(name)
                    if os.path.isdir(os.path.join(ROOT, room)) and room != os.path.dirname(path):
                        reach[os.path.dirname(path)].add(room)

        def below(room, chain):
            for lower in sorted(reach[room]):
                self.assertNotIn(lower, chain, " -> ".join(chain + [lower]))
                below(lower, chain + [lower])

        for room in sorted(reach):
            if room:
                below(room, [room])

    def test_classes_keep_their_size(self):
        lines = collections.Counter()
        for path in SOURCES:
            if path.endswith(".cc") and not TEST.search(path):
                text = read(path).split("\n")
                for line, length in functions("\n".join(text)):
                    head = " ".join(text[max(0, line - 6):line])
                    names = re.findall(r"([A-Z]\w*(?:::[A-Z]\w*)*)::~?\w+\s*\(", head)
                    if names:
                        lines[(os.path.dirname(path), names[-1])] += length + 1
        self.assertEqual({name: size for name, size in lines.items() if size > CLASS_MAX}, {})

    def test_dear_headers_do_not_spread(self):
        def weight(path):
            names = {name for name, _ in self.reachable(path)}
            # What reaches the messages of a job reaches those of its action.
            if any(re.fullmatch(r"orch/(bus/)?v1/.*\.pb\.h", name) for name in names):
                names.add("orch/v1/action.pb.h")
            return sum(cost for header, cost in WEIGHTS.items()
                       if any(name.startswith(header) if header.endswith("/") else name == header for name in names))

        weights = sorted(((weight(path), path) for path in SOURCES if path.endswith(".cc")), reverse=True)
        self.assertLessEqual(sum(cost for cost, _ in weights) / len(weights), WEIGHT_MEAN, weights[:20])
        for cost, path in weights[:20]:
            self.assertLessEqual(cost, WEIGHT_MAX, path)

    def test_functions_stand_where_the_map_says(self):
        """Each function that docs/life-of-a-run.md names after a link stands in the file, or the header, that it links."""
        text = read("docs/life-of-a-run.md")
        for link, name in re.findall(r"\]\(\.\./([^)]+)\)\)? `([A-Za-z]+)`", text):
            stem = re.sub(r"\.(cc|h)$", "", link)
            sources = [read(path) for path in SOURCES if path.startswith(stem + ".")]
            self.assertTrue(any(re.search(rf"\b{name}\(", source) for source in sources), f"{link} has no {name}")
        for link in re.findall(r"\]\(\.\./([^)#]+)\)", text):
            self.assertTrue(os.path.exists(os.path.join(ROOT, link)), link)

    def test_functions_keep_their_size(self):
        for path in SOURCES:
            for line, length in functions(read(path)):
                self.assertLessEqual(length, FUNCTION_MAX, f"{path}:{line}")

    def test_names_say_what_things_are(self):
        for path in FILES:
            if path.startswith("third_party/"):
                continue
            self.assertIsNone(FORBIDDEN_NAMES.search(os.path.basename(path)), path)
            if re.search(r"(^|_)agent[._]", os.path.basename(path)):
                self.assertTrue(path.startswith("nodeagent/") or "nodeagent" in path, path)

    def test_sources_carry_their_licence(self):
        bare = [path for path in FILES if path.endswith((".cc", ".h", ".cpp", ".proto", ".py", ".sh"))
                and "SPDX-License-Identifier: Apache-2.0" not in read(path)[:400]]
        bare += [path for path in FILES if re.fullmatch(r"tools/[a-z-]+|test/testing/peers/.*", path)
                 and "SPDX-License-Identifier: Apache-2.0" not in read(path)[:400]]
        self.assertEqual(bare, [])

    def test_headers_are_included_once(self):
        for path in SOURCES:
            if path.endswith(".h"):
                self.assertIn("#pragma once", read(path), path)

    def test_nothing_is_downloaded(self):
        for path in FILES:
            if path != "test/rules/rules_test.py":
                self.assertIsNone(REGISTRY.search(read(path)), path)

    def test_no_keys_in_the_tree(self):
        for path in FILES:
            self.assertNotRegex(read(path), r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n[A-Za-z0-9+/=]{20}", path)

    def test_bazel_agrees(self):
        """The same nevers, asked of Bazel: gRPC is in no dependency of the node agent, Asio in none of orchctl."""
        for target, never in (("//nodeagent:orch-nodeagent", "@system//:grpc"), ("//bus:orch-broker", "@system//:grpc"),
                              ("//cli:orchctl", "@system//:asio"), ("//target:target", "@system//:asio"),
                              ("//policy:policy", "@system//:asio")):
            if "BUILD_WORKSPACE_QUERY" in os.environ:
                found = subprocess.run(["bazel", "query", f"somepath({target}, {never})"], cwd=ROOT, check=True,
                                       capture_output=True, text=True).stdout
                self.assertEqual(found, "", f"{target} depends on {never}")


if __name__ == "__main__":
    unittest.main(verbosity=2)
