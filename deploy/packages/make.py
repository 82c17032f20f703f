# SPDX-License-Identifier: Apache-2.0
"""Makes .deb and .rpm of all packages from description.py; tools/package calls it. The same commit makes the same bytes."""

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import textwrap

import description
from tree import ROOT, Tree, output

ARCHITECTURES = {"x86_64": ("amd64", "x86_64")}


def version_of(given):
    """`0.1.0` without a tag, `1.2.0` on the tag v1.2.0, `1.2.0+git5.g1234567` five commits after it: later than it, for both
    kinds of packages."""
    if given:
        if not re.fullmatch(r"[0-9][0-9A-Za-z.+]*", given):
            raise SystemExit(f"tools/package: --version {given}: expected digits, letters, . and +, a digit first")
        return given
    done = subprocess.run(["git", "describe", "--tags", "--match", "v[0-9]*", "--abbrev=7"], cwd=ROOT, capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        return "0.1.0"
    tag, *behind = done.stdout.strip()[1:].rsplit("-", 2)
    return f"{tag}+git{behind[0]}.{behind[1]}" if behind else tag


def epoch_of():
    if os.environ.get("SOURCE_DATE_EPOCH"):
        return int(os.environ["SOURCE_DATE_EPOCH"])
    return int(output("git", "log", "-1", "--format=%ct").strip())


def check_symbols(binary):
    """What the binary needs of glibc and libstdc++ must be in the systems that are supported."""
    symbols = output("objdump", "-T", binary)
    for library, newest in (("GLIBC", description.GLIBC_MAX), ("GLIBCXX", description.GLIBCXX_MAX)):
        needed = max((tuple(map(int, found.split("."))) for found in re.findall(rf"\({library}_([0-9.]+)\)", symbols)), default=(0,))
        print(f"   {os.path.basename(binary)} needs {library} {'.'.join(map(str, needed))}", file=sys.stderr)
        if needed > newest:
            raise SystemExit(f"tools/package: {binary} needs {library} {needed}, newer than {newest}")


def debian_scripts(name, about):
    unit, lines = f"{name}.service", {}
    running = "[ -d /run/systemd/system ]"
    post = ["#!/bin/sh", "set -e", 'if [ "$1" = configure ]; then']
    if "user" in about:
        user, home = about["user"]
        post += [f"  if command -v systemd-sysusers >/dev/null; then systemd-sysusers {name}.conf",
                 f"  elif ! getent passwd {user} >/dev/null; then",
                 f"    useradd --system --user-group --no-create-home --home-dir {home} --shell /usr/sbin/nologin {user}", "  fi"]
    if "unit" in about:
        post += [f"  if command -v systemd-tmpfiles >/dev/null; then systemd-tmpfiles --create {name}.conf || true; fi",
                 f"  if {running}; then", "    systemctl daemon-reload || true",
                 "    # One that runs goes on as the new one; Puppet runs of a node agent are not touched by this (KillMode=process).",
                 f"    systemctl try-restart {unit} || true", "  fi"]
    lines["postinst"] = post + ["fi"]
    if "unit" in about:
        lines["prerm"] = ["#!/bin/sh", "set -e", f'if [ "$1" = remove ] && {running}; then', f"  systemctl disable --now {unit} || true", "fi"]
        lines["postrm"] = ["#!/bin/sh", "set -e", f"if {running}; then systemctl daemon-reload || true; fi", 'if [ "$1" = purge ]; then']
        lines["postrm"] += [f"  rm -rf {state}" for state in about["state"]]
        lines["postrm"] += ["  rmdir --ignore-fail-on-non-empty /etc/orch/ssl /etc/orch/facts.d 2>/dev/null || true",
                            "  rmdir --ignore-fail-on-non-empty /etc/orch 2>/dev/null || true", "fi"]
    return {script: "\n".join(text) + "\n" for script, text in lines.items()} if "unit" in about else {}


def make_deb(name, version, epoch, out):
    about = description.PACKAGES[name]
    architecture = ARCHITECTURES[os.uname().machine][0]
    with tempfile.TemporaryDirectory() as scratch:
        tree = Tree(name, os.path.join(scratch, name), epoch, version)
        tree.lay_out("deb")
        # Debian's own file name for it.
        os.rename(f"{tree.root}/usr/share/doc/{name}/changelog.gz", f"{tree.root}/usr/share/doc/{name}/NEWS.gz")
        date = output("date", "-u", "-R", "-d", f"@{epoch}").strip()
        tree.write(f"/usr/share/doc/{name}/changelog.gz", tree.zipped(
            f"{name} ({version}) unstable; urgency=medium\n\n  * See NEWS.gz.\n\n -- {description.MAINTAINER}  {date}\n"))
        tree.write(f"/usr/share/lintian/overrides/{name}",
                   f"# Libraries are linked in, so that one package runs on several releases.\n{name}: embedded-library *\n"
                   f"# No address of the authors is published.\n{name}: bogus-mail-host *\n"
                   f"{name}: bogus-mail-host-in-debian-changelog *\n")
        control = os.path.join(tree.root, "DEBIAN")
        sums = "".join(f"{hashlib.md5(open(tree.root + file, 'rb').read()).hexdigest()}  {file[1:]}\n"  # noqa: SIM115
                       for file in tree.files() if file not in tree.configs)
        size = sum(os.path.getsize(tree.root + file) for file in tree.files()) // 1024
        os.makedirs(os.path.join(scratch, "debian"))
        with open(os.path.join(scratch, "debian", "control"), "w", encoding="utf-8") as file:
            file.write(f"Source: {name}\n\nPackage: {name}\nArchitecture: any\n")
        depends = subprocess.run(["dpkg-shlibdeps", "-O", f"{tree.root}/usr/bin/{name}"], cwd=scratch, check=True, capture_output=True,
                                 text=True).stdout.strip().removeprefix("shlibs:Depends=")
        if "user" in about:
            depends += ", passwd | systemd"
        tree.write("/DEBIAN/control", (
            f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: {description.MAINTAINER}\n"
            f"Installed-Size: {size}\nDepends: {depends}\nSection: admin\nPriority: optional\n"
            f"Description: {about['about']}\n" + textwrap.fill(about["long"], 78, initial_indent=" ", subsequent_indent=" ") + "\n"))
        tree.write("/DEBIAN/md5sums", sums)
        if tree.configs:
            tree.write("/DEBIAN/conffiles", "".join(place + "\n" for place in tree.configs))
        for script, text in debian_scripts(name, about).items():
            tree.write(f"/DEBIAN/{script}", text, 0o755)
        tree.settle()
        os.chmod(control, 0o755)
        path = os.path.join(out, f"{name}_{version}_{architecture}.deb")
        subprocess.run(["dpkg-deb", "--root-owner-group", "-Zxz", "-z4", "--threads-max=1", "--build", tree.root, path], check=True,
                       stdout=subprocess.DEVNULL, env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch)})
        return path


def rpm_scripts(name, about):
    text = ""
    if "user" in about:
        user, home = about["user"]
        text += (f"%pre\ngetent passwd {user} >/dev/null || useradd --system --user-group --no-create-home --home-dir {home} "
                 f"--shell /sbin/nologin {user}\n")
    if "unit" not in about:
        return text
    running = "[ -d /run/systemd/system ]"
    return text + (
        f"%post\nif command -v systemd-tmpfiles >/dev/null; then systemd-tmpfiles --create {name}.conf || :; fi\n"
        f"if {running}; then systemctl daemon-reload || :; fi\n"
        f'%preun\nif [ "$1" = 0 ] && {running}; then systemctl disable --now {name}.service || :; fi\n'
        f'%postun\nif {running}; then systemctl daemon-reload || :; if [ "$1" -ge 1 ]; then systemctl try-restart {name}.service || :; fi; fi\n')


def make_rpm(name, version, epoch, out):
    about = description.PACKAGES[name]
    architecture = ARCHITECTURES[os.uname().machine][1]
    with tempfile.TemporaryDirectory() as scratch:
        tree = Tree(name, os.path.join(scratch, "tree"), epoch, version)
        tree.lay_out("rpm")
        tree.settle()
        listed = "".join(("%config(noreplace) " if file in tree.configs else "") + file + "\n" for file in tree.files())
        spec = os.path.join(scratch, f"{name}.spec")
        with open(spec, "w", encoding="utf-8") as file:
            file.write(f"Name: {name}\nVersion: {version}\nRelease: 1\nSummary: {about['about']}\nLicense: Apache-2.0\n"
                       f"Packager: {description.MAINTAINER}\n"
                       f"%description\n{textwrap.fill(about['long'], 78)}\n%install\nmkdir -p %{{buildroot}}\ncp -a {tree.root}/. %{{buildroot}}/\n"
                       f"{rpm_scripts(name, about)}%files\n%defattr(-,root,root)\n{listed}")
        settings = {"_topdir": scratch, "_rpmdir": scratch, "_buildhost": "localhost", "use_source_date_epoch_as_buildtime": "1",
                    "clamp_mtime_to_source_date_epoch": "1", "_build_id_links": "none", "__os_install_post": "%{nil}",
                    "debug_package": "%{nil}", "_binary_payload": "w4.xzdio", "source_date_epoch_from_changelog": "0"}
        command = ["rpmbuild", "-bb", "--quiet", "--target", architecture]
        for key, value in settings.items():
            command += ["--define", f"{key} {value}"]
        done = subprocess.run([*command, spec], env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "HOME": scratch, "TZ": "UTC"},
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"tools/package: rpmbuild: {done.stderr}")
        made = os.path.join(scratch, architecture, f"{name}-{version}-1.{architecture}.rpm")
        path = os.path.join(out, os.path.basename(made))
        os.replace(made, path) if os.stat(scratch).st_dev == os.stat(out).st_dev else subprocess.run(["cp", made, path], check=True)
        return path


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--version", default="")
    parser.add_argument("--only", action="append", choices=list(description.PACKAGES))
    arguments = parser.parse_args()
    if os.uname().machine not in ARCHITECTURES:
        raise SystemExit(f"tools/package: {os.uname().machine} is not supported; packages are for {', '.join(ARCHITECTURES)}")
    version, epoch = version_of(arguments.version), epoch_of()
    os.makedirs(arguments.out, exist_ok=True)
    out = os.path.realpath(arguments.out)
    paths = []
    for name, about in description.PACKAGES.items():
        if arguments.only and name not in arguments.only:
            continue
        binary = os.path.join(ROOT, about["binary"])
        if not os.path.exists(binary):
            raise SystemExit(f"tools/package: {about['binary']} is missing: tools/build makes it")
        check_symbols(binary)
        paths += [make_deb(name, version, epoch, out), make_rpm(name, version, epoch, out)]
    print("\n".join(paths))


if __name__ == "__main__":
    main()
