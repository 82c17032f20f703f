# SPDX-License-Identifier: Apache-2.0
"""Lays out the files of a package below a directory."""

import gzip
import os
import re
import shutil
import subprocess
import time

import description

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", ".."))


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def troff(text):
    return re.sub(r"^([.'])", r"\\&\1", text.replace("\\", "\\e").replace("-", "\\-"), flags=re.M)


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout


class Tree:
    """The files of one package below `root`, all with the time `epoch`."""

    def __init__(self, name, root, epoch, version):
        self.name, self.root, self.epoch, self.version = name, root, epoch, version
        self.about = description.PACKAGES[name]
        self.configs = [place for _, place in self.about["config"]]

    def write(self, place, content, mode=0o644):
        path = self.root + place
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        os.chmod(path, mode)

    def zipped(self, text):
        return gzip.compress(text if isinstance(text, bytes) else text.encode(), 9, mtime=0)

    def daemon_page(self):
        """Section 8, from --help."""
        binary = os.path.join(ROOT, self.about["binary"])
        options = output(binary, "--help")
        return (f'.TH {self.name.upper()} 8 "" "orch {self.version}" "orch"\n.SH NAME\n{troff(self.name)} \\- {troff(self.about["about"])}\n'
                f'.SH SYNOPSIS\n.B {troff(self.name)}\n.RI [ options ]\n.SH DESCRIPTION\n{troff(self.about["long"])}\n'
                f'.SH OPTIONS\n.nf\n{troff(options)}.fi\n.SH FILES\n'
                + "".join(f".I {place}\n.br\n" for place in self.configs)
                + f".SH SEE ALSO\n.BR orchctl (1), files below /usr/share/doc/{self.name}\n")

    def config_page(self, source, place):
        """Section 5: the file with its comments is its own description."""
        file = os.path.basename(place)
        return (f'.TH ORCH\\-{file.upper()} 5 "" "orch {self.version}" "orch"\n.SH NAME\norch\\-{troff(file)} \\- {troff(place)}\n'
                f".SH DESCRIPTION\nThe file that is installed, with each key and its default. An unknown or doubled key is refused with\n"
                f"its line; {troff(self.name)} \\-\\-check\\-config reads it without starting anything.\n.SH EXAMPLE\n.nf\n{troff(read(source))}.fi\n")

    def licences(self):
        texts = [f"Licences of what is linked into {self.name}, by Debian package.\n"]
        for package in description.LINKED:
            path = f"/usr/share/doc/{package}/copyright"
            if not os.path.exists(path):
                raise SystemExit(f"tools/package: {path} is missing: the licence of what is linked in must go along")
            with open(path, encoding="utf-8", errors="replace") as file:
                texts.append(f"\n==== {package} ====\n\n{file.read()}")
        return "".join(texts)

    def lay_out(self, kind):
        about, name = self.about, self.name
        binary = os.path.join(ROOT, about["binary"])
        self.write(f"/usr/bin/{name}", b"", 0o755)
        subprocess.run(["strip", "--strip-unneeded", "-o", f"{self.root}/usr/bin/{name}", binary], check=True)
        os.chmod(f"{self.root}/usr/bin/{name}", 0o755)
        for source, place in about["config"]:
            self.write(place, read(source))
            self.write(f"/usr/share/man/man5/orch-{os.path.basename(place)}.5.gz", self.zipped(self.config_page(source, place)))
        if "unit" in about:
            self.write(f"/lib/systemd/system/{name}.service" if kind == "deb" else f"/usr/lib/systemd/system/{name}.service",
                       read(about["unit"]))
            self.write(f"/usr/share/man/man8/{name}.8.gz", self.zipped(self.daemon_page()))
        else:
            self.write("/usr/share/man/man1/orchctl.1.gz", self.zipped(output(binary, "man")))
            for shell, place in (("bash", "/usr/share/bash-completion/completions/orchctl"),
                                 ("zsh", "/usr/share/zsh/vendor-completions/_orchctl" if kind == "deb"
                                  else "/usr/share/zsh/site-functions/_orchctl"),
                                 ("fish", "/usr/share/fish/vendor_completions.d/orchctl.fish")):
                self.write(place, output(binary, "completion", shell))
        if "user" in about:
            user, home = about["user"]
            self.write(f"/usr/lib/sysusers.d/{name}.conf", f'u {user} - "{name}" {home}\n')
        if "tmpfiles" in about:
            self.write(f"/usr/lib/tmpfiles.d/{name}.conf", about["tmpfiles"])
        doc = f"/usr/share/doc/{name}"
        for source, place in about["share"]:
            self.write(f"{doc}/{place}", read(source))
        self.write(f"{doc}/copyright", (
            f"orch\n\nCopyright (c) {time.gmtime(self.epoch).tm_year} The orch authors\n\nLicensed under the Apache License, Version 2.0. On Debian systems its text is in\n"
            "/usr/share/common-licenses/Apache-2.0, on others in LICENSE beside this file.\n\n"
            "Of the libraries that are linked in, linked-licences.gz has the licences.\n"))
        self.write(f"{doc}/linked-licences.gz", self.zipped(self.licences()))
        if kind == "rpm":
            self.write(f"{doc}/LICENSE", read("LICENSE"))
        self.write(f"{doc}/changelog.gz", self.zipped(read("CHANGELOG.md")))

    def settle(self):
        """Nothing tells when and by whom it was made."""
        for folder, _, files in os.walk(self.root, topdown=False):
            for file in files:
                os.utime(os.path.join(folder, file), (self.epoch, self.epoch))
            os.chmod(folder, 0o755)
            os.utime(folder, (self.epoch, self.epoch))

    def files(self):
        return sorted(os.path.join(folder, file)[len(self.root):] for folder, _, files in os.walk(self.root) for file in files)

    def remove(self):
        shutil.rmtree(self.root)
