# SPDX-License-Identifier: Apache-2.0
"""The packages: made twice alike, clean by lintian, installed, upgraded and purged in a root of their own; and nothing of what
they install runs open. Called with the built binaries in bazel-bin, as root."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", ".."))
NAMES = ("orch-controller", "orch-nodeagent", "orch-broker", "orchctl")


def run(*command, check=True, **keywords):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **keywords)
    if check and done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


def make(out, version, *names):
    only = [argument for name in names for argument in ("--only", name)]
    done = run(os.path.join(ROOT, "tools", "package"), "--no-build", "--out", out, "--version", version, *only)
    paths = done.stdout.splitlines()
    assert all(os.path.exists(path) for path in paths), paths
    return paths


def mirrors():
    """Where this machine's own packages come from; empty: as debootstrap thinks."""
    found = run("apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages", check=False).stdout
    return [line.split()[0] for line in found.splitlines() if line.endswith(" bookworm") and line.startswith("http")][:1]


def sums(paths):
    found = {}
    for path in paths:
        with open(path, "rb") as file:
            found[os.path.basename(path)] = hashlib.sha256(file.read()).hexdigest()
    return found


class Packages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.mkdtemp(prefix="orch-packages-")
        cls.paths = make(os.path.join(cls.scratch, "one"), "1.0.0", *NAMES)
        cls.debs = {os.path.basename(path).split("_")[0]: path for path in cls.paths if path.endswith(".deb")}
        cls.rpms = {name: path for name in NAMES for path in cls.paths if os.path.basename(path).startswith(name + "-1.0.0")}
        cls.root = os.path.join(cls.scratch, "root")
        run("debootstrap", "--variant=minbase", "bookworm", cls.root, *mirrors())

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.scratch)

    def inside(self, *command, check=True):
        return run("chroot", self.root, *command, check=check, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"})

    def install(self, *paths):
        for path in paths:
            shutil.copy(path, self.root)
        return self.inside("dpkg", "-i", *["/" + os.path.basename(path) for path in paths])

    def exists(self, place):
        return os.path.lexists(self.root + place)

    def test_all_are_made_and_named(self):
        self.assertEqual(sorted(self.debs), sorted(NAMES))
        self.assertEqual(sorted(self.rpms), sorted(NAMES))

    def test_the_same_commit_makes_the_same_bytes(self):
        again = make(os.path.join(self.scratch, "two"), "1.0.0", "orch-broker")
        self.assertEqual(len(again), 2)
        first = sums(self.paths)
        for name, digest in sums(again).items():
            self.assertEqual(first[name], digest, name)

    def test_lintian_finds_no_error(self):
        done = run("lintian", "--allow-root", "--fail-on", "error", *self.debs.values(), check=False)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_the_rpms_have_the_same_files_and_their_own_places(self):
        for name in NAMES:
            deb = {line.split()[-1][1:] for line in run("dpkg-deb", "-c", self.debs[name]).stdout.splitlines() if line[0] == "-"}
            rpm = set(run("rpm", "-qlp", self.rpms[name]).stdout.split())
            own = {f"/usr/share/doc/{name}/NEWS.gz", f"/usr/share/lintian/overrides/{name}"}
            self.assertEqual({place for place in deb if not place.startswith(("/lib/", "/usr/share/zsh"))} - own,
                             {place for place in rpm if not place.startswith(("/usr/lib/systemd", "/usr/share/zsh"))}
                             - {f"/usr/share/doc/{name}/LICENSE"})
            self.assertEqual(f"/usr/lib/systemd/system/{name}.service" in rpm, name != "orchctl")
        self.assertIn("useradd", run("rpm", "-qp", "--scripts", self.rpms["orch-controller"]).stdout)
        self.assertIn("/etc/orch/nodeagent.yaml", run("rpm", "-qcp", self.rpms["orch-nodeagent"]).stdout)
        self.assertRegex(run("rpm", "-qp", "--requires", self.rpms["orchctl"]).stdout, r"libc\.so\.6\(GLIBC_2\.")
        target = os.path.join(self.scratch, "rpmroot")
        run("rpm", "--root", target, "--dbpath", "/var/lib/rpm", "--initdb")
        run("rpm", "--root", target, "-i", "--nodeps", "--noscripts", self.rpms["orchctl"])
        self.assertTrue(os.path.exists(target + "/usr/bin/orchctl"))
        self.assertEqual(run("rpm", "--root", target, "-V", "--nodeps", "orchctl").stdout, "")

    def test_wrong_flags_are_refused(self):
        tool = os.path.join(ROOT, "tools", "package")
        self.assertEqual(run(tool, "--bogus", check=False).returncode, 64)
        self.assertEqual(run(tool, "--out", check=False).returncode, 64)
        self.assertNotEqual(run(tool, "--no-build", "--version", "x y", check=False).returncode, 0)
        self.assertIn("--no-build", run(tool, "--help").stdout)

    def test_a_life(self):
        """Installed, upgraded with a changed configuration, removed, purged."""
        self.install(*self.debs.values())
        for name in NAMES:
            self.assertRegex(self.inside(name, "--version").stdout, r"\d+\.\d+\.\d+")
            self.assertEqual(self.inside("dpkg", "--verify", name).stdout, "")
            self.assertEqual(self.inside("test", "-s", f"/usr/share/doc/{name}/linked-licences.gz").returncode, 0)
        self.assertIn("orch:", self.inside("getent", "passwd", "orch").stdout)
        self.assertIn("orch-broker:", self.inside("getent", "passwd", "orch-broker").stdout)
        page = run("zcat", self.root + "/usr/share/man/man1/orchctl.1.gz").stdout
        self.assertIn(".TH ORCHCTL 1", page)
        # What is installed does not run: certificates are missing, and nobody has any right.
        for command in (("orch-controller", "--check-config"), ("orch-nodeagent", "--check-config"),
                        ("orch-broker", "--config", "/etc/orch/broker.yaml", "--check-config")):
            done = self.inside(*command, check=False)
            self.assertNotEqual(done.returncode, 0, command)
            self.assertRegex(done.stdout + done.stderr, r"(/etc/orch/|/var/lib/puppet/ssl/).*No such file|missing")
        self.assertIn("ok", self.inside("orchctl", "policy", "check", "/etc/orch/policy.yaml").stdout)
        with open(self.root + "/etc/orch/policy.yaml", encoding="utf-8") as file:
            self.assertIn("rules: []", file.read())

        own = "controllers: [mine.example.net]\n"
        with open(self.root + "/etc/orch/nodeagent.yaml", "w", encoding="utf-8") as file:
            file.write(own)
        os.makedirs(self.root + "/var/lib/orch-nodeagent", exist_ok=True)
        newer = [path for path in make(os.path.join(self.scratch, "newer"), "1.0.0+git5.g1234567", "orch-nodeagent")]
        deb = next(path for path in newer if path.endswith(".deb"))
        self.install(deb)
        self.assertIn("1.0.0+git5.g1234567", self.inside("dpkg-query", "-W", "orch-nodeagent").stdout)
        with open(self.root + "/etc/orch/nodeagent.yaml", encoding="utf-8") as file:
            self.assertEqual(file.read(), own)
        self.assertEqual(self.inside("dpkg", "--compare-versions", "1.0.0+git5.g1234567", "gt", "1.0.0").returncode, 0)
        # And back again.
        self.install(self.debs["orch-nodeagent"])

        self.inside("dpkg", "-r", "orch-nodeagent")
        self.assertTrue(self.exists("/etc/orch/nodeagent.yaml"))
        self.assertTrue(self.exists("/var/lib/orch-nodeagent"))
        self.inside("dpkg", "-P", *NAMES)
        for place in ("/var/lib/orch-nodeagent", "/etc/orch", "/usr/bin/orchctl", "/lib/systemd/system/orch-nodeagent.service"):
            self.assertFalse(self.exists(place), place)
        left = self.inside("find", "/", "-xdev", "-name", "*orch*", "-not", "-path", "/proc/*", "-not", "-path", "/sys/*").stdout.split()
        self.assertEqual([place for place in left if not re.match(r"/(orch|var/lib/dpkg)", place)], [])


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("packages_test.py: needs root, for a root of its own")
    unittest.main(verbosity=2)
