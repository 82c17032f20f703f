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
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.M)
FORBIDDEN_NAMES = re.compile(r"(^|_)(manager|helper|helpers|util|utils|common|impl|detail)(_|\.|$)")
REGISTRY = re.compile(r"(registry\.npmjs|deb\.debian|pypi\.org|github\.com/.*/archive|crates\.io|proxy\.golang)")

# (files that match, what no transitive include of theirs may match, except includes through these)
ASIO = re.compile(r"^boost/(asio|beast)|^base/asio\.h$")
GRPC = re.compile(r"^grpcpp/|^grpc/|\.grpc\.pb\.h$")
OPENSSL = re.compile(r"^openssl/")
NEVERS = [
    (r"^target/", re.compile(ASIO.pattern + "|" + GRPC.pattern + "|" + OPENSSL.pattern), "target is pure"),
    (r"^policy/", re.compile(ASIO.pattern + "|" + GRPC.pattern + "|" + OPENSSL.pattern), "policy is pure"),
    (r"^bus/(frame|frame_decoder|session|backoff|destination|address|broker_(core|verbs|router|session|rights|message|limits))\.(cc|h)$",
     re.compile(ASIO.pattern + "|" + GRPC.pattern), "the pure part of bus has no Asio"),
    (r"^controller/(job|job_replies|job_restore|job_log|rollout|roster|roster_entry|ask_pace|discovery|freeze|validate|pages)\.(cc|h)$",
     re.compile(ASIO.pattern + "|" + GRPC.pattern), "jobs, rollout, roster and what freezes a list are pure"),
    (r"^controller/(?!service|job_stream|node_stream|grpc_status|tls|metrics_text|main|parts|process)", GRPC,
     "gRPC is in the controller's service, streams and wiring alone"),
    (r"^nodeagent/(ladder|replay_window|beacons|crl_parts|puppet_report|report_reader|puppet_summary)\.(cc|h)$", ASIO,
     "what the node agent decides is pure"),
    (r"^nodeagent/", GRPC, "the node agent never has gRPC"),
    (r"^bus/", GRPC, "the bus never has gRPC"),
    (r"^base/(metrics_page|traceparent)\.(cc|h)$", re.compile(ASIO.pattern + "|" + GRPC.pattern),
     "what is told and how it is written is pure"),
    (r"^bus/", re.compile(r"^(controller|nodeagent|cli|policy|target)/(?!config\.pb\.h$)"),
     "the bus knows nobody above it, but for the files that `orch-broker check` takes its brokers from"),
    (r"^trust/", re.compile(ASIO.pattern + "|" + GRPC.pattern), "trust has neither Asio nor gRPC"),
    (r"^cli/", ASIO, "the command line never has Asio"),
    (r"^cli/", re.compile(r"^bus/"), "the command line never has the bus"),
    (r"^base/(?!asio\.|config_test\.)", re.compile(r"^(api|target|policy|trust|bus|controller|nodeagent|cli)/"),
     "base includes nothing of ours"),
    (r"^api/", re.compile(r"^(target|policy|trust|bus|controller|nodeagent|cli)/"), "api includes base only"),
]


def tracked():
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"], check=True,
                            capture_output=True, text=True).stdout.split("\n")
    return [path for path in listed if path and os.path.isfile(os.path.join(ROOT, path))]


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as file:
        return file.read()


FILES = tracked()
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
