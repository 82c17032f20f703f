# SPDX-License-Identifier: Apache-2.0
"""Runs every program of examples/ against a real fleet, and looks whether the command lines of the documents are understood."""

import glob
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "testing"))
import fleet as fleets  # noqa: E402

EXAMPLES = os.path.join(fleets.ROOT, "examples")
NODES = ("web1.example.net", "web2.example.net")
NPM = os.environ.get("ORCH_NPM") or os.path.expanduser("~/.cache/orch/npm/node_modules")


class ExamplesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.fleet = fleets.Fleet(tempfile.mkdtemp(prefix="orch-examples-"), nodes=NODES)
        cls.addClassCleanup(cls.fleet.remove)
        cls.addClassCleanup(cls.fleet.stop)
        cls.fleet.start()
        cls.stubs = cls.fleet.path("stubs")
        os.makedirs(cls.stubs)
        api = os.path.join(fleets.ROOT, "api")
        protos = [os.path.relpath(path, api) for folder in ("orch/v1", "google/rpc") for path in glob.glob(f"{api}/{folder}/*.proto")]
        subprocess.run(["protoc", f"-I{api}", f"--python_out={cls.stubs}", f"--grpc_out={cls.stubs}",
                        "--plugin=protoc-gen-grpc=/usr/bin/grpc_python_plugin", *protos], check=True)
        cls.environment = {**os.environ, "PYTHONPATH": cls.stubs, "PYTHONDONTWRITEBYTECODE": "1", "NODE_PATH": NPM,
                           "PATH": os.path.join(NPM, ".bin") + ":" + os.environ["PATH"], "HOME": cls.fleet.dir}

    def who(self, user="operator"):
        return [self.fleet.address, self.fleet.path("ca", "ca.pem"), self.fleet.path("ca", user + ".pem"),
                self.fleet.path("ca", user + ".key")]

    def command(self, program, *arguments, user="operator"):
        kind = program.split("/")[0]
        runner = {"python": ["/usr/bin/python3"], "node": ["node"], "shell": ["bash"]}[kind]
        return [*runner, os.path.join(EXAMPLES, program), *self.who(user), *arguments]

    def run_it(self, code, program, *arguments, user="operator"):
        done = subprocess.run(self.command(program, *arguments, user=user), capture_output=True, text=True, timeout=180, check=False,
                              env=self.environment)
        self.assertEqual(done.returncode, code, (program, done.stdout, done.stderr))
        return done

    def new_job(self, *arguments):
        return self.fleet.orchctl("puppet", "run", "--detach", *arguments).stdout.strip()

    def test_canary_then_the_others(self):
        for program, facts in (("python/canary.py", ("-F", "role=web")), ("node/canary.js", ("role=web",)),
                               ("shell/canary.sh", ("role=web",))):
            with self.subTest(program=program):
                before = self.fleet.orchctl("job", "list", "-n", "100", "-o", "name").stdout.split()
                self.run_it(0, program, *facts)
                made = self.fleet.orchctl("job", "list", "-n", "100", "-o", "name").stdout.split()
                made = made[:len(made) - len(before)]
                reports = [self.fleet.report("job", "show", job) for job in made]
                self.assertEqual(sorted(node["node"] for report in reports for node in report["nodes"]), sorted(NODES), reports)
                self.assertEqual([len(report["nodes"]) for report in reports], [1, 1])

    def test_a_canary_that_fails_stops_it(self):
        self.fleet.orchctl("puppet", "disable", *NODES, "-m", "for a test")
        try:
            for program, facts in (("python/canary.py", ("-F", "role=web")), ("node/canary.js", ("role=web",)),
                                   ("shell/canary.sh", ("role=web",))):
                with self.subTest(program=program):
                    before = len(self.fleet.orchctl("job", "list", "-n", "100", "-o", "name").stdout.split())
                    self.run_it(2, program, *facts)
                    self.assertEqual(len(self.fleet.orchctl("job", "list", "-n", "100", "-o", "name").stdout.split()), before + 1)
        finally:
            self.fleet.orchctl("puppet", "enable", *NODES)

    def test_who_may_not_is_told_by_reason(self):
        self.assertIn("POLICY_DENIED", self.run_it(64, "python/canary.py", "-F", "role=web", user="guest").stderr)
        self.assertIn("PERMISSION_DENIED", self.run_it(64, "node/canary.js", "role=web", user="guest").stderr)

    def test_following_survives_the_controller(self):
        for program in ("python/follow.py", "node/follow.js", "shell/follow.sh"):
            with self.subTest(program=program):
                job = self.new_job("web1.example.net")
                process = subprocess.Popen(self.command(program, job), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                           env=self.environment)
                time.sleep(1)
                self.fleet.controller.kill()
                self.fleet.start_controller()
                out, err = process.communicate(timeout=120)
                self.assertEqual(process.returncode, 0, (out, err))
                self.assertIn(f"{job} JOB_STATE_SUCCEEDED", out)
                numbers = [int(line.split()[0]) for line in (out + err).splitlines() if line.split()[0].isdigit()]
                self.assertEqual(numbers, sorted(set(numbers)), "each event once")

    def test_cancel(self):
        job = self.new_job("web2.example.net")
        done = self.run_it(0, "python/cancel.py", job)
        self.assertRegex(done.stdout, rf"{job} JOB_STATE_(CANCELLED|SUCCEEDED)")

    def test_a_bot_hears_of_each_job_once_though_the_controller_is_killed(self):
        log = self.fleet.path("bot.log")
        with open(log, "w", encoding="utf-8") as out:
            process = subprocess.Popen(self.command("python/bot.py"), stdout=out, stderr=subprocess.STDOUT, env=self.environment)
        try:
            def said(job, state):
                with open(log, encoding="utf-8") as file:
                    return [line for line in file if line.startswith(f"{job} of cert=operator: JOB_STATE_{state} ")]
            first = self.new_job("web1.example.net")
            fleets.wait_for("the bot's word of the first", lambda: said(first, "SUCCEEDED"), 60)
            self.fleet.controller.kill()
            self.fleet.start_controller()
            fleets.wait_for("the controller", lambda: self.fleet.orchctl("job", "list", check=False).returncode == 0, 30)
            second = self.new_job("web2.example.net")
            fleets.wait_for("the bot's word of the second", lambda: said(second, "SUCCEEDED"), 60)
            self.assertEqual(len(said(first, "SUCCEEDED")), 1)
        finally:
            process.kill()
            process.wait()


class DocumentsTest(unittest.TestCase):
    """A command that a document names must be one: its words and its flags stand in its own help."""

    def lines(self):
        for path in sorted(glob.glob(os.path.join(fleets.ROOT, "docs", "*.md"))) + [os.path.join(fleets.ROOT, "README.md")]:
            with open(path, encoding="utf-8") as file:
                text = re.sub(r"\\\n\s*", " ", file.read())
            for line in re.findall(r"`(orchctl [^`\n]+)`", text) + re.findall(r"^(?:    |\$ )(orchctl .+)$", text, re.M):
                yield os.path.basename(path), line

    def help_of(self, words):
        return subprocess.run([fleets.binary("orchctl"), "help", *words], capture_output=True, text=True, timeout=20, check=False)

    def test_each_command_line_is_understood(self):
        everywhere = self.help_of([]).stdout
        seen = 0
        for path, line in self.lines():
            if re.search(r"<|\[[a-zA-Z]|…|[a-z]\|[a-z]| mco ", line):
                continue  # says a form, not a line
            words = shlex.split(line, comments=True)[1:]
            ends = [words.index(end) for end in ("|", "&&") if end in words] + [i for i, word in enumerate(words) if word.startswith(">")]
            words = words[:min(ends, default=len(words))]
            command = []
            while words and re.fullmatch(r"[a-z]+", words[0]) and self.help_of([*command, words[0]]).returncode == 0:
                command.append(words.pop(0))
            if command[:2] == ["broker", "check"]:
                continue  # hands its flags on
            with self.subTest(document=path, line=line):
                text = self.help_of(command).stdout + everywhere
                self.assertTrue(command or not words or words[0].startswith("-"), f"`{words[:1]}` is no command")
                for word in words:
                    flag = re.match(r"--?[A-Za-z][a-z-]*", word)
                    if flag and not re.match(r"-\d", word):
                        self.assertRegex(text, rf"(?m)(^|[\s,]){re.escape(flag.group())}([\s,]|$)", flag.group())
                seen += 1
        self.assertGreater(seen, 60)


if __name__ == "__main__":
    unittest.main()
